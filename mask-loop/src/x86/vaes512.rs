// SPDX-License-Identifier: Apache-2.0
//! VAES with AVX-512: four states in a vector.

use std::arch::x86_64::*;

use super::avx512::Avx512;
use super::instructions::Aes;
use super::kernel::{Kernels, Pass, Sum, kernels};
use super::round_keys::RoundKeys;
use super::table::Table;

pub(super) struct Vaes512;

impl Aes for Vaes512 {
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
    unsafe fn add_32(one: Self::V, other: Self::V) -> Self::V {
        _mm512_add_epi32(one, other)
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
}

kernels!(
    Vaes512,
    Avx512,
    "aes,vaes,avx2,avx512f,avx512bw,avx512vbmi",
    registers
);
