// SPDX-License-Identifier: Apache-2.0
//! Eight elements of the field of 2^255 - 19 side by side, each in five limbs of 51 bits.
//!
//! INVARIANT: limbs are below 2^51 + 2^16 wherever an [`Element`] exists, so the multiplier, which reads 52 bits, loses
//! none. Every operation carries before it returns.
//!
//! SECURITY: no branch and no index depends on a value.

use core::arch::x86_64::{
    __m512i, _mm512_abs_epi64, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpeq_epi64_mask,
    _mm512_cmplt_epi64_mask, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_mov_epi64,
    _mm512_set_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_slli_epi64,
    _mm512_srli_epi64, _mm512_sub_epi64, _mm512_xor_si512,
};

use crate::LANES;
use zeroize::Zeroize;

/// Eight elements; limb i of all of them is vector i.
#[derive(Clone, Copy)]
pub(super) struct Element([__m512i; LIMBS]);

impl Element {
    /// The same element in all lanes, from its limbs.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn splat(limbs: [u64; LIMBS]) -> Self {
        let mut element = Self([_mm512_setzero_si512(); LIMBS]);
        for (vector, limb) in element.0.iter_mut().zip(limbs) {
            *vector = _mm512_set1_epi64(limb.cast_signed());
        }
        element
    }

    /// A small number in all lanes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn small(number: u64) -> Self {
        Self::splat([number, 0, 0, 0, 0])
    }

    /// Reads 255 bits, little-endian, and ignores the highest. What is not below the prime counts modulo it.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn from_bytes(bytes: &[[u8; 32]; LANES]) -> Self {
        let mut limbs = [[0; LANES]; LIMBS];
        for (lane, bytes) in bytes.iter().enumerate() {
            for (limb, bits) in limbs.iter_mut().zip(limbs_of(bytes)) {
                limb[lane] = bits;
            }
        }
        let mut element = Self([_mm512_setzero_si512(); LIMBS]);
        for (vector, lanes) in element.0.iter_mut().zip(&limbs) {
            *vector = from_lanes(lanes);
        }
        limbs.zeroize();
        element
    }

    /// The one encoding of each element.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn to_bytes(self) -> [[u8; 32]; LANES] {
        let mut limbs = [[0; LANES]; LIMBS];
        for (lanes, vector) in limbs.iter_mut().zip(self.0) {
            *lanes = to_lanes(vector);
        }
        let mut bytes = [[0; 32]; LANES];
        for (lane, bytes) in bytes.iter_mut().enumerate() {
            let mut own = [0; LIMBS];
            for (own, lanes) in own.iter_mut().zip(&limbs) {
                *own = lanes[lane];
            }
            *bytes = canonical(own);
            own.zeroize();
        }
        limbs.zeroize();
        bytes
    }

    /// Lane by lane from elements that [`Self::limbs`] gave.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn from_limbs(lanes: [&[u64; LIMBS]; LANES]) -> Self {
        let mut element = Self([_mm512_setzero_si512(); LIMBS]);
        for (at, vector) in element.0.iter_mut().enumerate() {
            *vector = from_lanes(&lanes.map(|limbs| limbs[at]));
        }
        element
    }

    /// The limbs of each lane.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn limbs(&self) -> [[u64; LIMBS]; LANES] {
        let vectors = self.0.map(|vector| to_lanes(vector));
        std::array::from_fn(|lane| vectors.map(|lanes| lanes[lane]))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut sum = self.0;
        for (limb, other) in sum.iter_mut().zip(&other.0) {
            *limb = _mm512_add_epi64(*limb, *other);
        }
        carried(sum)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn minus(&self, other: &Self) -> Self {
        // Four times the prime is above every element, limb for limb.
        let mut difference = Self::splat(FOUR_PRIMES).0;
        for ((limb, own), other) in difference.iter_mut().zip(&self.0).zip(&other.0) {
            *limb = _mm512_sub_epi64(_mm512_add_epi64(*limb, *own), *other);
        }
        carried(difference)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn negated(&self) -> Self {
        Self::small(0).minus(self)
    }

    /// COST: fifty multiplications of eight lanes; all else together takes as long again.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn times(&self, other: &Self) -> Self {
        let zero = _mm512_setzero_si512();
        let (mut low, mut high) = ([zero; 2 * LIMBS], [zero; 2 * LIMBS]);
        for i in 0..LIMBS {
            for j in 0..LIMBS {
                let (left, right) = (self.0[i], other.0[j]);
                low[i + j] = _mm512_madd52lo_epu64(low[i + j], left, right);
                // 52 bits up is one limb and one bit.
                high[i + j + 1] = _mm512_madd52hi_epu64(high[i + j + 1], left, right);
            }
        }
        for (low, high) in low.iter_mut().zip(high) {
            *low = _mm512_add_epi64(*low, _mm512_add_epi64(high, high));
        }
        folded(&low)
    }

    /// COST: thirty multiplications of eight lanes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn squared(&self) -> Self {
        let zero = _mm512_setzero_si512();
        let (mut low, mut high) = ([zero; 2 * LIMBS], [zero; 2 * LIMBS]);
        for i in 0..LIMBS {
            for j in i + 1..LIMBS {
                let (left, right) = (self.0[i], self.0[j]);
                low[i + j] = _mm512_madd52lo_epu64(low[i + j], left, right);
                high[i + j + 1] = _mm512_madd52hi_epu64(high[i + j + 1], left, right);
            }
        }
        // Twice the products of different limbs, then those of equal ones.
        for limbs in [&mut low, &mut high] {
            for limb in limbs.iter_mut() {
                *limb = _mm512_add_epi64(*limb, *limb);
            }
        }
        for i in 0..LIMBS {
            let limb = self.0[i];
            low[2 * i] = _mm512_madd52lo_epu64(low[2 * i], limb, limb);
            high[2 * i + 1] = _mm512_madd52hi_epu64(high[2 * i + 1], limb, limb);
        }
        for (low, high) in low.iter_mut().zip(high) {
            *low = _mm512_add_epi64(*low, _mm512_add_epi64(high, high));
        }
        folded(&low)
    }

    /// `self + number * other`, for a public number below 2^20.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn plus_small_multiple(&self, other: &Self, number: u64) -> Self {
        let number = _mm512_set1_epi64(number.cast_signed());
        let mut sum = self.0;
        let mut high = [_mm512_setzero_si512(); LIMBS];
        for ((sum, high), limb) in sum.iter_mut().zip(&mut high).zip(&other.0) {
            *sum = _mm512_madd52lo_epu64(*sum, *limb, number);
            *high = _mm512_madd52hi_epu64(*high, *limb, number);
            *high = _mm512_add_epi64(*high, *high);
        }
        for i in 1..LIMBS {
            sum[i] = _mm512_add_epi64(sum[i], high[i - 1]);
        }
        sum[0] = _mm512_madd52lo_epu64(sum[0], high[LIMBS - 1], _mm512_set1_epi64(WRAP));
        carried(sum)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn squared_times(&self, count: u32) -> Self {
        let mut power = *self;
        for _ in 0..count {
            power = power.squared();
        }
        power
    }

    /// The powers 2^250 - 1 and 11, which both exponents below are made of.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn long_power(&self) -> (Self, Self) {
        let two = self.squared();
        let nine = two.squared_times(2).times(self);
        let eleven = nine.times(&two);
        let five_bits = eleven.squared().times(&nine);
        let ten_bits = five_bits.squared_times(5).times(&five_bits);
        let twenty_bits = ten_bits.squared_times(10).times(&ten_bits);
        let forty_bits = twenty_bits.squared_times(20).times(&twenty_bits);
        let fifty_bits = forty_bits.squared_times(10).times(&ten_bits);
        let hundred_bits = fifty_bits.squared_times(50).times(&fifty_bits);
        let two_hundred_bits = hundred_bits.squared_times(100).times(&hundred_bits);
        let long = two_hundred_bits.squared_times(50).times(&fifty_bits);
        (long, eleven)
    }

    /// The inverse, the power p - 2; zero for zero.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn inverse(&self) -> Self {
        let (long, eleven) = self.long_power();
        long.squared_times(5).times(&eleven)
    }

    /// The power (p - 5) / 8, which square roots are made of.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn root_power(&self) -> Self {
        let (long, _) = self.long_power();
        long.squared_times(2).times(self)
    }

    /// Swaps two elements in all lanes if `swap` is one, and not if it is zero.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn swap(left: &mut Self, right: &mut Self, swap: u64) {
        let mask = _mm512_set1_epi64(0_u64.wrapping_sub(swap).cast_signed());
        for (left, right) in left.0.iter_mut().zip(&mut right.0) {
            let change = _mm512_and_si512(mask, _mm512_xor_si512(*left, *right));
            *left = _mm512_xor_si512(*left, change);
            *right = _mm512_xor_si512(*right, change);
        }
    }

    /// Takes `other` in the lanes whose bit is set.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn replace(&mut self, lanes: u8, other: &Self) {
        for (limb, other) in self.0.iter_mut().zip(&other.0) {
            *limb = _mm512_mask_mov_epi64(*limb, lanes, *other);
        }
    }

    /// The lanes, one bit each, in which the element is zero.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn zeros(&self) -> u8 {
        bits(self.to_bytes().map(|bytes| bytes == [0; 32]))
    }

    /// The lanes in which the element's one encoding is odd.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn odd(&self) -> u8 {
        bits(self.to_bytes().map(|bytes| bytes[0] & 1 == 1))
    }

    /// Lane i gets what lane i + `by` holds.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn rotated(&self, by: usize) -> Self {
        let mut rotated = *self;
        for vector in &mut rotated.0 {
            let mut lanes = to_lanes(*vector);
            lanes.rotate_left(by);
            *vector = from_lanes(&lanes);
        }
        rotated
    }
}

