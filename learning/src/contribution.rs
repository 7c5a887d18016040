// SPDX-License-Identifier: Apache-2.0
//! What one silo's data contribute to a round, before the agent protects it.

use std::io::{self, Read, Write};

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

/// A contribution that is computed while it is taken.
///
/// SECURITY: one patient's vector is in memory at a time. All of them together would take memory by the patients who fit a
/// study, and its researcher could ask how many they are by the size at which a trainer fails.
pub enum Contributing<'a> {
    /// As [`Contribution::Sum`].
    Sum(Vec<f64>),
    /// As [`Contribution::PatientVectors`].
    PatientVectors {
        /// The length of each vector.
        dimension: usize,
        /// The next patient's, each time.
        vectors: Box<dyn Iterator<Item = Vec<f64>> + 'a>,
    },
}

impl Contributing<'_> {
    /// The same with vectors of zeros for so many patients more; a sum as it is.
    ///
    /// SECURITY: a patient who fits the study then costs little more time than one who does not.
    #[must_use]
    pub fn and_zeros(self, patients: usize) -> Self {
        match self {
            Self::Sum(sum) => Self::Sum(sum),
            Self::PatientVectors { dimension, vectors } => Self::PatientVectors {
                dimension,
                vectors: Box::new(vectors.chain((0..patients).map(move |_| vec![0.0; dimension]))),
            },
        }
    }

    /// One byte for the kind, the length of a vector (u64), then every number (f64), little-endian.
    ///
    /// # Errors
    /// Whatever `target` reports.
    pub fn write_to(self, target: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Sum(sum) => {
                write_head(target, SUM, sum.len())?;
                write_numbers(target, &sum)
            }
            Self::PatientVectors {
                dimension,
                mut vectors,
            } => {
                write_head(target, PATIENT_VECTORS, dimension)?;
                vectors.try_for_each(|vector| write_numbers(target, &vector))
            }
        }
    }

    /// All of it at once.
    pub fn collect(self) -> Contribution {
        match self {
            Self::Sum(sum) => Contribution::Sum(sum),
            Self::PatientVectors { dimension, vectors } => Contribution::PatientVectors {
                dimension,
                vectors: vectors.collect(),
            },
        }
    }
}

fn write_head(target: &mut impl Write, kind: u8, dimension: usize) -> io::Result<()> {
    target.write_all(&[kind])?;
    target.write_all(&u64::try_from(dimension).unwrap_or(u64::MAX).to_le_bytes())
}

fn write_numbers(target: &mut impl Write, numbers: &[f64]) -> io::Result<()> {
    for piece in numbers.chunks(NUMBERS_AT_ONCE) {
        let bytes: Vec<u8> = piece
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        target.write_all(&bytes)?;
    }
    Ok(())
}

impl Contribution {
    /// As [`Contributing::write_to`].
    ///
    /// # Errors
    /// Whatever `target` reports.
    pub fn write_to(&self, target: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Sum(sum) => {
                write_head(target, SUM, sum.len())?;
                write_numbers(target, sum)
            }
            Self::PatientVectors { dimension, vectors } => {
                write_head(target, PATIENT_VECTORS, *dimension)?;
                vectors
                    .iter()
                    .try_for_each(|vector| write_numbers(target, vector))
            }
        }
    }

    /// What [`Self::write_to`] writes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        #[expect(clippy::expect_used, reason = "a vector takes every byte")]
        self.write_to(&mut bytes).expect("memory takes every byte");
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

/// Which of the two contributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContributionKind {
    /// As [`Contribution::Sum`].
    Sum,
    /// As [`Contribution::PatientVectors`].
    PatientVectors,
}

/// A contribution on its way through a pipe: a long one is never in memory as a whole. Numbers that are not finite pass.
#[derive(Debug)]
pub struct ContributionReader<R> {
    source: R,
    kind: ContributionKind,
    dimension: usize,
}

