// SPDX-License-Identifier: Apache-2.0
//! Shares: every threshold subset, forged shares, and the foreign implementation.

use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_crypto::shamir::{
    Field, Interpolation, ShamirFault, Share, Threshold, combine, split,
};
use consilium_crypto::{Secret, Secret32};
use proptest::prelude::*;
use shamirsecretsharing::hazmat::{combine_keyshares, create_keyshares};

use crate::reference_fields::Reference;

const FIELDS: [Field; 2] = [Field::Gf256, Field::Gf65536];

fn threshold(threshold: u32, shares: u32) -> Threshold {
    Threshold::new(threshold, shares).unwrap()
}

fn within(field: Field, threshold: u32, shares: u32) -> Threshold {
    Threshold::within(field, threshold, shares).unwrap()
}

/// Every subset of the shares, as a bit pattern turned into copies.
fn subsets(shares: &[Share]) -> impl Iterator<Item = Vec<Share>> {
    (0_u32..1 << shares.len()).map(|pattern| {
        shares
            .iter()
            .enumerate()
            .filter(|(position, _)| pattern >> position & 1 == 1)
            .map(|(_, share)| share.duplicate())
            .collect()
    })
}

#[test]
fn exactly_the_subsets_of_threshold_size_give_the_secret() {
    let mut random = InsecureSeededRandom::from_seed(1);
    for (field, n) in FIELDS
        .into_iter()
        .flat_map(|field| (2..=7).map(move |n| (field, n)))
    {
        let reference = Reference::new(field);
        for t in 2..=n {
            let secret = random.secret32();
            let shares = split(&secret, within(field, t, n), &mut random);
            for subset in subsets(&shares) {
                let size = u32::try_from(subset.len()).unwrap();
                match combine(&subset, within(field, t, n)) {
                    Ok(combined) => {
                        assert_eq!(size, t);
                        assert!(combined.equals(&secret));
                        assert_eq!(reference.interpolate(&subset), *secret.expose());
                    }
                    Err(fault) => {
                        assert_ne!(size, t);
                        assert!(matches!(fault, ShamirFault::Count { .. }));
                    }
                }
            }
        }
    }
}

#[test]
fn too_few_shares_give_another_value_even_to_one_who_interpolates() {
    let mut random = InsecureSeededRandom::from_seed(2);
    for (field, n) in FIELDS
        .into_iter()
        .flat_map(|field| (3..=7).map(move |n| (field, n)))
    {
        let reference = Reference::new(field);
        for t in 3..=n {
            let secret = random.secret32();
            let shares = split(&secret, within(field, t, n), &mut random);
            for subset in subsets(&shares) {
                let size = u32::try_from(subset.len()).unwrap();
                if size > 0 && size < t {
                    assert_ne!(reference.interpolate(&subset), *secret.expose());
                }
            }
        }
    }
}

#[test]
fn one_share_less_than_the_threshold_fits_every_secret() {
    // Two of three, one byte position: for any share there is one line through every secret byte.
    let mut seen = std::collections::BTreeSet::new();
    for slope in 0..=255 {
        let mut source = Constant(slope);
        let shares = split(&Secret::new([0x42; 32]), threshold(2, 3), &mut source);
        seen.insert(shares[0].to_bytes().expose()[1]);
    }
    assert_eq!(seen.len(), 256);

    // The same over words, of which the source gives the 256 whose two bytes are equal.
    let words = within(Field::Gf65536, 2, 3);
    let mut seen = std::collections::BTreeSet::new();
    for slope in 0..=255 {
        let shares = split(&Secret::new([0x42; 32]), words, &mut Constant(slope));
        seen.insert(shares[0].to_bytes().expose()[2..4].to_vec());
    }
    assert_eq!(seen.len(), 256);
}

