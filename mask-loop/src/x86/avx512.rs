// SPDX-License-Identifier: Apache-2.0
//! AVX-512 F, BW and VBMI: 512 bits of lanes.

use std::arch::x86_64::*;

use super::instructions::{Lanes, is_whole_lane, pack_indices, spread_indices};

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
