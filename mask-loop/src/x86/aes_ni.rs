// SPDX-License-Identifier: Apache-2.0
//! AES-NI: one state in a vector.

use std::arch::x86_64::*;

use super::avx2::Avx2;
use super::instructions::Aes;
use super::kernel::{Kernels, Pass, Sum, kernels};
use super::round_keys::RoundKeys;
use super::table::Table;

pub(super) struct AesNi;

impl Aes for AesNi {
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
    unsafe fn add_32(one: Self::V, other: Self::V) -> Self::V {
        _mm_add_epi32(one, other)
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
}

kernels!(AesNi, Avx2, "aes,avx2", buffered);
