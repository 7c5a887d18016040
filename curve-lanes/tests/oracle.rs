// SPDX-License-Identifier: Apache-2.0
//! Every answer against the crates of dalek, which share no code with ours. On processors without the instructions
//! these tests say that they are skipped.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use consilium_curve_lanes::{EightLanes, LANES, PreparedPoint, Product};
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use sha2::{Digest, Sha512};

fn lanes() -> Option<EightLanes> {
    let lanes = EightLanes::find();
    if lanes.is_none() {
        eprintln!("SKIPPED: this processor has no AVX-512 IFMA");
    }
    lanes
}

/// Repeatable bytes.
struct Drawn(u64);

impl Drawn {
    fn wide(&mut self) -> [u8; 64] {
        self.0 += 1;
        Sha512::digest(self.0.to_le_bytes()).into()
    }

    fn bytes(&mut self) -> [u8; 32] {
        *self.wide().first_chunk().unwrap()
    }

    fn scalar(&mut self) -> Scalar {
        Scalar::from_bytes_mod_order_wide(&self.wide())
    }

    fn short_scalar(&mut self) -> Scalar {
        Scalar::from(u128::from_le_bytes(*self.wide().first_chunk().unwrap()))
    }

    fn point(&mut self) -> EdwardsPoint {
        ED25519_BASEPOINT_POINT * self.scalar()
    }
}

fn oracle(scalar: [u8; 32], point: [u8; 32]) -> [u8; 32] {
    let secret = x25519_dalek::StaticSecret::from(scalar);
    let shared = secret.diffie_hellman(&x25519_dalek::PublicKey::from(point));
    *shared.as_bytes()
}

fn hexadecimal(text: &str) -> [u8; 32] {
    let digits: Vec<u8> = text
        .bytes()
        .map(|digit| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap())
        .collect();
    let (pairs, _) = digits.as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().unwrap()
}

#[test]
fn random_agreements_are_those_of_the_oracle() {
    let Some(lanes) = lanes() else { return };
    let mut drawn = Drawn(1);
    for _ in 0..100 {
        let scalar = drawn.bytes();
        // Half of all bytes are points of the twist, and of every point the highest bit counts for nothing.
        let points: [[u8; 32]; LANES] = std::array::from_fn(|_| drawn.bytes());
        let agreed = lanes.multiply(&scalar, &points);
        assert_eq!(agreed, points.map(|point| oracle(scalar, point)));
    }
}

#[test]
fn agreements_at_the_edges_of_the_field_are_those_of_the_oracle() {
    let Some(lanes) = lanes() else { return };
    let mut drawn = Drawn(2);
    let mut edges = Vec::new();
    // All limbs full, 0 to 19 around the prime and around 2^255, single bits, and every point of small order.
    for low in 0xda..=0xff {
        for high in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, high);
            edges.push(bytes);
        }
    }
    for bit in 0..256 {
        let mut bytes = [0; 32];
        bytes[bit / 8] = 1 << (bit % 8);
        edges.push(bytes);
        edges.push(bytes.map(|byte| !byte));
    }
    for low in 0..20 {
        let mut bytes = [0; 32];
        bytes[0] = low;
        edges.push(bytes);
    }
    edges.extend(EIGHT_TORSION.map(|point| point.to_montgomery().to_bytes()));
    let scalars = [[0; 32], [0xff; 32], drawn.bytes(), drawn.bytes()];
    for points in edges.chunks(LANES) {
        let mut eight = [[9; 32]; LANES];
        eight[..points.len()].copy_from_slice(points);
        for scalar in scalars {
            let agreed = lanes.multiply(&scalar, &eight);
            assert_eq!(agreed, eight.map(|point| oracle(scalar, point)));
        }
    }
}

#[test]
fn points_of_small_order_give_zeros() {
    let Some(lanes) = lanes() else { return };
    let points = EIGHT_TORSION.map(|point| point.to_montgomery().to_bytes());
    let agreed = lanes.multiply(&Drawn(3).bytes(), &points);
    assert_eq!(agreed, [[0; 32]; LANES]);
}

