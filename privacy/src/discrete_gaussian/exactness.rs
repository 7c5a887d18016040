// SPDX-License-Identifier: Apache-2.0
//! The arithmetic of the sampler against numbers of hundreds of bits: what it gives out is computed, not
//! estimated, and compared with what it should.

use std::collections::VecDeque;

use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use dashu_int::{IBig, UBig};

use super::*;

/// Units of the exact numbers: 2^-PRECISION.
const PRECISION: usize = 400;

#[test]
fn the_distance_from_exact_is_below_two_to_the_minus_120() {
    for scale in [2_u64, 3, 12, 1178] {
        let (mass, farthest) = (masses(scale), 12 * scale);
        let total = both_signs(mass.iter());
        let acceptance = Acceptance::new(scale);
        // Out of 2^256 k candidates of each sign: how many give y.
        let given: Vec<UBig> = (0..farthest)
            .map(|y| {
                let (x, u) = (y / scale, y % scale);
                let numerator = u128::from(u) * u128::from(u + 2 * x * scale);
                let base = half_gaussian::tests::probability(x).unwrap();
                UBig::from(base) * UBig::from(acceptance.threshold_exactly(numerator))
            })
            .collect();
        let all_given = both_signs(given.iter());
        let nothing = UBig::from(0_u8);
        let difference = mass.iter().enumerate().map(|(y, mass)| {
            let given = given.get(y).unwrap_or(&nothing);
            let difference = IBig::from(given * &total) - IBig::from(mass * &all_given);
            UBig::try_from(difference.clone())
                .or(UBig::try_from(-difference))
                .unwrap()
        });
        let differences: Vec<UBig> = difference.collect();
        // Twice the total variation.
        let distance = both_signs(differences.iter());
        assert!((distance << 119) < total * all_given, "scale {scale}");
    }
}

#[test]
fn thresholds_of_small_scales_are_the_roots_that_they_should_be() {
    // 2^(-N/k^2) as a k^2-th root: no series, no logarithm.
    for scale in [2_u64, 3, 12] {
        let (acceptance, square) = (Acceptance::new(scale), scale * scale);
        for (x, u) in (0..=11).flat_map(|x| (0..scale).map(move |u| (x, u))) {
            let numerator = u * (u + 2 * x * scale);
            let threshold = UBig::from(acceptance.threshold_exactly(numerator.into()));
            let root = UBig::from(1_u8) << usize::try_from(128 * square - numerator).unwrap();
            let power = |base: UBig| base.pow(usize::try_from(square).unwrap());
            let slack = UBig::from(16_u8);
            assert!(power(&threshold + &slack) > root, "k {scale} x {x} u {u}");
            assert!(
                threshold <= slack || power(threshold - slack) < root,
                "k {scale} x {x} u {u}"
            );
        }
    }
}

#[test]
fn sixty_four_bits_decide_as_all_bits_would_or_leave_it_open() {
    let mut random = InsecureSeededRandom::from_seed(64);
    for scale in [2, 3, 12, 1178, 20_001, 1_177_411, (1 << 30) - 1, 1 << 30] {
        let acceptance = Acceptance::new(scale);
        let mut largest = 0;
        for _ in 0..4_000 {
            let numerators: [u64; LANES] = std::array::from_fn(|_| {
                // The ends of the range more often than chance would have them.
                let u = match random.next_u64() % 10 {
                    0 => 0,
                    1 => scale - 1,
                    _ => random.next_u64() % scale,
                };
                let x = random.next_u64() % 8;
                u * (u + 2 * x * scale)
            });
            let exact = numerators.map(|numerator| acceptance.threshold_exactly(numerator.into()));
            let near = exact.map(|exact| {
                let step = (random.next_u64() % 129).wrapping_sub(64);
                ((exact >> 64) as u64).wrapping_add(step)
            });
            for upper in [near, near.map(|_| random.next_u64())] {
                let decided = acceptance.decide(numerators, upper);
                for lane in 0..LANES {
                    let (below, open) = decided[lane];
                    let word = u128::from(upper[lane]) << 64;
                    let ends = [word, word | u128::from(u64::MAX)];
                    let settled =
                        ends.map(|end| acceptance.decide_exactly(numerators[lane].into(), end));
                    assert!(
                        open || settled == [below; 2],
                        "k {scale} N {}",
                        numerators[lane]
                    );
                    let true_distance = ((exact[lane] >> 64) as u64).abs_diff(upper[lane]);
                    if open && true_distance < 1 << 63 {
                        largest = largest.max(true_distance);
                    }
                }
            }
        }
        // Open within 16 of the faster threshold, which is within 9 of the exact one.
        assert!(largest < 16 + 9, "{largest}");
    }
}

