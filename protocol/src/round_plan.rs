// SPDX-License-Identifier: Apache-2.0
//! The public parameters of one attempt (P in the protocol's description).

use crate::defence::{Defence, stands};
use crate::fault::Fault;
use crate::id::{AttemptId, SiloName};
use crate::membership::Membership;
use crate::ready_grid::ready_grid_milliseconds;
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::ring::WordBits;
use consilium_crypto::transcript::hash;
pub use consilium_privacy::noise_plan::MOST_SILOS;
use consilium_privacy::noise_plan::VectorPlan;
use serde::{Deserialize, Serialize};

/// The version that every transcript begins with.
pub const PROTOCOL_VERSION: u32 = 1;

/// Fields in one upload chunk: a multiple of 128, so that every chunk is whole bytes at every width.
pub const CHUNK_FIELDS: u32 = 32_768;

/// How masks are expanded. One value today; it stands in the plan so that a change is visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaskCipher {
    /// AES-256 in counter mode: data must stay secret for decades.
    Aes256Ctr,
}

/// Who may be missing and who may lie, with the counts that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Silos of the roster that may collude with the coordinator (n_c).
    pub colluders: u32,
    /// Dropouts that the round tolerates (n_d).
    pub dropouts: u32,
    /// Votes that unlock the reveal.
    pub quorum: u32,
    /// Shares that rebuild a secret.
    pub threshold: u32,
    /// The smallest cohort that may be frozen.
    pub min_cohort: u32,
}

impl Thresholds {
    /// The default counts for `invited` silos of which `colluders` may collude.
    ///
    /// `dropouts` is `None` for as many as safety allows.
    ///
    /// # Errors
    /// [`PlanFault`] when no safe counts exist.
    pub fn new(invited: u32, colluders: u32, dropouts: Option<u32>) -> Result<Self, PlanFault> {
        let quorum = smallest_quorum(invited, colluders);
        let most_dropouts = invited
            .checked_sub(quorum)
            .ok_or(PlanFault::TooFewSilos { invited, colluders })?;
        let thresholds = Self {
            colluders,
            dropouts: dropouts.unwrap_or(most_dropouts),
            quorum,
            threshold: invited / 2 + 1,
            min_cohort: quorum,
        };
        thresholds.check(invited)?;
        Ok(thresholds)
    }

    /// The fewest silos that may be in a cohort or a survivor set.
    #[must_use]
    pub fn fewest(&self, invited: usize) -> usize {
        let invited = u32::try_from(invited).unwrap_or(u32::MAX);
        let fewest = self
            .quorum
            .max(self.min_cohort)
            .max(invited.saturating_sub(self.dropouts));
        usize::try_from(fewest).unwrap_or(usize::MAX)
    }

    /// The rules of safety that a silo demands at Open.
    fn check(&self, invited: u32) -> Result<(), PlanFault> {
        let smallest = smallest_quorum(invited, self.colluders);
        if self.quorum < smallest || self.quorum > invited {
            return Err(PlanFault::TooFewSilos {
                invited,
                colluders: self.colluders,
            });
        }
        if self.threshold <= self.colluders || self.threshold > self.quorum || self.threshold < 2 {
            return Err(PlanFault::UnsafeThreshold {
                threshold: self.threshold,
                quorum: self.quorum,
            });
        }
        if self.quorum.saturating_sub(self.colluders) < 2 {
            return Err(PlanFault::TooFewHonest {
                quorum: self.quorum,
                colluders: self.colluders,
            });
        }
        if self.dropouts > invited - self.quorum {
            return Err(PlanFault::TooManyDropouts {
                dropouts: self.dropouts,
                most: invited - self.quorum,
            });
        }
        Ok(())
    }
}

/// floor((n + n_c)/2) + 1: two quorums share more silos than can lie.
fn smallest_quorum(invited: u32, colluders: u32) -> u32 {
    invited.saturating_add(colluders) / 2 + 1
}