#[test]
fn the_vectors_of_rfc_7748_come_out_in_every_lane() {
    let Some(lanes) = lanes() else { return };
    // Section 5.2, the two single vectors.
    for (scalar, point, expected) in [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ] {
        let agreed = lanes.multiply(&hexadecimal(scalar), &[hexadecimal(point); LANES]);
        assert_eq!(agreed, [hexadecimal(expected); LANES]);
    }
    // The thousandth iteration.
    let mut base = [0; 32];
    base[0] = 9;
    let (mut scalar, mut point) = (base, base);
    for _ in 0..1000 {
        let [agreed, ..] = lanes.multiply(&scalar, &[point; LANES]);
        (scalar, point) = (agreed, scalar);
    }
    let expected = "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51";
    assert_eq!(scalar, hexadecimal(expected));
}

type Terms = Vec<(EdwardsPoint, Scalar)>;

/// Products whose sum is the given point: `long` with random scalars, `short` with scalars below 2^128.
fn products(drawn: &mut Drawn, (long, short): (usize, usize), sum: EdwardsPoint) -> (Terms, Terms) {
    let mut longer: Vec<_> = (1..long).map(|_| (drawn.point(), drawn.scalar())).collect();
    let shorter: Vec<_> = (0..short)
        .map(|_| (drawn.point(), drawn.short_scalar()))
        .collect();
    let so_far: EdwardsPoint = longer
        .iter()
        .chain(&shorter)
        .map(|(point, scalar)| point * scalar)
        .sum();
    let last = drawn.scalar();
    longer.push(((sum - so_far) * last.invert(), last));
    (longer, shorter)
}

fn encoded(products: &[(EdwardsPoint, Scalar)]) -> Vec<Product> {
    products
        .iter()
        .map(|(point, scalar)| Product {
            point: point.compress().to_bytes(),
            scalar: scalar.to_bytes(),
        })
        .collect()
}

/// What is promised, by dalek and one product after the other.
fn expected(long: &[Product], short: &[Product]) -> bool {
    let mut sum = EdwardsPoint::default();
    for (product, is_short) in long
        .iter()
        .map(|product| (product, false))
        .chain(short.iter().map(|product| (product, true)))
    {
        let Some(point) = CompressedEdwardsY(product.point).decompress() else {
            return false;
        };
        if is_short && point.is_small_order() {
            return false;
        }
        sum += point * Scalar::from_bytes_mod_order(product.scalar);
    }
    sum.mul_by_cofactor().is_identity()
}

#[test]
fn a_sum_vanishes_when_the_oracle_says_so() {
    let Some(lanes) = lanes() else { return };
    let mut drawn = Drawn(4);
    for long in 2..20 {
        for short in [0, 1, 7, 8, 9, 30] {
            let zero = EdwardsPoint::default();
            let (longer, shorter) = products(&mut drawn, (long, short), zero);
            let (longer, shorter) = (encoded(&longer), encoded(&shorter));
            assert!(expected(&longer, &shorter));
            assert!(lanes.sum_vanishes(&[], &longer, &shorter));

            // One bit of any scalar, or one point for another.
            let mut other = longer.clone();
            other[long - 1].scalar[long] ^= 1 << (short % 8);
            assert!(!expected(&other, &shorter));
            assert!(!lanes.sum_vanishes(&[], &other, &shorter));
            let mut other = longer.clone();
            other[long / 2].point = drawn.point().compress().to_bytes();
            assert!(!lanes.sum_vanishes(&[], &other, &shorter));
            if let Some(last) = short.checked_sub(1) {
                let mut other = shorter.clone();
                other[last].scalar[short % 16] ^= 0x80;
                assert!(!lanes.sum_vanishes(&[], &longer, &other));
            }
        }
    }
}

