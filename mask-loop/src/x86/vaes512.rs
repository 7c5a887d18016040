// SPDX-License-Identifier: Apache-2.0
//! Vectors of four cells: VAES over 512 bits, and AVX-512 F, BW and VBMI.

use std::arch::x86_64::*;

use super::kernel::{self, Kernels, Pass, Sum, kernels, lane_bytes};
use super::round_keys::RoundKeys;
use super::table::Table;
use super::vectors::{Vectors, pack_indices, spread_indices};

pub(super) struct Vaes512;

impl Vectors for Vaes512 {
    type V = __m512i;

    const CELLS: usize = 4;

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi")]
    unsafe fn zero() -> Self::V {
        _mm512_setzero_si512()
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi")]
    unsafe fn load(from: *const u8) -> Self::V {
        // SAFETY: the caller has 64 readable bytes there.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi")]
    unsafe fn store(to: *mut u8, vector: Self::V) {
        // SAFETY: the caller has 64 writable bytes there.
        unsafe { _mm512_storeu_si512(to.cast(), vector) }
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi")]
    unsafe fn broadcast(from: *const u8) -> Self::V {
        // SAFETY: the caller has 16 readable bytes there.
        unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(from.cast())) }
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi")]
    unsafe fn xor(one: Self::V, other: Self::V) -> Self::V {
        _mm512_xor_si512(one, other)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi")]
    unsafe fn add_16(one: Self::V, other: Self::V) -> Self::V {
        _mm512_add_epi16(one, other)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi")]
    unsafe fn add_32(one: Self::V, other: Self::V) -> Self::V {
        _mm512_add_epi32(one, other)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi")]
    unsafe fn add_64(one: Self::V, other: Self::V) -> Self::V {
        _mm512_add_epi64(one, other)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi")]
    unsafe fn round(state: Self::V, key: Self::V) -> Self::V {
        _mm512_aesenc_epi128(state, key)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi")]
    unsafe fn last_round(state: Self::V, key: Self::V) -> Self::V {
        _mm512_aesenclast_epi128(state, key)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi")]
    unsafe fn spread_three<const BITS: usize>([a, b, c]: [Self::V; 3]) -> [Self::V; 4] {
        // Vectors of lanes begin at bytes 0, 48, 96 and 144.
        [
            spread::<BITS, 0>(a, b),
            spread::<BITS, 48>(a, b),
            spread::<BITS, 32>(b, c),
            spread::<BITS, 16>(c, c),
        ]
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi")]
    unsafe fn spread_five<const BITS: usize>([a, b, c, d, e]: [Self::V; 5]) -> [Self::V; 8] {
        // Vectors of lanes begin at bytes 0, 40, and so on to 280.
        [
            spread::<BITS, 0>(a, b),
            spread::<BITS, 40>(a, b),
            spread::<BITS, 16>(b, c),
            spread::<BITS, 56>(b, c),
            spread::<BITS, 32>(c, d),
            spread::<BITS, 8>(d, e),
            spread::<BITS, 48>(d, e),
            spread::<BITS, 24>(e, e),
        ]
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi")]
    unsafe fn store_packed<const BITS: usize>(to: *mut u8, lanes: Self::V) {
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

/// The packed fields from byte `START` on as lanes, where the bytes of `next` follow upon those of
/// `packed`.
#[inline]
#[target_feature(enable = "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi")]
fn spread<const BITS: usize, const START: usize>(packed: __m512i, next: __m512i) -> __m512i {
    let indices = const { spread_indices::<64>(BITS, START) };
    // SAFETY: the indices are 64 bytes.
    let indices = unsafe { _mm512_loadu_si512(indices.as_ptr().cast()) };
    let within_one = START + 16 / lane_bytes(BITS) * BITS / 2 <= 64;
    let lanes = if within_one {
        _mm512_permutexvar_epi8(indices, packed)
    } else {
        _mm512_permutex2var_epi8(packed, indices, next)
    };
    if BITS == 20 {
        _mm512_srlv_epi32(lanes, _mm512_set1_epi64(4 << 32))
    } else {
        lanes
    }
}

kernels!(Vaes512, "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi");
