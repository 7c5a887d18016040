// SPDX-License-Identifier: Apache-2.0
//! Eight points of edwards25519 side by side, in extended coordinates ([Hisil et al. 2008]): x = X/Z, y = Y/Z, xy = T/Z.
//!
//! The formulas hold for all points, those of small order too. All points are public.
//!
//! [Hisil et al. 2008]: https://eprint.iacr.org/2008/522

use super::field::{Element, bits};
use crate::LANES;

#[derive(Clone, Copy)]
pub(super) struct Points {
    x: Element,
    y: Element,
    z: Element,
    t: Element,
}

/// Points in the form in which they are added: Y + X, Y - X, 2 Z, 2 d T.
#[derive(Clone, Copy)]
pub(super) struct Addends([Element; 4]);

impl Points {
    /// The neutral element in all lanes.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn neutral() -> Self {
        let (zero, one) = (Element::small(0), Element::small(1));
        Self {
            x: zero,
            y: one,
            z: one,
            t: zero,
        }
    }

    /// The points that these are the encodings of ([RFC 8032], section 5.1.3), with y modulo the prime and any sign of
    /// zero. Nothing unless all of them exist.
    ///
    /// [RFC 8032]: https://www.rfc-editor.org/rfc/rfc8032#section-5.1.3
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn decode(encoded: &[[u8; 32]; LANES]) -> Option<Self> {
        let one = Element::small(1);
        let y = Element::from_bytes(encoded);
        let y_squared = y.squared();
        let numerator = y_squared.minus(&one);
        let denominator = y_squared.times(&Element::splat(D)).plus(&one);
        // x = u v^3 (u v^7)^((p - 5) / 8), or that times the root of -1.
        let cubed = denominator.squared().times(&denominator);
        let seventh = cubed.squared().times(&denominator);
        let power = numerator.times(&seventh).root_power();
        let mut x = numerator.times(&cubed).times(&power);
        let square = denominator.times(&x.squared());
        let is_root = square.minus(&numerator).zeros();
        let is_other = square.plus(&numerator).zeros();
        x.replace(!is_root, &x.times(&Element::splat(ROOT_OF_MINUS_ONE)));
        if is_root | is_other != u8::MAX {
            return None;
        }
        let asked = bits(encoded.map(|bytes| bytes[31] >> 7 == 1));
        x.replace(x.odd() ^ asked, &x.negated());
        Some(Self {
            x,
            y,
            z: one,
            t: x.times(&y),
        })
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn addends(&self) -> Addends {
        Addends([
            self.y.plus(&self.x),
            self.y.minus(&self.x),
            self.z.plus(&self.z),
            self.t.times(&Element::splat(TWICE_D)),
        ])
    }

    /// The sum; in the lanes of `negative`, the difference.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn plus(&self, addends: &Addends, negative: u8) -> Self {
        let Addends([sum, difference, z, t]) = addends;
        self.combined(&[*sum, *difference, *t], self.z.times(z), negative)
    }

    /// The same with points whose Z is one.
    ///
    /// COST: a multiplication less.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn plus_affine(&self, addends: &[Element; 3], negative: u8) -> Self {
        self.combined(addends, self.z.plus(&self.z), negative)
    }

    /// Adds points given by Y + X, Y - X and 2 d T, where `d` is twice the product of both Z.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn combined(&self, [sum, difference, t]: &[Element; 3], d: Element, negative: u8) -> Self {
        let (mut own_factor, mut other_factor) = (*difference, *sum);
        own_factor.replace(negative, sum);
        other_factor.replace(negative, difference);
        let a = self.y.minus(&self.x).times(&own_factor);
        let b = self.y.plus(&self.x).times(&other_factor);
        let c = self.t.times(t);
        let (less, more) = (d.minus(&c), d.plus(&c));
        let (mut f, mut g) = (less, more);
        f.replace(negative, &more);
        g.replace(negative, &less);
        let (e, h) = (b.minus(&a), b.plus(&a));
        Self {
            x: e.times(&f),
            y: g.times(&h),
            z: f.times(&g),
            t: e.times(&h),
        }
    }

    /// Y + X, Y - X and 2 d T of the same points with Z = 1, for each of `points`.
    ///
    /// COST: one inversion for all (Montgomery's trick). No Z is zero.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn affine_addends(points: &[Self]) -> Vec<[Element; 3]> {
        let mut product = Element::small(1);
        let mut before = Vec::with_capacity(points.len());
        for point in points {
            before.push(product);
            product = product.times(&point.z);
        }
        let mut inverse = product.inverse();
        let mut addends = Vec::with_capacity(points.len());
        for (point, before) in points.iter().zip(&before).rev() {
            let own = inverse.times(before);
            inverse = inverse.times(&point.z);
            let (x, y) = (point.x.times(&own), point.y.times(&own));
            let t = x.times(&y).times(&Element::splat(TWICE_D));
            addends.push([y.plus(&x), y.minus(&x), t]);
        }
        addends.reverse();
        addends
    }

    /// 2^`count` times the points.
    ///
    /// COST: T is computed once, because only additions read it.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn doubled_times(&self, count: u32) -> Self {
        let mut doubled = *self;
        for left in (0..count).rev() {
            let a = doubled.x.squared();
            let b = doubled.y.squared();
            let z_squared = doubled.z.squared();
            let h = a.plus(&b);
            let e = h.minus(&doubled.x.plus(&doubled.y).squared());
            let g = a.minus(&b);
            let f = z_squared.plus(&z_squared).plus(&g);
            doubled.x = e.times(&f);
            doubled.y = g.times(&h);
            doubled.z = f.times(&g);
            if left == 0 {
                doubled.t = e.times(&h);
            }
        }
        doubled
    }

    /// The lanes that hold the neutral element.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn neutrals(&self) -> u8 {
        self.x.zeros() & self.y.minus(&self.z).zeros()
    }

    /// The sum of all lanes, in each of them.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn total(&self) -> Self {
        let mut total = *self;
        for by in [4, 2, 1] {
            let others = Self {
                x: total.x.rotated(by),
                y: total.y.rotated(by),
                z: total.z.rotated(by),
                t: total.t.rotated(by),
            };
            total = total.plus(&others.addends(), 0);
        }
        total
    }
}

impl Addends {
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn neutral() -> Self {
        Points::neutral().addends()
    }

    /// Takes `other` in the lanes whose bit is set.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn replace(&mut self, lanes: u8, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            own.replace(lanes, other);
        }
    }
}

/// d = -121665/121666.
const D: [u64; 5] = [
    929_955_233_495_203,
    466_365_720_129_213,
    1_662_059_464_998_953,
    2_033_849_074_728_123,
    1_442_794_654_840_575,
];

/// 2 d.
const TWICE_D: [u64; 5] = [
    1_859_910_466_990_425,
    932_731_440_258_426,
    1_072_319_116_312_658,
    1_815_898_335_770_999,
    633_789_495_995_903,
];

/// 2^((p - 1) / 4).
const ROOT_OF_MINUS_ONE: [u64; 5] = [
    1_718_705_420_411_056,
    234_908_883_556_509,
    2_233_514_472_574_048,
    2_117_202_627_021_982,
    765_476_049_583_133,
];
