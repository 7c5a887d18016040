// SPDX-License-Identifier: Apache-2.0
//! Points that meet many scalars: what can be computed of them beforehand.
//!
//! A scalar is written in digits of [`WIDTH`] bits with signs. The multiples that a digit can ask for are kept in the
//! form in which they are added, of the point itself for the lower half of the digits, and of 2^([`WIDTH`] [`HALF`])
//! times the point for the upper half: so both halves go through half of the doublings together.

use super::edwards::Points;
use super::field::{Digits, Element, LIMBS};
use crate::LANES;

/// The multiples of one point, as many as [`MULTIPLES`] for each half.
#[derive(Clone, Debug)]
pub(crate) struct Prepared(Box<[Multiple]>);

/// Y + X, Y - X and 2 d T with Z = 1, limb by limb: two lines of the cache.
#[repr(align(64))]
#[derive(Clone, Copy, Debug)]
struct Multiple([[u64; LIMBS]; 3]);

impl Prepared {
    /// Nothing unless all points exist.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn eight(encoded: &[[u8; 32]; LANES]) -> Option<[Self; LANES]> {
        let points = Points::decode(encoded)?;
        let mut multiples: [Vec<Multiple>; LANES] =
            std::array::from_fn(|_| Vec::with_capacity(2 * MULTIPLES));
        for start in [points, points.doubled_times(UPPER)] {
            let addends = start.addends();
            let mut of_start = vec![Points::neutral()];
            for _ in 1..MULTIPLES {
                of_start.extend(of_start.last().map(|multiple| multiple.plus(&addends, 0)));
            }
            for [sum, difference, t] in Points::affine_addends(&of_start) {
                let (sum, difference, t) = (sum.limbs(), difference.limbs(), t.limbs());
                for (lane, multiples) in multiples.iter_mut().enumerate() {
                    multiples.push(Multiple([sum[lane], difference[lane], t[lane]]));
                }
            }
        }
        Some(multiples.map(|multiples| Self(multiples.into())))
    }
}

/// Up to eight products with prepared points.
pub(super) struct PreparedGroup<'a> {
    points: [&'a Prepared; LANES],
    /// The digits of the scalars, the lowest first.
    digits: [[i64; LANES]; DIGITS],
}

impl<'a> PreparedGroup<'a> {
    /// Nothing if there are no products. Lanes to spare multiply the first point by zero.
    pub(super) fn new(products: &[(&'a Prepared, [u8; 32])]) -> Option<Self> {
        let (first, _) = products.first()?;
        let mut points = [*first; LANES];
        let mut digits = [[0; LANES]; DIGITS];
        for (lane, (point, scalar)) in products.iter().enumerate().take(LANES) {
            points[lane] = point;
            for (digits, digit) in digits.iter_mut().zip(digits_of(scalar)) {
                digits[lane] = digit.into();
            }
        }
        Some(Self { points, digits })
    }

    /// Adds to each lane what its digits at a place of both halves stand for.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn add(&self, sums: Points, place: usize) -> Points {
        let mut sums = sums;
        let lower = (place < HALF).then_some((place, 0));
        let upper = (place + HALF < DIGITS).then_some((place + HALF, MULTIPLES));
        for (at, first) in lower.into_iter().chain(upper) {
            let digits = &self.digits[at];
            let chosen: [&Multiple; LANES] = std::array::from_fn(|lane| {
                let magnitude = digits[lane].unsigned_abs() as usize;
                &self.points[lane].0[first + magnitude]
            });
            let part = |part: usize| chosen.map(|Multiple(parts)| &parts[part]);
            let addends = [
                Element::from_limbs(part(0)),
                Element::from_limbs(part(1)),
                Element::from_limbs(part(2)),
            ];
            sums = sums.plus_affine(&addends, Digits::new(digits).negative());
        }
        sums
    }
}

/// A scalar below 2^253 as digits of -2^([`WIDTH`] - 1) to 2^([`WIDTH`] - 1), the lowest first.
fn digits_of(scalar: &[u8; 32]) -> [i16; DIGITS] {
    let mut digits = [0; DIGITS];
    let mut carry = 0;
    for (at, digit) in digits.iter_mut().enumerate() {
        let (byte, shift) = (at * WIDTH / 8, at * WIDTH % 8);
        let low = scalar.get(byte).copied().unwrap_or(0);
        let high = scalar.get(byte + 1).copied().unwrap_or(0);
        let bits = u16::from_le_bytes([low, high]) >> shift & ((1 << WIDTH) - 1);
        let value = bits.cast_signed() + carry;
        carry = i16::from(value > 1 << (WIDTH - 1));
        *digit = value - (carry << WIDTH);
    }
    digits
}

/// Bits of a digit. COST: with one more, additions are an eighth fewer, and tables and their making twice as large.
pub(super) const WIDTH: usize = 7;
/// Digits of a scalar below 2^253: the highest takes the last carry.
const DIGITS: usize = 253_usize.div_ceil(WIDTH);
/// Digits of the lower half.
const HALF: usize = DIGITS.div_ceil(2);
/// What the upper half is counted in, as a power of two.
const UPPER: u32 = (WIDTH * HALF) as u32;
/// 0 to 2^([`WIDTH`] - 1) times a point.
const MULTIPLES: usize = (1 << (WIDTH - 1)) + 1;
