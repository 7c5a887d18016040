// SPDX-License-Identifier: Apache-2.0
//! Sums of many products by Straus' method: all products go through the digits of their scalars together, so that
//! doublings are shared. Each lane sums the products that fall to it; the lanes are added at the end.
//!
//! COST: points that are prepared go through half as many doublings as others with long scalars. Without any of
//! those, doublings are as few as short scalars take.

use super::edwards::{Addends, Points};
use super::field::{Digits, bits};
use super::prepared::{Prepared, PreparedGroup, WIDTH};
use crate::{LANES, NEUTRAL, Product};

/// Whether all points exist, none of `short` has small order, and 8 times the sum of all products is neutral.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn sum_vanishes(
    prepared: &[(&Prepared, [u8; 32])],
    long: &[Product],
    short: &[Product],
) -> bool {
    let prepared: Vec<PreparedGroup<'_>> = prepared
        .chunks(LANES)
        .filter_map(PreparedGroup::new)
        .collect();
    let mut groups = Vec::with_capacity(long.len().div_ceil(LANES) + short.len().div_ceil(LANES));
    for products in long.chunks(LANES) {
        let Some((group, _)) = Group::new(products, DIGITS) else {
            return false;
        };
        groups.push(group);
    }
    for products in short.chunks(LANES) {
        let Some((group, points)) = Group::new(products, SHORT_DIGITS) else {
            return false;
        };
        let in_use = bits(std::array::from_fn(|lane| lane < products.len()));
        if points.doubled_times(3).neutrals() & in_use != 0 {
            return false;
        }
        groups.push(group);
    }
    let doublings = if long.is_empty() { BITS_OF_SHORT } else { BITS };
    let mut sums = Points::neutral();
    let mut behind = 0;
    for bit in (0..doublings).rev() {
        behind += 1;
        let (of_four, of_prepared) = (bit % 4 == 0, bit % WIDTH == 0);
        if !of_four && !of_prepared {
            continue;
        }
        sums = sums.doubled_times(behind);
        behind = 0;
        if of_four {
            for group in &groups {
                if let Some(digits) = group.digits.get(bit / 4) {
                    sums = group.add(&sums, digits);
                }
            }
        }
        if of_prepared {
            for group in &prepared {
                sums = group.add(sums, bit / WIDTH);
            }
        }
    }
    sums.total().doubled_times(3).neutrals() == u8::MAX
}

/// Up to eight products.
struct Group {
    /// 0 to 8 times each point.
    multiples: [Addends; 9],
    /// The digits of the scalars, the lowest first.
    digits: Vec<[i64; LANES]>,
}

impl Group {
    /// Nothing if a point does not exist. Lanes to spare hold the point with y = 1, the neutral element.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new(products: &[Product], length: usize) -> Option<(Self, Points)> {
        let mut encoded = [NEUTRAL; LANES];
        let mut digits = vec![[0; LANES]; length];
        for (lane, product) in products.iter().enumerate().take(LANES) {
            encoded[lane] = product.point;
            for (digits, digit) in digits.iter_mut().zip(digits_of(&product.scalar)) {
                digits[lane] = digit.into();
            }
        }
        let points = Points::decode(&encoded)?;
        let mut multiples = [Addends::neutral(); 9];
        multiples[1] = points.addends();
        let mut multiple = points;
        for at in 2..multiples.len() {
            multiple = multiple.plus(&multiples[1], 0);
            multiples[at] = multiple.addends();
        }
        Some((Self { multiples, digits }, points))
    }

    /// Adds to each lane its digit times its point.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add(&self, sums: &Points, digits: &[i64; LANES]) -> Points {
        let digits = Digits::new(digits);
        let mut chosen = self.multiples[0];
        for (value, multiple) in (1..).zip(&self.multiples[1..]) {
            chosen.replace(digits.of_magnitude(value), multiple);
        }
        sums.plus(&chosen, digits.negative())
    }
}

/// A scalar below 2^253 as 64 digits of -8 to 8 in base 16, the lowest first.
fn digits_of(scalar: &[u8; 32]) -> [i8; DIGITS] {
    let mut digits = [0; DIGITS];
    let mut carry = 0;
    for (at, digit) in digits.iter_mut().enumerate() {
        let nibble = scalar[at / 2] >> (4 * (at % 2)) & 0xf;
        let value = nibble + carry;
        carry = u8::from(value > 8);
        *digit = (value.cast_signed()) - (carry << 4).cast_signed();
    }
    digits
}

/// Digits of a scalar below 2^253: the highest takes the last carry.
const DIGITS: usize = 64;
/// Digits of a scalar below 2^128.
const SHORT_DIGITS: usize = 33;
/// The place of the highest bit of any digit, and one more.
const BITS: usize = 4 * (DIGITS - 1) + 1;
/// The same without long scalars; those of prepared points reach no higher.
const BITS_OF_SHORT: usize = 4 * (SHORT_DIGITS - 1) + 1;