/// Why a set of parameters is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanFault {
    /// A name that the roster does not hold.
    #[error("`{0}` is not a silo of the roster")]
    UnknownSilo(SiloName),
    /// The same silo twice.
    #[error("`{0}` is invited twice")]
    RepeatedSilo(SiloName),
    /// No quorum is safe against that many colluders.
    #[error("{invited} invited silos cannot be safe against {colluders} colluders: invite more")]
    TooFewSilos {
        /// Silos invited.
        invited: u32,
        /// Colluders of the roster.
        colluders: u32,
    },
    /// A Shamir threshold outside (n_c, quorum].
    #[error("threshold {threshold} must exceed the colluders and not exceed the quorum {quorum}")]
    UnsafeThreshold {
        /// The threshold.
        threshold: u32,
        /// The quorum.
        quorum: u32,
    },
    /// A release could hold fewer than two honest inputs.
    #[error(
        "a quorum of {quorum} with {colluders} colluders leaves fewer than two honest inputs: invite more silos"
    )]
    TooFewHonest {
        /// The quorum.
        quorum: u32,
        /// The colluders.
        colluders: u32,
    },
    /// More dropouts than safety allows.
    #[error("{dropouts} dropouts are more than the {most} that safety allows")]
    TooManyDropouts {
        /// Dropouts asked for.
        dropouts: u32,
        /// The most that is safe.
        most: u32,
    },
    /// More than [`MOST_SILOS`].
    #[error("{0} silos are more than the {MOST_SILOS} that a round is open to")]
    TooManySilos(usize),
    /// A vector of no length or a width that cannot be packed.
    #[error("a vector of {dimension} words of {word_bits} bits cannot be aggregated")]
    Vector {
        /// Length in words.
        dimension: u64,
        /// Bits of a word.
        word_bits: u8,
    },
    /// An attempt numbered under another roster.
    #[error("attempt {offered} belongs to another roster than version {version}")]
    OtherEpoch {
        /// The attempt.
        offered: AttemptId,
        /// The pinned roster's version.
        version: u64,
    },
    /// Without noise, two sums over different silos would give somebody's input away.
    #[error("a study without noise tolerates no dropout, not {dropouts}")]
    DropoutsWithoutNoise {
        /// Dropouts asked for.
        dropouts: u32,
    },
    /// A vector planned for other counts, or one that contradicts itself.
    #[error(
        "the vector was not planned for {invited} silos, {dropouts} dropouts and {colluders} colluders: derive it again"
    )]
    OtherVector {
        /// Silos invited.
        invited: u32,
        /// Dropouts tolerated.
        dropouts: u32,
        /// Colluders of the roster.
        colluders: u32,
    },
}

/// The public parameters of one attempt. Equal inputs give equal plans, so a silo builds its own and compares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundPlan {
    /// Which attempt.
    pub id: AttemptId,
    /// The roster's digest.
    pub roster_root: Digest,
    /// The invited silos, sorted.
    pub silos: Vec<SiloName>,
    /// Counts of liars and absentees.
    pub thresholds: Thresholds,
    /// Digest of the model at which every silo computes.
    pub model: Digest,
    /// Digest of what is computed on which data.
    pub task: Digest,
    /// Length, width and noise of the vector.
    pub vector: VectorPlan,
    /// How masks are expanded.
    pub cipher: MaskCipher,
    /// Fields in one upload chunk.
    pub chunk_fields: u32,
    /// Grid of the Ready message, in milliseconds.
    pub ready_grid_milliseconds: u32,
}

impl RoundPlan {
    /// Builds the plan of one attempt.
    ///
    /// # Errors
    /// [`PlanFault`] names what is unsafe or unknown.
    pub fn new(
        id: AttemptId,
        membership: &Membership,
        invited: &[SiloName],
        dropouts: Option<u32>,
        model: Digest,
        task: Digest,
        vector: VectorPlan,
    ) -> Result<Self, PlanFault> {
        let mut silos = invited.to_vec();
        silos.sort();
        let repeated = silos
            .iter()
            .zip(silos.iter().skip(1))
            .find(|(left, right)| left == right);
        if let Some((silo, _)) = repeated {
            return Err(PlanFault::RepeatedSilo(silo.clone()));
        }
        if let Some(stranger) = silos
            .iter()
            .find(|silo| stands(Defence::RosterMembers) && !membership.silos.contains_key(*silo))
        {
            return Err(PlanFault::UnknownSilo(stranger.clone()));
        }
        let count = u32::try_from(silos.len()).unwrap_or(u32::MAX);
        if count > MOST_SILOS {
            return Err(PlanFault::TooManySilos(silos.len()));
        }
        let ready_grid_milliseconds = ready_grid_milliseconds(&vector);
        let plan = Self {
            id,
            roster_root: membership.roster_root,
            thresholds: Thresholds::new(count, membership.colluders, dropouts)?,
            silos,
            model,
            task,
            vector,
            cipher: MaskCipher::Aes256Ctr,
            chunk_fields: CHUNK_FIELDS,
            ready_grid_milliseconds,
        };
        plan.word_bits()?;
        plan.check_vector(count)?;
        if id.epoch != membership.epoch {
            return Err(PlanFault::OtherEpoch {
                offered: id,
                version: membership.epoch,
            });
        }
        Ok(plan)
    }