/// Eight small public numbers, one for each lane.
pub(super) struct Digits {
    numbers: __m512i,
    magnitudes: __m512i,
}

impl Digits {
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn new(numbers: &[i64; LANES]) -> Self {
        let numbers = from_lanes(&numbers.map(i64::cast_unsigned));
        Self {
            numbers,
            magnitudes: _mm512_abs_epi64(numbers),
        }
    }

    /// The lanes of the numbers that are `value` or -`value`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn of_magnitude(&self, value: i64) -> u8 {
        _mm512_cmpeq_epi64_mask(self.magnitudes, _mm512_set1_epi64(value))
    }

    /// The lanes of the numbers below zero.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn negative(&self) -> u8 {
        _mm512_cmplt_epi64_mask(self.numbers, _mm512_setzero_si512())
    }
}

impl Zeroize for Element {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// One bit for each lane.
pub(super) fn bits(lanes: [bool; LANES]) -> u8 {
    (0..)
        .zip(lanes)
        .fold(0, |bits, (lane, set)| bits | u8::from(set) << lane)
}

/// Limbs 5 to 9 stand for 19 times limbs 0 to 4.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn folded(limbs: &[__m512i; 2 * LIMBS]) -> Element {
    let mut folded = [_mm512_setzero_si512(); LIMBS];
    for i in 0..LIMBS {
        let upper = limbs[i + LIMBS];
        // 19 = 1 + 2 (1 + 8); limbs are below 2^56.
        let nine = _mm512_add_epi64(upper, _mm512_slli_epi64::<3>(upper));
        let with_one = _mm512_add_epi64(limbs[i], upper);
        folded[i] = _mm512_add_epi64(with_one, _mm512_add_epi64(nine, nine));
    }
    carried(folded)
}