#[test]
fn shares_are_the_values_of_the_polynomial_that_was_drawn() {
    for field in FIELDS {
        let reference = Reference::new(field);
        for (t, n) in [(2, 2), (3, 5), (7, 7), (40, 60), (128, 255)] {
            let secret = InsecureSeededRandom::from_seed(8).secret32();
            let mut drawn = InsecureSeededRandom::from_seed(9);
            let highest_first: Vec<[u8; 32]> = (1..t).map(|_| *drawn.secret32().expose()).collect();
            let mut random = InsecureSeededRandom::from_seed(9);
            let shares = split(&secret, within(field, t, n), &mut random);
            for (share, abscissa) in shares.iter().zip(1_u16..) {
                let value = reference.evaluate(&highest_first, secret.expose(), abscissa);
                let abscissa = &abscissa.to_le_bytes()[..reference.element_bytes()];
                assert_eq!(*share.to_bytes().expose(), [abscissa, &value].concat());
            }
        }
    }
}

#[test]
fn five_hundred_silos_share_a_secret_that_any_251_recover() {
    let mut random = InsecureSeededRandom::from_seed(6);
    let (t, n) = (251, 500);
    let secret = random.secret32();
    let mut shares = split(&secret, threshold(t, n), &mut random);
    assert_eq!(shares.len(), 500);
    let reference = Reference::new(Field::Gf65536);
    for _ in 0..5 {
        for place in (1..shares.len()).rev() {
            let other = random.next_u64() % u64::try_from(place + 1).unwrap();
            shares.swap(place, usize::try_from(other).unwrap());
        }
        let chosen: Vec<Share> = shares[..251].iter().map(Share::duplicate).collect();
        assert!(combine(&chosen, threshold(t, n)).unwrap().equals(&secret));
        assert_eq!(reference.interpolate(&chosen), *secret.expose());
        // One share less fits another secret.
        assert_ne!(reference.interpolate(&chosen[1..]), *secret.expose());
    }
}

#[test]
fn the_field_follows_from_the_number_of_shares() {
    for (n, field, length) in [
        (2, Field::Gf256, 33),
        (255, Field::Gf256, 33),
        (256, Field::Gf65536, 34),
        (1000, Field::Gf65536, 34),
    ] {
        assert_eq!(threshold(2, n).field(), field);
        let mut random = InsecureSeededRandom::from_seed(7);
        let secret = random.secret32();
        let shares = split(&secret, threshold(2, n), &mut random);
        let last = shares.last().unwrap();
        assert_eq!(u32::from(last.index()), n);
        let bytes = last.to_bytes();
        assert_eq!(bytes.expose().len(), length);
        assert_eq!(field.abscissa(bytes.expose()), Some(last.index()));
        assert_eq!(field.abscissa(&bytes.expose()[1..]), None);
        let read = Share::from_bytes(bytes.expose()).unwrap();
        assert_eq!(read.to_bytes().expose(), bytes.expose());
        let pair = [read, shares[0].duplicate()];
        assert!(combine(&pair, threshold(2, n)).unwrap().equals(&secret));
    }
}

#[test]
fn coefficients_serve_all_secrets_shared_at_the_same_abscissae() {
    let mut random = InsecureSeededRandom::from_seed(10);
    for field in FIELDS {
        let threshold = within(field, 3, 5);
        let interpolation = Interpolation::new(&[5, 1, 4], threshold).unwrap();
        for _ in 0..20 {
            let secret = random.secret32();
            let shares = split(&secret, threshold, &mut random);
            let chosen = [4, 0, 3].map(|place: usize| shares[place].duplicate());
            assert!(interpolation.fits(&chosen));
            assert!(interpolation.combine(&chosen).unwrap().equals(&secret));
            // In another order, or at other places, they are not these coefficients' shares.
            let other = [0, 4, 3].map(|place: usize| shares[place].duplicate());
            assert!(!interpolation.fits(&other));
            assert_eq!(
                interpolation.combine(&other).err(),
                Some(ShamirFault::Abscissa { abscissa: 1 })
            );
            assert_eq!(
                interpolation.combine(&chosen[..2]).err(),
                Some(ShamirFault::Count {
                    given: 2,
                    needed: 3
                })
            );
        }
    }
}

#[test]
fn shares_of_the_other_field_are_refused() {
    let mut random = InsecureSeededRandom::from_seed(11);
    let secret = random.secret32();
    for (dealt, asked) in [
        (Field::Gf256, Field::Gf65536),
        (Field::Gf65536, Field::Gf256),
    ] {
        let shares = split(&secret, within(dealt, 2, 2), &mut random);
        assert_eq!(
            combine(&shares, within(asked, 2, 2)).err(),
            Some(ShamirFault::OtherField { abscissa: 1 })
        );
    }
}

