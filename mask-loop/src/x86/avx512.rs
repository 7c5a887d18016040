// SPDX-License-Identifier: Apache-2.0
//! AVX-512 F, BW and VBMI: 512 bits of lanes.

use std::arch::x86_64::*;

use super::instructions::{
    Joint, Lanes, is_whole_lane, join_indices, joint_indices, pack_indices, packed_cell,
    spread_indices,
};

pub(super) struct Avx512;

impl Lanes for Avx512 {
    type V = __m512i;

    const BYTES: usize = 64;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn load(from: *const u8) -> Self::V {
        // SAFETY: the caller has 64 readable bytes there.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn store(to: *mut u8, lanes: Self::V) {
        // SAFETY: the caller has 64 writable bytes there.
        unsafe { _mm512_storeu_si512(to.cast(), lanes) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn broadcast(from: *const u8) -> Self::V {
        // SAFETY: the caller has 16 readable bytes there.
        unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(from.cast())) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn add_16(one: Self::V, other: Self::V) -> Self::V {
        _mm512_add_epi16(one, other)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn add_32(one: Self::V, other: Self::V) -> Self::V {
        _mm512_add_epi32(one, other)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn add_64(one: Self::V, other: Self::V) -> Self::V {
        _mm512_add_epi64(one, other)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn spread<const BITS: usize>(packed: *const u8) -> Self::V {
        if is_whole_lane(BITS) {
            // SAFETY: the caller has a readable vector there.
            return unsafe { Self::load(packed) };
        }
        let indices = const { spread_indices::<64>(BITS, 0) };
        // SAFETY: the indices are 64 bytes; the caller has a readable vector there.
        let lanes = unsafe {
            let indices = Self::load(indices.as_ptr());
            _mm512_permutexvar_epi8(indices, Self::load(packed))
        };
        if BITS == 20 {
            _mm512_srlv_epi32(lanes, _mm512_set1_epi64(4 << 32))
        } else {
            lanes
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn store_packed<const BITS: usize>(to: *mut u8, lanes: Self::V) {
        if is_whole_lane(BITS) {
            // SAFETY: the caller has room for a vector.
            return unsafe { Self::store(to, lanes) };
        }
        let lanes = if BITS == 20 {
            // The first of two fields up against the second, then both down.
            let pairs = _mm512_sllv_epi32(lanes, _mm512_set1_epi64(12));
            _mm512_srli_epi64::<12>(pairs)
        } else {
            lanes
        };
        let indices = const { pack_indices::<64>(BITS) };
        // SAFETY: the indices are 64 bytes; the caller has room for a whole vector, packed or slack.
        unsafe {
            let packed = _mm512_permutexvar_epi8(Self::load(indices.as_ptr()), lanes);
            Self::store(to, packed);
        }
    }
}

impl Joint for Avx512 {
    const SPREADS: bool = true;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn spread_joint<const BITS: usize>(
        position: usize,
        first: Self::V,
        second: Self::V,
    ) -> Self::V {
        if is_whole_lane(BITS) {
            return first;
        }
        let start = position * packed_cell(BITS) * 4 % 64;
        let indices = const { joint_indices(if BITS == 20 { 40 } else { BITS }) };
        // SAFETY: the indices are 64 bytes.
        let indices = unsafe { Self::load(indices[position].as_ptr()) };
        let lanes = if start + packed_cell(BITS) * 4 <= 64 {
            _mm512_permutexvar_epi8(indices, first)
        } else {
            _mm512_permutex2var_epi8(first, indices, second)
        };
        if BITS == 20 {
            // Two fields of five bytes are parted: bits 0 to 31, and 20 to 51.
            _mm512_multishift_epi64_epi8(_mm512_set1_epi64(PARTED), lanes)
        } else {
            lanes
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn store_joint<const BITS: usize>(to: *mut u8, lanes: &[Self::V]) {
        // SAFETY: the caller has room for the packed vectors and one of slack; the indices are 64 bytes.
        unsafe {
            if matches!(BITS, 24 | 48) {
                let indices = const { join_indices(BITS) };
                for (position, pair) in lanes.windows(2).enumerate() {
                    let indices = Self::load(indices[position].as_ptr());
                    let packed = _mm512_permutex2var_epi8(pair[0], indices, pair[1]);
                    Self::store(to.add(position * 64), packed);
                }
                return;
            }
            for (position, lanes) in lanes.iter().enumerate() {
                Self::store_packed::<BITS>(to.add(position * packed_cell(BITS) * 4), *lanes);
            }
        }
    }
}

/// For two fields of 20 bits in five of eight bytes: where each byte of two lanes of 32 bits begins.
const PARTED: i64 = i64::from_le_bytes([0, 8, 16, 24, 20, 28, 36, 44]);
