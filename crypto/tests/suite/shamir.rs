// SPDX-License-Identifier: Apache-2.0
//! Shares: every threshold subset, forged shares, and the foreign implementation.

use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_crypto::shamir::{SHARE_LENGTH, ShamirFault, Share, Threshold, combine, split};
use consilium_crypto::{Secret, Secret32};
use proptest::prelude::*;
use shamirsecretsharing::hazmat::{combine_keyshares, create_keyshares};

fn threshold(threshold: u32, shares: u32) -> Threshold {
    Threshold::new(threshold, shares).unwrap()
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
    for n in 2..=7 {
        for t in 2..=n {
            let secret = random.secret32();
            let shares = split(&secret, threshold(t, n), &mut random);
            for subset in subsets(&shares) {
                let size = u32::try_from(subset.len()).unwrap();
                match combine(&subset, threshold(t, n)) {
                    Ok(combined) => {
                        assert_eq!(size, t);
                        assert!(combined.equals(&secret));
                        assert_eq!(interpolate(&subset), *secret.expose());
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
    for n in 3..=7 {
        for t in 3..=n {
            let secret = random.secret32();
            let shares = split(&secret, threshold(t, n), &mut random);
            for subset in subsets(&shares) {
                let size = u32::try_from(subset.len()).unwrap();
                if size > 0 && size < t {
                    assert_ne!(interpolate(&subset), *secret.expose());
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
                assert_eq!(interpolate(&subset), secret);
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
    // What we do.
    assert_eq!(
        Share::from_bytes(&forged).err(),
        Some(ShamirFault::Abscissa { abscissa: 0 })
    );
}

#[test]
fn duplicates_wrong_counts_and_strange_abscissae_are_refused() {
    let mut random = InsecureSeededRandom::from_seed(4);
    let shares = split(&random.secret32(), threshold(3, 5), &mut random);
    let given = |positions: &[usize]| -> Vec<Share> {
        positions
            .iter()
            .map(|position| shares[*position].duplicate())
            .collect()
    };
    let fault = |shares: &[Share]| combine(shares, threshold(3, 5)).err();

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

    let mut beyond = *shares[0].to_bytes().expose();
    beyond[0] = 6;
    let mut strange = given(&[1, 2]);
    strange.push(Share::from_bytes(&beyond).unwrap());
    assert_eq!(fault(&strange), Some(ShamirFault::Abscissa { abscissa: 6 }));
    assert_eq!(fault(&given(&[4, 0, 2])), None);
}

#[test]
fn a_tampered_share_changes_the_secret_so_that_a_commitment_shows_it() {
    let mut random = InsecureSeededRandom::from_seed(5);
    let secret = random.secret32();
    let shares = split(&secret, threshold(2, 3), &mut random);
    for position in 8..SHARE_LENGTH * 8 {
        let mut bytes = *shares[0].to_bytes().expose();
        bytes[position / 8] ^= 1 << (position % 8);
        let tampered = [Share::from_bytes(&bytes).unwrap(), shares[1].duplicate()];
        assert!(!combine(&tampered, threshold(2, 3)).unwrap().equals(&secret));
    }
}

#[test]
fn shares_of_other_lengths_are_refused() {
    for length in (0..SHARE_LENGTH).chain([34, 66]) {
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
        (2, 256),
        (256, 256),
        (2, 65_538),
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
    assert!(Threshold::new(2, 2).is_ok());
    assert!(Threshold::new(255, 255).is_ok());
}

#[test]
fn debug_of_a_share_shows_only_where_it_lies() {
    let share = Share::from_bytes(&[7; 33]).unwrap();
    assert_eq!(format!("{share:?}"), "Share(7, ..)");
}

proptest! {
    #[test]
    fn any_threshold_shares_agree(seed: u64, n in 2_u32..=40, choice: u64) {
        let mut random = InsecureSeededRandom::from_seed(seed);
        let t = 2 + u32::try_from(choice % u64::from(n - 1)).unwrap();
        let secret = random.secret32();
        let mut shares = split(&secret, threshold(t, n), &mut random);
        while shares.len() > usize::try_from(t).unwrap() {
            let place = random.next_u64() % u64::try_from(shares.len()).unwrap();
            shares.swap_remove(usize::try_from(place).unwrap());
        }
        prop_assert!(combine(&shares, threshold(t, n)).unwrap().equals(&secret));
    }

    #[test]
    fn sums_of_shares_are_shares_of_the_sum(seed: u64) {
        let mut random = InsecureSeededRandom::from_seed(seed);
        let (left, right) = (random.secret32(), random.secret32());
        let left_shares = split(&left, threshold(3, 4), &mut random);
        let right_shares = split(&right, threshold(3, 4), &mut random);
        let sums: Vec<Share> = left_shares.iter().zip(&right_shares).take(3).map(|(left, right)| {
            let mut sum = exclusive_or(left.to_bytes().expose(), right.to_bytes().expose());
            sum[0] = left.index();
            Share::from_bytes(&sum).unwrap()
        }).collect();
        let sum = Secret32::new(exclusive_or(left.expose(), right.expose()));
        prop_assert!(combine(&sums, threshold(3, 4)).unwrap().equals(&sum));
    }
}

fn exclusive_or<const N: usize>(left: &[u8; N], right: &[u8; N]) -> [u8; N] {
    std::array::from_fn(|position| left[position] ^ right[position])
}

/// Lagrange interpolation at zero, written without looking at either implementation.
fn interpolate(shares: &[Share]) -> [u8; 32] {
    let mut secret = [0; 32];
    for share in shares {
        let mut factor = 1;
        for other in shares.iter().filter(|other| other.index() != share.index()) {
            let difference = other.index() ^ share.index();
            factor = multiply(factor, multiply(other.index(), inverse(difference)));
        }
        let bytes = share.to_bytes();
        for (byte, value) in secret.iter_mut().zip(&bytes.expose()[1..]) {
            *byte ^= multiply(factor, *value);
        }
    }
    secret
}

/// In GF(2^8), by shift and reduce.
fn multiply(mut left: u8, mut right: u8) -> u8 {
    let mut product = 0;
    while right != 0 {
        if right & 1 == 1 {
            product ^= left;
        }
        left = left << 1 ^ if left & 0x80 == 0 { 0 } else { 0x1b };
        right >>= 1;
    }
    product
}

fn inverse(element: u8) -> u8 {
    (1..=255)
        .find(|candidate| multiply(element, *candidate) == 1)
        .unwrap()
}

/// A source whose every byte is the same.
struct Constant(u8);

impl RandomSource for Constant {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}