#[test]
fn parts_of_small_order_vanish_and_no_others_do() {
    let Some(lanes) = lanes() else { return };
    let mut drawn = Drawn(5);
    for torsion in EIGHT_TORSION {
        let (mut long, mut short) = products(&mut drawn, (5, 11), torsion);
        assert!(lanes.sum_vanishes(&[], &encoded(&long), &encoded(&short)));
        long[1].0 += torsion;
        short[9].0 += EIGHT_TORSION[3];
        assert!(lanes.sum_vanishes(&[], &encoded(&long), &encoded(&short)));
    }
    let (long, short) = products(&mut drawn, (5, 11), ED25519_BASEPOINT_POINT);
    assert!(!lanes.sum_vanishes(&[], &encoded(&long), &encoded(&short)));
}

#[test]
fn a_point_of_small_order_is_refused_among_the_short_and_counts_for_nothing_among_the_long() {
    let Some(lanes) = lanes() else { return };
    let mut drawn = Drawn(6);
    let (long, short) = products(&mut drawn, (3, 9), EdwardsPoint::default());
    let (long, short) = (encoded(&long), encoded(&short));
    let mut small = EIGHT_TORSION
        .map(|point| point.compress().to_bytes())
        .to_vec();
    // The neutral element and the point of order 2 with the sign of an x that is zero.
    for at in [0, 4] {
        let mut signed = small[at];
        signed[31] |= 0x80;
        small.push(signed);
    }
    for point in small {
        for at in [0, 5, 8, 9] {
            let scalar = drawn.short_scalar().to_bytes();
            let mut with = short.clone();
            with.insert(at, Product { point, scalar });
            assert!(!lanes.sum_vanishes(&[], &long, &with));
            let mut with = long.clone();
            with.insert(at.min(3), Product { point, scalar });
            assert!(expected(&with, &short));
            assert!(lanes.sum_vanishes(&[], &with, &short));
        }
    }
}

#[test]
fn what_is_no_point_is_refused_and_what_is_one_is_not() {
    let Some(lanes) = lanes() else { return };
    let mut drawn = Drawn(7);
    let mut edges: Vec<[u8; 32]> = (0..200).map(|_| drawn.bytes()).collect();
    for low in 0..=0xff {
        for (rest, high) in [(0, 0), (0, 0x80), (0xff, 0x7f), (0xff, 0xff)] {
            let mut bytes = [rest; 32];
            (bytes[0], bytes[31]) = (low, high);
            edges.push(bytes);
        }
    }
    let mut points = 0;
    for point in edges {
        let product = [Product {
            point,
            scalar: [0; 32],
        }];
        let exists = CompressedEdwardsY(point).decompress().is_some();
        points += usize::from(exists);
        assert_eq!(
            lanes.sum_vanishes(&[], &product, &[]),
            exists,
            "{point:02x?}"
        );
        assert_eq!(
            lanes.sum_vanishes(&[], &[], &product),
            expected(&[], &product)
        );
    }
    assert!(points > 400);
}

#[test]
fn decoded_points_are_those_of_the_oracle() {
    let Some(lanes) = lanes() else { return };
    let mut drawn = Drawn(8);
    let minus_one = (-Scalar::ONE).to_bytes();
    for _ in 0..300 {
        let bytes = drawn.bytes();
        let Some(point) = CompressedEdwardsY(bytes).decompress() else {
            continue;
        };
        // Its multiple by dalek, less itself, less another that only the decoded point can make vanish.
        let scalar = drawn.scalar();
        let long = [
            Product {
                point: bytes,
                scalar: scalar.to_bytes(),
            },
            Product {
                point: (point * scalar).compress().to_bytes(),
                scalar: minus_one,
            },
        ];
        assert!(lanes.sum_vanishes(&[], &long, &[]));
    }
}