#[test]
fn our_shares_combine_in_the_foreign_implementation() {
    let mut random = InsecureSeededRandom::from_seed(3);
    for (t, n) in [
        (2, 2),
        (2, 3),
        (3, 5),
        (6, 10),
        (67, 100),
        (170, 255),
        (255, 255),
    ] {
        let secret = random.secret32();
        let shares = split(&secret, threshold(t, n), &mut random);
        let chosen: Vec<Vec<u8>> = shares[..usize::try_from(t).unwrap()]
            .iter()
            .map(|share| share.to_bytes().expose().to_vec())
            .collect();
        assert_eq!(combine_keyshares(&chosen).unwrap(), secret.expose());
    }
}

#[test]
fn foreign_shares_combine_here_in_every_subset() {
    let secret = [0x37; 32];
    let reference = Reference::new(Field::Gf256);
    for n in 2..=7_u8 {
        for t in 2..=n {
            let shares: Vec<Share> = create_keyshares(&secret, n, t)
                .unwrap()
                .iter()
                .map(|share| Share::from_bytes(share).unwrap())
                .collect();
            for subset in subsets(&shares).filter(|subset| subset.len() == usize::from(t)) {
                let combined = combine(&subset, threshold(t.into(), n.into())).unwrap();
                assert_eq!(combined.expose(), &secret);
                assert_eq!(reference.interpolate(&subset), secret);
            }
        }
    }
}

#[test]
fn a_forged_share_at_zero_that_would_replace_the_secret_is_refused() {
    let forged = [0_u8; 1]
        .iter()
        .chain(&[0x66; 32])
        .copied()
        .collect::<Vec<u8>>();
    // What the foreign implementation does with it.
    let honest = create_keyshares(&[1; 32], 3, 2).unwrap();
    assert_eq!(
        combine_keyshares(&[forged.clone(), honest[0].clone()]).unwrap(),
        [0x66; 32]
    );
    // What we do, in either field.
    for forged in [&forged, &[&[0], forged.as_slice()].concat()] {
        assert_eq!(
            Share::from_bytes(forged).err(),
            Some(ShamirFault::Abscissa { abscissa: 0 })
        );
    }
    assert_eq!(
        Interpolation::new(&[1, 0], threshold(2, 300)).err(),
        Some(ShamirFault::Abscissa { abscissa: 0 })
    );
}

#[test]
fn duplicates_wrong_counts_and_strange_abscissae_are_refused() {
    for field in FIELDS {
        refuses_duplicates_wrong_counts_and_strange_abscissae(within(field, 3, 5));
    }
}

fn refuses_duplicates_wrong_counts_and_strange_abscissae(threshold: Threshold) {
    let mut random = InsecureSeededRandom::from_seed(4);
    let shares = split(&random.secret32(), threshold, &mut random);
    let given = |positions: &[usize]| -> Vec<Share> {
        positions
            .iter()
            .map(|position| shares[*position].duplicate())
            .collect()
    };
    let fault = |shares: &[Share]| combine(shares, threshold).err();

    assert_eq!(
        fault(&[]),
        Some(ShamirFault::Count {
            given: 0,
            needed: 3
        })
    );
    assert_eq!(
        fault(&given(&[0, 1])),
        Some(ShamirFault::Count {
            given: 2,
            needed: 3
        })
    );
    assert_eq!(
        fault(&given(&[0, 1, 2, 3])),
        Some(ShamirFault::Count {
            given: 4,
            needed: 3
        })
    );
    assert_eq!(
        fault(&given(&[0, 1, 0])),
        Some(ShamirFault::Duplicate { abscissa: 1 })
    );

    let mut beyond = shares[0].to_bytes().expose().clone();
    beyond[0] = 6;
    let mut strange = given(&[1, 2]);
    strange.push(Share::from_bytes(&beyond).unwrap());
    assert_eq!(fault(&strange), Some(ShamirFault::Abscissa { abscissa: 6 }));
    assert_eq!(fault(&given(&[4, 0, 2])), None);
}

