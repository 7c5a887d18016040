// SPDX-License-Identifier: Apache-2.0
//! Vectors of two cells: VAES over 256 bits, and AVX2.

use std::arch::x86_64::*;

use super::kernel::{self, Kernels, Pass, Sum, kernels};
use super::round_keys::RoundKeys;
use super::table::Table;
use super::vectors::{Vectors, pack_indices, packed_cell, spread_indices};

pub(super) struct Vaes256;

impl Vectors for Vaes256 {
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
    unsafe fn add_16(one: Self::V, other: Self::V) -> Self::V {
        _mm256_add_epi16(one, other)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    unsafe fn add_32(one: Self::V, other: Self::V) -> Self::V {
        _mm256_add_epi32(one, other)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    unsafe fn add_64(one: Self::V, other: Self::V) -> Self::V {
        _mm256_add_epi64(one, other)
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

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    unsafe fn spread_three<const BITS: usize>([a, b, c]: [Self::V; 3]) -> [Self::V; 4] {
        // Vectors of lanes begin at words 0, 6, 12 and 18. A blend joins what two vectors hold.
        [
            spread::<BITS, 0>(a),
            spread::<BITS, 6>(_mm256_blend_epi32::<0b0000_1111>(a, b)),
            spread::<BITS, 4>(_mm256_blend_epi32::<0b0000_0011>(b, c)),
            spread::<BITS, 2>(c),
        ]
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    unsafe fn spread_five<const BITS: usize>([a, b, c, d, e]: [Self::V; 5]) -> [Self::V; 8] {
        // Vectors of lanes begin at words 0, 5, and so on to 35.
        [
            spread::<BITS, 0>(a),
            spread::<BITS, 5>(_mm256_blend_epi32::<0b0000_0011>(a, b)),
            spread::<BITS, 2>(b),
            spread::<BITS, 7>(_mm256_blend_epi32::<0b0000_1111>(b, c)),
            spread::<BITS, 4>(_mm256_blend_epi32::<0b0000_0001>(c, d)),
            spread::<BITS, 1>(d),
            spread::<BITS, 6>(_mm256_blend_epi32::<0b0000_0111>(d, e)),
            spread::<BITS, 3>(e),
        ]
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    unsafe fn store_packed<const BITS: usize>(to: *mut u8, lanes: Self::V) {
        let lanes = if BITS == 20 {
            // The first of two fields up against the second, then both down.
            let pairs = _mm256_sllv_epi32(lanes, _mm256_set_epi32(0, 12, 0, 12, 0, 12, 0, 12));
            _mm256_srli_epi64::<12>(pairs)
        } else {
            lanes
        };
        let indices = const { pack_indices::<16>(BITS) };
        // SAFETY: the indices are 16 bytes; the caller has room for the packed cells and a vector of
        // slack, of which the second cell takes less.
        unsafe {
            let indices = Self::broadcast(indices.as_ptr());
            let packed = _mm256_shuffle_epi8(lanes, indices);
            let second = to.add(packed_cell(BITS));
            _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(packed));
            _mm_storeu_si128(second.cast(), _mm256_extracti128_si256::<1>(packed));
        }
    }
}

/// The packed fields from 32-bit word `WORD` on as lanes, where the words of the next vector follow
/// upon the last.
#[inline]
#[target_feature(enable = "aes,vaes,avx2")]
fn spread<const BITS: usize, const WORD: u32>(packed: __m256i) -> __m256i {
    let words = const { words(BITS, WORD) };
    let indices = const { indices(BITS) };
    // SAFETY: the words and the indices are 32 bytes each.
    let (words, indices) = unsafe {
        let words = _mm256_loadu_si256(words.as_ptr().cast());
        (words, _mm256_loadu_si256(indices.as_ptr().cast()))
    };
    let cells = _mm256_permutevar8x32_epi32(packed, words);
    let lanes = _mm256_shuffle_epi8(cells, indices);
    if BITS == 20 {
        _mm256_srlv_epi32(lanes, _mm256_set_epi32(4, 0, 4, 0, 4, 0, 4, 0))
    } else {
        lanes
    }
}

/// Which three words each cell of lanes is made from: six successive words, or, for the ten bytes of
/// 20 and 40 bits, five of which both cells take the middle one.
const fn words(bits: usize, first: u32) -> [u32; 8] {
    let second = if packed_cell(bits) == 12 {
        first + 3
    } else {
        first + 2
    };
    let from = [0, 1, 2, 2];
    let mut words = [0; 8];
    let mut at = 0;
    while at < 4 {
        words[at] = (first + from[at]) % 8;
        words[4 + at] = (second + from[at]) % 8;
        at += 1;
    }
    words
}

/// The fields of the first cell begin with its words, those of the second perhaps half a word later.
const fn indices(bits: usize) -> [[u8; 16]; 2] {
    [
        spread_indices(bits, 0),
        spread_indices(bits, packed_cell(bits) % 4),
    ]
}

kernels!(Vaes256, "aes,vaes,avx2");