/// Carries limbs of up to 61 bits: afterwards they are below 2^51 + 2^16.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn carried(limbs: [__m512i; LIMBS]) -> Element {
    let mask = _mm512_set1_epi64(MASK.cast_signed());
    let mut kept = limbs;
    let mut carries = limbs;
    for (kept, carry) in kept.iter_mut().zip(&mut carries) {
        *carry = _mm512_srli_epi64::<51>(*kept);
        *kept = _mm512_and_si512(*kept, mask);
    }
    kept[0] = _mm512_madd52lo_epu64(kept[0], carries[LIMBS - 1], _mm512_set1_epi64(WRAP));
    for i in 1..LIMBS {
        kept[i] = _mm512_add_epi64(kept[i], carries[i - 1]);
    }
    Element(kept)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn from_lanes(lanes: &[u64; LANES]) -> __m512i {
    let [a, b, c, d, e, f, g, h] = lanes.map(u64::cast_signed);
    _mm512_set_epi64(h, g, f, e, d, c, b, a)
}

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "the lanes of a vector are its bytes")]
fn to_lanes(vector: __m512i) -> [u64; LANES] {
    // SAFETY: both are 64 bytes of which every pattern is a value.
    unsafe { core::mem::transmute::<__m512i, [u64; LANES]>(vector) }
}

/// Bits [51 i, 51 i + 51) of the first 255.
fn limbs_of(bytes: &[u8; 32]) -> [u64; LIMBS] {
    let (words, _) = bytes.as_chunks::<8>();
    let word = |at: usize| words.get(at).map_or(0, |word| u64::from_le_bytes(*word));
    [
        word(0) & MASK,
        (word(0) >> 51 | word(1) << 13) & MASK,
        (word(1) >> 38 | word(2) << 26) & MASK,
        (word(2) >> 25 | word(3) << 39) & MASK,
        word(3) >> 12 & MASK,
    ]
}

/// The number below the prime that limbs below 2^52 stand for.
fn canonical(mut limbs: [u64; LIMBS]) -> [u8; 32] {
    // Twice, after which the value is below 2^255 + 2^7; it is then below twice the prime.
    for _ in 0..2 {
        let mut carry = 0;
        for limb in &mut limbs {
            *limb += carry;
            carry = *limb >> 51;
            *limb &= MASK;
        }
        limbs[0] += 19 * carry;
    }
    // Whether it is not below the prime: whether 19 more reach 2^255.
    let mut quotient = 19;
    for limb in limbs {
        quotient = (limb + quotient) >> 51;
    }
    let mut carry = 19 * quotient;
    for limb in &mut limbs {
        *limb += carry;
        carry = *limb >> 51;
        *limb &= MASK;
    }
    let [a, b, c, d, e] = limbs;
    let words = [
        a | b << 51,
        b >> 13 | c << 38,
        c >> 26 | d << 25,
        d >> 39 | e << 12,
    ];
    let mut bytes = [0; 32];
    let (chunks, _) = bytes.as_chunks_mut::<8>();
    for (chunk, word) in chunks.iter_mut().zip(words) {
        *chunk = word.to_le_bytes();
    }
    limbs.zeroize();
    bytes
}

pub(super) const LIMBS: usize = 5;
const MASK: u64 = (1 << 51) - 1;
/// 2^255 is 19.
const WRAP: i64 = 19;
const FOUR_PRIMES: [u64; LIMBS] = [4 * (MASK - 18), 4 * MASK, 4 * MASK, 4 * MASK, 4 * MASK];