#[test]
fn a_tampered_share_changes_the_secret_so_that_a_commitment_shows_it() {
    let mut random = InsecureSeededRandom::from_seed(5);
    for field in FIELDS {
        let threshold = within(field, 2, 3);
        let secret = random.secret32();
        let shares = split(&secret, threshold, &mut random);
        let length = field.share_length();
        for position in (length - 32) * 8..length * 8 {
            let mut bytes = shares[0].to_bytes().expose().clone();
            bytes[position / 8] ^= 1 << (position % 8);
            let tampered = [Share::from_bytes(&bytes).unwrap(), shares[1].duplicate()];
            assert!(!combine(&tampered, threshold).unwrap().equals(&secret));
        }
    }
}

#[test]
fn shares_of_other_lengths_are_refused() {
    for length in (0..33).chain([35, 66, 68]) {
        let refused = Share::from_bytes(&vec![1; length]).err();
        assert_eq!(refused, Some(ShamirFault::Length { length }));
    }
}

#[test]
fn only_sensible_thresholds_exist() {
    for (t, n) in [
        (0, 3),
        (1, 3),
        (4, 3),
        (2, 0),
        (2, 1),
        (257, 256),
        (2, 65_536),
        (65_537, 65_538),
        (u32::MAX, u32::MAX),
    ] {
        let refused = Threshold::new(t, n).err();
        assert_eq!(
            refused,
            Some(ShamirFault::Threshold {
                threshold: t,
                shares: n
            })
        );
    }
    for (t, n) in [(2, 2), (255, 255), (256, 256), (65_535, 65_535)] {
        assert!(Threshold::new(t, n).is_ok());
    }
    assert!(Threshold::within(Field::Gf256, 2, 256).is_err());
}

#[test]
fn debug_of_a_share_shows_only_where_it_lies() {
    for (length, shown) in [(33, "Share(7, ..)"), (34, "Share(1799, ..)")] {
        let share = Share::from_bytes(&vec![7; length]).unwrap();
        assert_eq!(format!("{share:?}"), shown);
    }
}

proptest! {
    #[test]
    fn any_threshold_shares_agree(seed: u64, n in 2_u32..=40, choice: u64, words: bool) {
        let mut random = InsecureSeededRandom::from_seed(seed);
        let t = 2 + u32::try_from(choice % u64::from(n - 1)).unwrap();
        let threshold = within(FIELDS[usize::from(words)], t, n);
        let secret = random.secret32();
        let mut shares = split(&secret, threshold, &mut random);
        while shares.len() > usize::try_from(t).unwrap() {
            let place = random.next_u64() % u64::try_from(shares.len()).unwrap();
            shares.swap_remove(usize::try_from(place).unwrap());
        }
        prop_assert!(combine(&shares, threshold).unwrap().equals(&secret));
    }

    #[test]
    fn sums_of_shares_are_shares_of_the_sum(seed: u64, words: bool) {
        let threshold = within(FIELDS[usize::from(words)], 3, 4);
        let mut random = InsecureSeededRandom::from_seed(seed);
        let (left, right) = (random.secret32(), random.secret32());
        let left_shares = split(&left, threshold, &mut random);
        let right_shares = split(&right, threshold, &mut random);
        let sums: Vec<Share> = left_shares.iter().zip(&right_shares).take(3).map(|(left, right)| {
            let mut sum = left.to_bytes().expose().clone();
            let from = sum.len() - 32;
            for (byte, other) in sum.iter_mut().zip(right.to_bytes().expose()).skip(from) {
                *byte ^= other;
            }
            Share::from_bytes(&sum).unwrap()
        }).collect();
        let sum = Secret32::new(exclusive_or(left.expose(), right.expose()));
        prop_assert!(combine(&sums, threshold).unwrap().equals(&sum));
    }
}

fn exclusive_or<const N: usize>(left: &[u8; N], right: &[u8; N]) -> [u8; N] {
    std::array::from_fn(|position| left[position] ^ right[position])
}

/// A source whose every byte is the same.
struct Constant(u8);

impl RandomSource for Constant {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}
