// SPDX-License-Identifier: Apache-2.0
//! AVX2: 256 bits of lanes.

use std::arch::x86_64::*;

use super::instructions::{Joint, Lanes, is_whole_lane, pack_indices, packed_cell, spread_indices};

pub(super) struct Avx2;

impl Lanes for Avx2 {
    type V = __m256i;

    const BYTES: usize = 32;

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(from: *const u8) -> Self::V {
        // SAFETY: the caller has 32 readable bytes there.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn store(to: *mut u8, lanes: Self::V) {
        // SAFETY: the caller has 32 writable bytes there.
        unsafe { _mm256_storeu_si256(to.cast(), lanes) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn broadcast(from: *const u8) -> Self::V {
        // SAFETY: the caller has 16 readable bytes there.
        unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(from.cast())) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn add_16(one: Self::V, other: Self::V) -> Self::V {
        _mm256_add_epi16(one, other)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn add_32(one: Self::V, other: Self::V) -> Self::V {
        _mm256_add_epi32(one, other)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn add_64(one: Self::V, other: Self::V) -> Self::V {
        _mm256_add_epi64(one, other)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn spread<const BITS: usize>(packed: *const u8) -> Self::V {
        if is_whole_lane(BITS) {
            // SAFETY: the caller has a readable vector there.
            return unsafe { Self::load(packed) };
        }
        // The second half of the vector begins with the second cell, so the first cell ends with the
        // first half. Shuffles stay within halves.
        let before = 16 - packed_cell(BITS);
        let indices = const { indices(BITS) };
        // SAFETY: the indices are 32 bytes; the caller has a readable vector there, and half of one
        // before.
        let lanes = unsafe {
            let cells = Self::load(packed.sub(before));
            _mm256_shuffle_epi8(cells, Self::load(indices.as_ptr().cast()))
        };
        if BITS == 20 {
            _mm256_srlv_epi32(lanes, _mm256_set1_epi64x(4 << 32))
        } else {
            lanes
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn store_packed<const BITS: usize>(to: *mut u8, lanes: Self::V) {
        if is_whole_lane(BITS) {
            // SAFETY: the caller has room for a vector.
            return unsafe { Self::store(to, lanes) };
        }
        let lanes = if BITS == 20 {
            // The first of two fields up against the second, then both down.
            let pairs = _mm256_sllv_epi32(lanes, _mm256_set1_epi64x(12));
            _mm256_srli_epi64::<12>(pairs)
        } else {
            lanes
        };
        let indices = const { pack_indices::<16>(BITS) };
        // SAFETY: the indices are 16 bytes; the caller has room for the packed cells and a vector of
        // slack, of which the second half takes less.
        unsafe {
            let packed = _mm256_shuffle_epi8(lanes, Self::broadcast(indices.as_ptr()));
            let second = to.add(packed_cell(BITS));
            _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(packed));
            _mm_storeu_si128(second.cast(), _mm256_extracti128_si256::<1>(packed));
        }
    }
}

impl Joint for Avx2 {
    const SPREADS: bool = false;

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn spread_joint<const BITS: usize>(_: usize, first: Self::V, _: Self::V) -> Self::V {
        first
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn store_joint<const BITS: usize>(to: *mut u8, lanes: &[Self::V]) {
        for (position, lanes) in lanes.iter().enumerate() {
            // SAFETY: the caller has room for all.
            unsafe { Self::store(to.add(position * Self::BYTES), *lanes) }
        }
    }
}

const fn indices(bits: usize) -> [[u8; 16]; 2] {
    let before = 16 - packed_cell(bits);
    [spread_indices(bits, before), spread_indices(bits, 0)]
}
