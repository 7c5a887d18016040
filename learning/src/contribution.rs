// SPDX-License-Identifier: Apache-2.0
//! What one silo's data contribute to a round, before the agent protects it.

use thiserror::Error;

use crate::model::read_numbers;

/// What the trainer hands to the agent through their pipe.
#[derive(Clone, Debug, PartialEq)]
pub enum Contribution {
    /// Unnoised: the sum over all patients, ready for fixed-point encoding.
    Sum(Vec<f64>),
    /// Noised: one vector per patient, which the agent clips, quantises, sums and noises. Each
    /// depends on that patient's rows and on public values only.
    PatientVectors {
        /// The length of each vector.
        dimension: usize,
        /// One vector per patient.
        vectors: Vec<Vec<f64>>,
    },
}

impl Contribution {
    /// One byte for the kind, the length of a vector (u64), then every number (f64), little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, dimension, numbers): (u8, usize, Vec<f64>) = match self {
            Self::Sum(sum) => (SUM, sum.len(), sum.clone()),
            Self::PatientVectors { dimension, vectors } => (
                PATIENT_VECTORS,
                *dimension,
                vectors.iter().flatten().copied().collect(),
            ),
        };
        let mut bytes = Vec::with_capacity(9 + 8 * numbers.len());
        bytes.push(kind);
        bytes.extend(u64::try_from(dimension).unwrap_or(u64::MAX).to_le_bytes());
        for number in numbers {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote, for a task of `dimension` coordinates. Numbers that are not finite
    /// pass: quantisation turns such a vector into zero, fixed-point encoding refuses it.
    ///
    /// # Errors
    /// [`ContributionFault`] when the bytes are of another shape.
    pub fn from_bytes(bytes: &[u8], dimension: usize) -> Result<Self, ContributionFault> {
        let (kind, rest) = bytes.split_first().ok_or(ContributionFault::Shape)?;
        let (stated, rest) = rest.split_first_chunk().ok_or(ContributionFault::Shape)?;
        let numbers = read_numbers(rest).ok_or(ContributionFault::Shape)?;
        if dimension == 0 || u64::try_from(dimension) != Ok(u64::from_le_bytes(*stated)) {
            return Err(ContributionFault::Dimension);
        }
        match *kind {
            SUM if numbers.len() == dimension => Ok(Self::Sum(numbers)),
            PATIENT_VECTORS if numbers.len() % dimension == 0 => Ok(Self::PatientVectors {
                dimension,
                vectors: numbers
                    .chunks_exact(dimension)
                    .map(<[f64]>::to_vec)
                    .collect(),
            }),
            _ => Err(ContributionFault::Shape),
        }
    }
}

/// Why bytes are no contribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ContributionFault {
    /// Neither of the two kinds, or not a whole number of vectors.
    #[error("the trainer's answer has the wrong shape")]
    Shape,
    /// Vectors of another length than the study's.
    #[error("the trainer's answer has another dimension than the study")]
    Dimension,
}

const SUM: u8 = 1;
const PATIENT_VECTORS: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contributions_survive_their_bytes() {
        let sum = Contribution::Sum(vec![1.5, -2.0]);
        assert_eq!(Contribution::from_bytes(&sum.to_bytes(), 2), Ok(sum));
        let vectors = Contribution::PatientVectors {
            dimension: 2,
            vectors: vec![vec![1.0, 2.0], vec![3.0, 4.0], vec![5.0, 6.0]],
        };
        assert_eq!(
            Contribution::from_bytes(&vectors.to_bytes(), 2),
            Ok(vectors)
        );
        let nobody = Contribution::PatientVectors {
            dimension: 3,
            vectors: vec![],
        };
        assert_eq!(Contribution::from_bytes(&nobody.to_bytes(), 3), Ok(nobody));
    }

    #[test]
    fn another_dimension_or_a_torn_answer_is_refused() {
        let bytes = Contribution::Sum(vec![1.5, -2.0]).to_bytes();
        assert_eq!(
            Contribution::from_bytes(&bytes, 3),
            Err(ContributionFault::Dimension)
        );
        for length in 0..bytes.len() {
            let short = bytes.get(..length).unwrap_or_default();
            assert_eq!(
                Contribution::from_bytes(short, 2),
                Err(ContributionFault::Shape)
            );
        }
    }
}
