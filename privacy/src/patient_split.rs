// SPDX-License-Identifier: Apache-2.0
//! Which patients a model is learned from, and which it is tried on.
//!
//! A patient's side is a function of a public key and of that patient's own name for itself: it depends on no other
//! patient, stays the same in every round and every silo, and costs no privacy. A patient of two hospitals that use one
//! name for it stands on one side in both.

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::transcript::hash;
use thiserror::Error;

/// The split of one study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatientSplit {
    key: Digest,
    /// Held out is whose hash, as a fraction of 2^64, lies below this.
    below: u64,
}

/// A part of the patients that cannot be held out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a part of {share} of the patients cannot be held out, use more than 0 and less than 1")]
pub struct ShareFault {
    share: String,
}

impl PatientSplit {
    /// Holds out about this share of all patients. The same key words give the same split everywhere, and a larger share
    /// holds out everybody whom a smaller one does.
    pub fn new(key_words: &[&[u8]], share: f64) -> Result<Self, ShareFault> {
        let below = share * TWO_TO_64;
        if !(below >= 1.0 && share < 1.0) {
            return Err(ShareFault {
                share: share.to_string(),
            });
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 1 on and below 2^64"
        )]
        let below = below as u64;
        Ok(Self {
            key: hash(Label::PatientSplit, key_words),
            below,
        })
    }

    /// Whether the patient of this name is held out.
    #[must_use]
    pub fn is_held_out(&self, patient: &str) -> bool {
        let side = hash(
            Label::PatientSplit,
            &[self.key.as_bytes(), patient.as_bytes()],
        );
        let leading = side
            .as_bytes()
            .iter()
            .take(8)
            .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        leading < self.below
    }
}

/// 2^64.
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn split(seed: &str, share: f64) -> PatientSplit {
        PatientSplit::new(&[b"trial", seed.as_bytes()], share).unwrap()
    }

    fn held_out(split: &PatientSplit) -> Vec<u32> {
        let patients = 0..10_000_u32;
        patients
            .filter(|patient| split.is_held_out(&format!("patient-{patient}")))
            .collect()
    }

    /// Frozen: silos of different versions must split alike. The same patients came out of another program, by the SHA-256
    /// of Python.
    #[test]
    fn the_split_is_the_same_everywhere() {
        let first: Vec<u32> = held_out(&split("0", 0.2)).into_iter().take(8).collect();
        assert_eq!(first, KNOWN);
    }

    /// A binomial deviate of 10,000 patients is beyond five standard deviations with a probability of 6e-7.
    #[test]
    fn about_the_share_is_held_out_and_another_key_holds_out_others() {
        for share in [0.01, 0.2, 0.5, 0.9] {
            let found = f64::from(u32::try_from(held_out(&split("0", share)).len()).unwrap());
            let deviation = (10_000.0 * share * (1.0 - share)).sqrt();
            assert!((found - 10_000.0 * share).abs() < 5.0 * deviation);
        }
        let (one, other) = (held_out(&split("0", 0.2)), held_out(&split("1", 0.2)));
        let both = one.iter().filter(|patient| other.contains(patient)).count();
        assert!((300..500).contains(&both), "{both}");
    }

    #[test]
    fn a_larger_share_holds_out_everybody_whom_a_smaller_one_does() {
        let (few, many) = (held_out(&split("0", 0.1)), held_out(&split("0", 0.3)));
        assert!(few.iter().all(|patient| many.contains(patient)));
    }

    #[test]
    fn nobody_or_everybody_cannot_be_held_out() {
        for share in [0.0, -0.1, 1.0, 1.5, f64::NAN, f64::INFINITY, 1e-300] {
            assert!(PatientSplit::new(&[b"trial"], share).is_err(), "{share}");
        }
    }

    const KNOWN: [u32; 8] = [2, 10, 13, 22, 30, 32, 34, 36];
}