/// Products with these points as prepared ones.
fn vanishes_prepared(lanes: EightLanes, prepared: &[Product], short: &[Product]) -> bool {
    let points: Vec<[u8; 32]> = prepared.iter().map(|product| product.point).collect();
    let points = lanes.prepare(&points).unwrap();
    let products: Vec<(&PreparedPoint, [u8; 32])> = points
        .iter()
        .zip(prepared)
        .map(|(point, product)| (point, product.scalar))
        .collect();
    let answer = lanes.sum_vanishes(&products, &[], short);
    // The same with half of them unprepared.
    let (kept, others) = prepared.split_at(prepared.len() / 2);
    let mixed = lanes.sum_vanishes(&products[..kept.len()], others, short);
    assert_eq!(answer, mixed);
    answer
}

#[test]
fn sums_over_prepared_points_vanish_when_the_oracle_says_so() {
    let Some(lanes) = lanes() else { return };
    let mut drawn = Drawn(9);
    for long in [1, 2, 7, 8, 9, 17] {
        for short in [0, 1, 8, 30] {
            let zero = EdwardsPoint::default();
            let (longer, shorter) = products(&mut drawn, (long, short), zero);
            let (longer, shorter) = (encoded(&longer), encoded(&shorter));
            assert!(expected(&longer, &shorter));
            assert!(vanishes_prepared(lanes, &longer, &shorter));
            let other = drawn.point().compress().to_bytes();
            for at in 0..long {
                let mut changed = longer.clone();
                changed[at].point = other;
                assert_eq!(
                    vanishes_prepared(lanes, &changed, &shorter),
                    expected(&changed, &shorter)
                );
            }
        }
    }
}

#[test]
fn any_bit_of_a_scalar_counts_for_a_prepared_point() {
    let Some(lanes) = lanes() else { return };
    let mut drawn = Drawn(10);
    let point = drawn.point();
    let prepared = lanes.prepare(&[point.compress().to_bytes()]).unwrap();
    // Digits of all ones, of all zeros, and single bits at every place; 252 bits are below the order of the points.
    let mut scalars: Vec<[u8; 32]> = (0..253)
        .map(|bit| {
            let mut scalar = [0; 32];
            scalar[bit / 8] = 1 << (bit % 8);
            scalar
        })
        .collect();
    for bits in 0..=253 {
        let mut ones = [0; 32];
        for bit in 0..bits {
            ones[bit / 8] |= 1 << (bit % 8);
        }
        scalars.push(ones);
    }
    for scalar in scalars {
        let product = point * Scalar::from_bytes_mod_order(scalar);
        let minus = Product {
            point: (-product).compress().to_bytes(),
            scalar: Scalar::ONE.to_bytes(),
        };
        assert!(lanes.sum_vanishes(&[(&prepared[0], scalar)], &[minus], &[]));
        let mut other = scalar;
        other[0] ^= 1;
        assert!(!lanes.sum_vanishes(&[(&prepared[0], other)], &[minus], &[]));
    }
}

#[test]
fn prepared_points_with_parts_of_small_order_count_as_the_oracle_says() {
    let Some(lanes) = lanes() else { return };
    let mut drawn = Drawn(11);
    for torsion in EIGHT_TORSION {
        let (mut long, short) = products(&mut drawn, (9, 11), EdwardsPoint::default());
        for (point, _) in &mut long {
            *point += torsion;
        }
        assert!(vanishes_prepared(lanes, &encoded(&long), &encoded(&short)));
        long.push((torsion, drawn.scalar()));
        assert!(vanishes_prepared(lanes, &encoded(&long), &encoded(&short)));
        long.push((drawn.point(), Scalar::ONE));
        assert!(!vanishes_prepared(lanes, &encoded(&long), &encoded(&short)));
    }
}

#[test]
fn what_is_no_point_is_not_prepared() {
    let Some(lanes) = lanes() else { return };
    let mut drawn = Drawn(12);
    let good = drawn.point().compress().to_bytes();
    for _ in 0..50 {
        let bytes = drawn.bytes();
        let exists = CompressedEdwardsY(bytes).decompress().is_some();
        for at in [0, 7, 8, 11] {
            let mut points = [good; 12];
            points[at] = bytes;
            assert_eq!(lanes.prepare(&points).is_some(), exists);
        }
    }
    assert!(lanes.prepare(&[]).unwrap().is_empty());
}