#[test]
fn thresholds_of_large_scales_agree_with_a_longer_series() {
    let mut random = InsecureSeededRandom::from_seed(128);
    for scale in [20_001_u64, 1_177_411, 1 << 30] {
        let acceptance = Acceptance::new(scale);
        for _ in 0..100 {
            let (u, x) = (random.next_u64() % scale, random.next_u64() % 12);
            let numerator = u128::from(u) * u128::from(u + 2 * x * scale);
            let threshold = UBig::from(acceptance.threshold_exactly(numerator));
            let exact = power_of_two(numerator, u128::from(scale * scale)) >> (PRECISION - 128);
            let slack = UBig::from(16_u8);
            assert!(&threshold + &slack >= exact && exact + slack >= threshold);
        }
    }
}

#[test]
fn samples_equal_a_slow_reading_of_the_definition() {
    // From the same words, with numbers of 400 bits and comparisons that stop where they may.
    let bases: Vec<UBig> = (0..12_usize)
        .map(|x| UBig::from(1_u8) << (144 - x * x))
        .collect();
    let all: UBig = bases.iter().sum();
    for scale in [2_u64, 12, 1178, 1_177_411] {
        let (square, wide) = (u128::from(scale * scale), u128::from(scale));
        let mut random = InsecureSeededRandom::from_seed(scale);
        let mut expected = Vec::new();
        for _ in 0..2 * CANDIDATES {
            let [base, place, acceptance] = std::array::from_fn(|_| random.next_u64());
            let reached =
                |x: &usize| UBig::from(base) * &all < bases[*x..].iter().sum::<UBig>() << 64;
            let x = (1..12).take_while(reached).count() as u128;
            let product = (u128::from(place) * 2 * wide) >> 64;
            let (u, negative) = (product / 2, product % 2 == 1);
            let probability = power_of_two(u * (u + 2 * wide * x), square);
            let y = i64::try_from(wide * x + u).unwrap();
            let accepted = UBig::from(acceptance) << (PRECISION - 64) < probability;
            if accepted && !(negative && y == 0) {
                expected.push(if negative { -y } else { y });
            }
        }
        let mut random = InsecureSeededRandom::from_seed(scale);
        let gaussian = DiscreteGaussian::new(scale).unwrap();
        assert_eq!(
            gaussian.sample_vector(expected.len(), &mut random),
            expected
        );
    }
}

#[test]
fn a_word_that_equals_a_table_entry_is_settled_by_the_words_drawn_after_it() {
    let gaussian = DiscreteGaussian::new(12).unwrap();
    let entry = 6_655_682_066_141_302_774;
    assert!(half_gaussian::decide(entry).1);
    // u = 5, positive; accepted whatever the rest, unless x is large.
    let place = (10_u64 << 60) / 24 * 16 + (1 << 58);
    let mut values = Vec::new();
    for rest in [0, u64::MAX] {
        let mut script = Script(VecDeque::from([entry, place, 0, rest, 7]));
        values.push(gaussian.sample(&mut script));
        assert!(
            script.0.is_empty(),
            "both halves were drawn, and nothing else"
        );
    }
    assert_eq!(values, [12 + 5, 5]);
}

