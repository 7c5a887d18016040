// SPDX-License-Identifier: Apache-2.0
//! VAES: two states in a vector.

use std::arch::x86_64::*;

use super::avx2::Avx2;
use super::instructions::Aes;
use super::kernel::{Kernels, Pass, Sum, kernels};
use super::round_keys::RoundKeys;
use super::table::Table;

pub(super) struct Vaes256;

impl Aes for Vaes256 {
    type V = __m256i;

    const CELLS: usize = 2;

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    unsafe fn zero() -> Self::V {
        _mm256_setzero_si256()
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    unsafe fn load(from: *const u8) -> Self::V {
        // SAFETY: the caller has 32 readable bytes there.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    unsafe fn store(to: *mut u8, vector: Self::V) {
        // SAFETY: the caller has 32 writable bytes there.
        unsafe { _mm256_storeu_si256(to.cast(), vector) }
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    unsafe fn broadcast(from: *const u8) -> Self::V {
        // SAFETY: the caller has 16 readable bytes there.
        unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(from.cast())) }
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    unsafe fn xor(one: Self::V, other: Self::V) -> Self::V {
        _mm256_xor_si256(one, other)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    unsafe fn add_32(one: Self::V, other: Self::V) -> Self::V {
        _mm256_add_epi32(one, other)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    unsafe fn round(state: Self::V, key: Self::V) -> Self::V {
        _mm256_aesenc_epi128(state, key)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    unsafe fn last_round(state: Self::V, key: Self::V) -> Self::V {
        _mm256_aesenclast_epi128(state, key)
    }
}

kernels!(Vaes256, Avx2, "aes,vaes,avx2", registers);