impl<R: Read> ContributionReader<R> {
    /// Reads the head of what [`Contribution::write_to`] wrote, for a task of `dimension` coordinates.
    ///
    /// # Errors
    /// [`ContributionFault`] when it is of another kind or dimension.
    pub fn open(mut source: R, dimension: usize) -> Result<Self, ContributionFault> {
        let (mut kind, mut stated) = ([0; 1], [0; 8]);
        source
            .read_exact(&mut kind)
            .and_then(|()| source.read_exact(&mut stated))
            .map_err(|_| ContributionFault::Shape)?;
        if dimension == 0 || u64::try_from(dimension) != Ok(u64::from_le_bytes(stated)) {
            return Err(ContributionFault::Dimension);
        }
        let kind = match kind {
            [SUM] => ContributionKind::Sum,
            [PATIENT_VECTORS] => ContributionKind::PatientVectors,
            _ => return Err(ContributionFault::Shape),
        };
        Ok(Self {
            source,
            kind,
            dimension,
        })
    }

    /// Which kind it is.
    pub fn kind(&self) -> ContributionKind {
        self.kind
    }

    /// The length of a vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The next numbers: `most` of them, fewer only before the end, none at the end.
    ///
    /// # Errors
    /// [`ContributionFault::Shape`] when it breaks off within a number.
    pub fn next_numbers(&mut self, most: usize) -> Result<Vec<f64>, ContributionFault> {
        let length = u64::try_from(most).unwrap_or(u64::MAX).saturating_mul(8);
        let mut bytes = Vec::with_capacity(most.saturating_mul(8));
        (&mut self.source)
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(|_| ContributionFault::Shape)?;
        read_numbers(&bytes).ok_or(ContributionFault::Shape)
    }

    /// The next whole vector, or `None` at the end.
    ///
    /// # Errors
    /// [`ContributionFault::Shape`] when it breaks off within a vector.
    pub fn next_vector(&mut self) -> Result<Option<Vec<f64>>, ContributionFault> {
        let vector = self.next_numbers(self.dimension)?;
        match vector.len() {
            0 => Ok(None),
            length if length == self.dimension => Ok(Some(vector)),
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

/// Numbers that are turned into bytes at one time.
const NUMBERS_AT_ONCE: usize = 4096;

const SUM: u8 = 1;
const PATIENT_VECTORS: u8 = 2;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
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
    fn a_contribution_is_read_piece_by_piece_to_its_end() {
        let sum = Contribution::Sum(vec![1.5, -2.0, 3.0]).to_bytes();
        let mut reader = ContributionReader::open(sum.as_slice(), 3).unwrap();
        assert_eq!(reader.kind(), ContributionKind::Sum);
        assert_eq!(reader.next_numbers(2).unwrap(), [1.5, -2.0]);
        assert_eq!(reader.next_numbers(2).unwrap(), [3.0]);
        assert!(reader.next_numbers(2).unwrap().is_empty());
        let vectors = Contribution::PatientVectors {
            dimension: 2,
            vectors: vec![vec![1.0, 2.0], vec![3.0, 4.0]],
        };
        let bytes = vectors.to_bytes();
        let mut reader = ContributionReader::open(bytes.as_slice(), 2).unwrap();
        assert_eq!(reader.next_vector().unwrap(), Some(vec![1.0, 2.0]));
        assert_eq!(reader.next_vector().unwrap(), Some(vec![3.0, 4.0]));
        assert_eq!(reader.next_vector().unwrap(), None);
        for torn in [bytes.len() - 1, bytes.len() - 8] {
            let mut reader = ContributionReader::open(&bytes[..torn], 2).unwrap();
            assert!(reader.next_vector().unwrap().is_some());
            assert_eq!(reader.next_vector(), Err(ContributionFault::Shape));
        }
        assert!(ContributionReader::open(bytes.as_slice(), 3).is_err());
        assert!(ContributionReader::open(&[7_u8; 9][..], 2).is_err());
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