#[test]
fn a_negative_zero_is_never_given_out() {
    let gaussian = DiscreteGaussian::new(12).unwrap();
    for (place, value) in [
        (1 << 58, Some(0)),
        ((1_u64 << 60) / 24 * 16 + (1 << 58), None),
    ] {
        let draw = Draw {
            base: u64::MAX,
            place,
            acceptance: 1 << 40,
        };
        let fast = &gaussian.judge([draw; LANES])[0];
        let exact = gaussian.judge_exactly(draw, 3, 3);
        assert!(!fast.open);
        for candidate in [fast, &exact] {
            assert_eq!(candidate.accepted.then_some(candidate.value), value);
        }
    }
}

#[test]
fn a_word_that_would_favour_small_values_is_rejected() {
    // 2^64 mod 24 = 16 words too many: their products with 24 have a lower half below 16.
    let gaussian = DiscreteGaussian::new(12).unwrap();
    assert_eq!(gaussian.surplus, 16);
    let rejected: Vec<u64> = (0..24_u64)
        .map(|product| u64::try_from((u128::from(product) << 64).div_ceil(24)).unwrap())
        .filter(|word| !gaussian.place(*word).2)
        .collect();
    assert_eq!(rejected.len(), 16);
    assert!(rejected.iter().all(|word| gaussian.place(word + 1).2));
}

/// Gives out these words, and then only words of candidates that are rejected.
struct Script(VecDeque<u64>);

impl RandomSource for Script {
    fn fill(&mut self, bytes: &mut [u8]) {
        let (candidates, _) = bytes.as_chunks_mut::<CANDIDATE_BYTES>();
        for (index, candidate) in candidates.iter_mut().enumerate() {
            let words = candidate.as_chunks_mut::<8>().0;
            for word in words {
                let rejected = u64::MAX - 1_000;
                let scripted = if index == 0 { self.0.pop_front() } else { None };
                *word = scripted.unwrap_or(rejected).to_le_bytes();
            }
        }
    }

    fn next_u64(&mut self) -> u64 {
        self.0.pop_front().expect("a scripted word")
    }
}

/// 2^(-y^2/k^2) for y from 0 until it vanishes.
fn masses(scale: u64) -> Vec<UBig> {
    let square = u128::from(scale * scale);
    let mut mass = UBig::from(1_u8) << PRECISION;
    // From y to y + 1: a factor of 2^(-(2y + 1)/k^2), which itself changes by 2^(-2/k^2).
    let mut step = power_of_two(1, square);
    let change = power_of_two(2, square);
    let mut masses = Vec::new();
    while mass > UBig::from(1_u8) << (PRECISION - 300) {
        masses.push(mass.clone());
        mass = (mass * &step) >> PRECISION;
        step = (step * &change) >> PRECISION;
    }
    masses
}

/// 2^(-numerator/denominator).
fn power_of_two(numerator: u128, denominator: u128) -> UBig {
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    let one = IBig::from(1_u8) << PRECISION;
    // ln 2 = sum of 2/((2j + 1) 3^(2j + 1)).
    let ln_2: IBig = (0..PRECISION / 3)
        .map(|j| IBig::from(2_u8) * &one / IBig::from(2 * j + 1) / IBig::from(3_u8).pow(2 * j + 1))
        .sum();
    let exponent = ln_2 * IBig::from(rest) / IBig::from(denominator);
    let (mut sum, mut term) = (one.clone(), one);
    for number in 1_u32.. {
        term = -((term * &exponent) >> PRECISION) / IBig::from(number);
        if term == IBig::from(0_u8) {
            break;
        }
        sum += &term;
    }
    UBig::try_from(sum).unwrap() >> usize::try_from(whole).unwrap()
}

/// The sum over all integers of what is given for 0, 1, 2, ...
fn both_signs<'a>(given: impl Iterator<Item = &'a UBig>) -> UBig {
    given
        .zip([1_u8].into_iter().chain(std::iter::repeat(2)))
        .map(|(value, signs)| value * UBig::from(signs))
        .sum()
}
