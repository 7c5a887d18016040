// SPDX-License-Identifier: Apache-2.0
//! The ladder of [RFC 7748], section 5, with one scalar and eight points.
//!
//! SECURITY: the scalar decides which elements are swapped, by masks, and nothing else.
//!
//! [RFC 7748]: https://www.rfc-editor.org/rfc/rfc7748#section-5

use super::field::Element;
use crate::LANES;
use zeroize::Zeroize;

/// X25519 of the scalar with every u-coordinate.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn multiply(scalar: &[u8; 32], points: &[[u8; 32]; LANES]) -> [[u8; 32]; LANES] {
    let mut clamped = *scalar;
    clamped[0] &= 0xf8;
    clamped[31] = clamped[31] & 0x7f | 0x40;

    let u = Element::from_bytes(points);
    let (mut x2, mut z2) = (Element::small(1), Element::small(0));
    let (mut x3, mut z3) = (u, Element::small(1));
    let mut swapped = 0;
    for position in (0..255_usize).rev() {
        let bit = u64::from(clamped[position / 8] >> (position % 8) & 1);
        Element::swap(&mut x2, &mut x3, swapped ^ bit);
        Element::swap(&mut z2, &mut z3, swapped ^ bit);
        swapped = bit;

        let (sum, difference) = (x2.plus(&z2), x2.minus(&z2));
        let (sum_squared, difference_squared) = (sum.squared(), difference.squared());
        let (other_sum, other_difference) = (x3.plus(&z3), x3.minus(&z3));
        let (crossed, other_crossed) = (other_difference.times(&sum), other_sum.times(&difference));
        x3 = crossed.plus(&other_crossed).squared();
        z3 = u.times(&crossed.minus(&other_crossed).squared());
        x2 = sum_squared.times(&difference_squared);
        let gap = sum_squared.minus(&difference_squared);
        z2 = gap.times(&sum_squared.plus_small_multiple(&gap, A_MINUS_TWO_OVER_FOUR));
    }
    Element::swap(&mut x2, &mut x3, swapped);
    Element::swap(&mut z2, &mut z3, swapped);
    let agreed = x2.times(&z2.inverse()).to_bytes();
    for element in [&mut x2, &mut z2, &mut x3, &mut z3] {
        element.zeroize();
    }
    clamped.zeroize();
    agreed
}

/// (486662 - 2) / 4.
const A_MINUS_TWO_OVER_FOUR: u64 = 121_665;
