// SPDX-License-Identifier: Apache-2.0
//! Combining: Lagrange's interpolation at zero, whose coefficients depend on public abscissae only.

use std::collections::BTreeSet;

use super::field::{Field, Lanes};
use super::gf256::Gf256Lanes;
use super::gf65536::Gf65536Lanes;
use super::{ShamirFault, Share, Threshold};
use crate::secret::{Secret, Secret32};

/// The coefficients for one choice of abscissae, to recover any number of secrets that were shared at
/// them.
///
/// COST: computing the coefficients takes time quadratic in the threshold, using them linear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpolation {
    threshold: Threshold,
    /// Abscissa and coefficient of each share, in the order in which shares will come.
    terms: Vec<(u16, u32)>,
}

impl Interpolation {
    /// Takes exactly as many distinct abscissae as the threshold asks for.
    ///
    /// # Errors
    /// [`ShamirFault::Count`], [`ShamirFault::Abscissa`] or [`ShamirFault::Duplicate`].
    pub fn new(abscissae: &[u16], threshold: Threshold) -> Result<Self, ShamirFault> {
        demand_count(abscissae.len(), threshold)?;
        let mut seen = BTreeSet::new();
        for &abscissa in abscissae {
            if abscissa == 0 || u32::from(abscissa) > threshold.shares() {
                return Err(ShamirFault::Abscissa { abscissa });
            }
            if !seen.insert(abscissa) {
                return Err(ShamirFault::Duplicate { abscissa });
            }
        }
        let coefficients = match threshold.field() {
            Field::Gf256 => coefficients::<Gf256Lanes>(abscissae),
            Field::Gf65536 => coefficients::<Gf65536Lanes>(abscissae),
        };
        Ok(Self {
            threshold,
            terms: abscissae.iter().copied().zip(coefficients).collect(),
        })
    }

    /// Whether these are the coefficients for shares at such places, in this order.
    pub fn fits(&self, shares: &[Share]) -> bool {
        shares.len() == self.terms.len()
            && shares
                .iter()
                .zip(&self.terms)
                .all(|(share, (abscissa, _))| share.abscissa == *abscissa)
    }

    /// Recovers one secret from shares at the abscissae, in their order.
    ///
    /// Nothing here can tell a true share from a false one: check the result against its commitment.
    ///
    /// # Errors
    /// [`ShamirFault::Count`], [`ShamirFault::OtherField`], or [`ShamirFault::Abscissa`] for a share
    /// that does not lie where its place in the order says.
    pub fn combine(&self, shares: &[Share]) -> Result<Secret32, ShamirFault> {
        demand_count(shares.len(), self.threshold)?;
        for (share, (expected, _)) in shares.iter().zip(&self.terms) {
            let abscissa = share.abscissa;
            if share.field != self.threshold.field() {
                return Err(ShamirFault::OtherField { abscissa });
            }
            if abscissa != *expected {
                return Err(ShamirFault::Abscissa { abscissa });
            }
        }
        Ok(match self.threshold.field() {
            Field::Gf256 => self.sum::<Gf256Lanes>(shares),
            Field::Gf65536 => self.sum::<Gf65536Lanes>(shares),
        })
    }

    fn sum<L: Lanes>(&self, shares: &[Share]) -> Secret32 {
        let mut sum = L::ZERO;
        for (share, (_, coefficient)) in shares.iter().zip(&self.terms) {
            sum = sum.plus(L::from_bytes(share.value.expose()).times(*coefficient));
        }
        Secret::filled(|secret| {
            sum.write_to(secret);
            sum.zeroize();
        })
    }
}

fn demand_count(given: usize, threshold: Threshold) -> Result<(), ShamirFault> {
    let needed = threshold.threshold();
    if u32::try_from(given) == Ok(needed) {
        Ok(())
    } else {
        Err(ShamirFault::Count { given, needed })
    }
}

/// At zero, the coefficient of x_i is the product over all other j of x_j / (x_j - x_i), and a
/// difference is a sum. Taken as (product of all x) / (x_i * product of differences), with one
/// inversion each.
fn coefficients<L: Lanes>(abscissae: &[u16]) -> Vec<u32> {
    let all = abscissae
        .iter()
        .fold(1, |product, &other| L::product(product, other.into()));
    abscissae
        .iter()
        .map(|&own| {
            let divisor = abscissae
                .iter()
                .filter(|other| **other != own)
                .fold(own.into(), |product, &other| {
                    L::product(product, (other ^ own).into())
                });
            L::product(all, L::inverse(divisor))
        })
        .collect()
}
