// SPDX-License-Identifier: Apache-2.0
//! Vectors of one cell: AES-NI. AVX2 is asked for because it shifts lanes by different amounts.

use std::arch::x86_64::*;

use super::kernel::{self, Kernels, Pass, Sum, kernels};
use super::round_keys::RoundKeys;
use super::table::Table;
use super::vectors::{Vectors, pack_indices, spread_indices};

pub(super) struct AesNi;

impl Vectors for AesNi {
    type V = __m128i;

    const CELLS: usize = 1;

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    unsafe fn zero() -> Self::V {
        _mm_setzero_si128()
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    unsafe fn load(from: *const u8) -> Self::V {
        // SAFETY: the caller has 16 readable bytes there.
        unsafe { _mm_loadu_si128(from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    unsafe fn store(to: *mut u8, vector: Self::V) {
        // SAFETY: the caller has 16 writable bytes there.
        unsafe { _mm_storeu_si128(to.cast(), vector) }
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    unsafe fn broadcast(from: *const u8) -> Self::V {
        // SAFETY: the caller has 16 readable bytes there.
        unsafe { _mm_loadu_si128(from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    unsafe fn xor(one: Self::V, other: Self::V) -> Self::V {
        _mm_xor_si128(one, other)
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    unsafe fn add_16(one: Self::V, other: Self::V) -> Self::V {
        _mm_add_epi16(one, other)
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    unsafe fn add_32(one: Self::V, other: Self::V) -> Self::V {
        _mm_add_epi32(one, other)
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    unsafe fn add_64(one: Self::V, other: Self::V) -> Self::V {
        _mm_add_epi64(one, other)
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    unsafe fn round(state: Self::V, key: Self::V) -> Self::V {
        _mm_aesenc_si128(state, key)
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    unsafe fn last_round(state: Self::V, key: Self::V) -> Self::V {
        _mm_aesenclast_si128(state, key)
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    unsafe fn spread_three<const BITS: usize>([a, b, c]: [Self::V; 3]) -> [Self::V; 4] {
        // Cells of lanes begin at bytes 0, 12, 24 and 36.
        [
            spread::<BITS, 0>(a),
            spread::<BITS, 0>(_mm_alignr_epi8::<12>(b, a)),
            spread::<BITS, 0>(_mm_alignr_epi8::<8>(c, b)),
            spread::<BITS, 4>(c),
        ]
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    unsafe fn spread_five<const BITS: usize>([a, b, c, d, e]: [Self::V; 5]) -> [Self::V; 8] {
        // Cells of lanes begin at bytes 0, 10, and so on to 70.
        [
            spread::<BITS, 0>(a),
            spread::<BITS, 0>(_mm_alignr_epi8::<10>(b, a)),
            spread::<BITS, 4>(b),
            spread::<BITS, 0>(_mm_alignr_epi8::<14>(c, b)),
            spread::<BITS, 0>(_mm_alignr_epi8::<8>(d, c)),
            spread::<BITS, 2>(d),
            spread::<BITS, 0>(_mm_alignr_epi8::<12>(e, d)),
            spread::<BITS, 6>(e),
        ]
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    unsafe fn store_packed<const BITS: usize>(to: *mut u8, lanes: Self::V) {
        let lanes = if BITS == 20 {
            // The first of two fields up against the second, then both down.
            let pairs = _mm_sllv_epi32(lanes, _mm_set_epi32(0, 12, 0, 12));
            _mm_srli_epi64::<12>(pairs)
        } else {
            lanes
        };
        let indices = const { pack_indices::<16>(BITS) };
        // SAFETY: the indices are 16 bytes; the caller has room for a whole vector, packed or slack.
        unsafe {
            let indices = _mm_loadu_si128(indices.as_ptr().cast());
            _mm_storeu_si128(to.cast(), _mm_shuffle_epi8(lanes, indices));
        }
    }
}

/// The packed fields from byte `START` on as lanes.
#[inline]
#[target_feature(enable = "aes,avx2")]
fn spread<const BITS: usize, const START: usize>(packed: __m128i) -> __m128i {
    let indices = const { spread_indices::<16>(BITS, START) };
    // SAFETY: the indices are 16 bytes.
    let indices = unsafe { _mm_loadu_si128(indices.as_ptr().cast()) };
    let lanes = _mm_shuffle_epi8(packed, indices);
    if BITS == 20 {
        _mm_srlv_epi32(lanes, _mm_set_epi32(4, 0, 4, 0))
    } else {
        lanes
    }
}

kernels!(AesNi, "aes,avx2");