    /// SECURITY: noise for fewer missing or lying silos than the thresholds allow would be too little.
    fn check_vector(&self, invited: u32) -> Result<(), PlanFault> {
        let Thresholds {
            dropouts,
            colluders,
            ..
        } = self.thresholds;
        let planned = match &self.vector.noise {
            Some(noise) => noise.dropouts == dropouts && noise.colluders == colluders,
            None if dropouts == 0 => true,
            None => return Err(PlanFault::DropoutsWithoutNoise { dropouts }),
        };
        if planned && self.vector.validate(invited).is_ok() {
            Ok(())
        } else {
            Err(PlanFault::OtherVector {
                invited,
                dropouts,
                colluders,
            })
        }
    }

    /// Whether this plan is the expected one in everything.
    pub(crate) fn compare(&self, expected: &Self) -> Result<(), Fault> {
        let fields = [
            ("attempt", self.id == expected.id),
            ("roster", self.roster_root == expected.roster_root),
            ("invited silos", self.silos == expected.silos),
            ("thresholds", self.thresholds == expected.thresholds),
            (
                "model",
                self.model == expected.model || !stands(Defence::ModelDigest),
            ),
            ("task", self.task == expected.task),
            ("vector", self.vector == expected.vector),
            ("cipher", self.cipher == expected.cipher),
            ("chunk size", self.chunk_fields == expected.chunk_fields),
            (
                "grid",
                self.ready_grid_milliseconds == expected.ready_grid_milliseconds,
            ),
        ];
        match fields.into_iter().find(|(_, equal)| !equal) {
            Some((field, _)) => Err(Fault::OtherPlan { field }),
            None => Ok(()),
        }
    }

    /// The width of a word.
    ///
    /// # Errors
    /// [`PlanFault::Vector`] for a width outside 8..=64 or an empty vector.
    pub fn word_bits(&self) -> Result<WordBits, PlanFault> {
        let fault = PlanFault::Vector {
            dimension: self.vector.dimension,
            word_bits: self.vector.word_bits,
        };
        if self.vector.dimension == 0 {
            return Err(fault);
        }
        WordBits::new(self.vector.word_bits).map_err(|_| fault)
    }

    /// How many chunks an upload has.
    #[must_use]
    pub fn chunk_count(&self) -> u64 {
        self.vector
            .dimension
            .div_ceil(u64::from(self.chunk_fields.max(1)))
    }

    /// How many fields chunk `index` holds.
    #[must_use]
    pub fn fields_in_chunk(&self, index: u64) -> usize {
        let size = u64::from(self.chunk_fields.max(1));
        let left = self
            .vector
            .dimension
            .saturating_sub(index.saturating_mul(size));
        usize::try_from(left.min(size)).unwrap_or(0)
    }

    /// Bytes of a whole packed vector: the same whatever its values.
    #[must_use]
    pub fn packed_length(&self) -> u64 {
        let bits = u64::from(self.vector.word_bits);
        let bytes = |fields: u64| fields.saturating_mul(bits).div_ceil(8);
        // COST: in closed form, because a plan in foreign bytes may claim any dimension.
        let size = u64::from(self.chunk_fields.max(1));
        let whole = self.vector.dimension / size;
        whole
            .saturating_mul(bytes(size))
            .saturating_add(bytes(self.vector.dimension % size))
    }

    /// The fewest silos in a cohort or survivor set.
    #[must_use]
    pub fn fewest(&self) -> usize {
        self.thresholds.fewest(self.silos.len())
    }

    /// H(P).
    #[must_use]
    pub fn digest(&self) -> Digest {
        hash(Label::Parameters, &[&crate::envelope::encode(self)])
    }

    /// h0, the transcript at the beginning of the attempt.
    #[must_use]
    pub fn opening_transcript(&self) -> Digest {
        hash(
            Label::RoundOpen,
            &[
                &PROTOCOL_VERSION.to_le_bytes(),
                &self.id.to_bytes(),
                self.roster_root.as_bytes(),
                self.digest().as_bytes(),
                self.model.as_bytes(),
                self.task.as_bytes(),
            ],
        )
    }
}
