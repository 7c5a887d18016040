// SPDX-License-Identifier: Apache-2.0
//! What is computed: one endless study of small vectors, whose next model follows from the last sum.

use super::operation::Noise;
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_crypto::ring::WordBits;
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::hash;
use consilium_privacy::loss::NoiseMultiplier;
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, VectorPlan};
use consilium_protocol::{AttemptId, Deadlines, Membership, RoundPlan, SiloName, Thresholds};

/// The federation's public side.
#[derive(Debug)]
pub(crate) struct Study {
    pub(crate) names: Vec<SiloName>,
    pub(crate) membership: Membership,
    pub(crate) noise: Noise,
    pub(crate) bits: WordBits,
    template: RoundPlan,
}

/// Everybody's identity key.
pub(crate) struct Keys {
    pub(crate) coordinator: SigningKey,
    pub(crate) silos: Vec<SigningKey>,
}

impl Study {
    /// Founds a federation whose keys come from the seed.
    pub(crate) fn found(silos: usize, noise: Noise, seed: u64) -> anyhow::Result<(Self, Keys)> {
        let mut random = InsecureSeededRandom::from_seed(seed);
        let keys = Keys {
            coordinator: SigningKey::from_seed(&random.secret32()),
            silos: (0..silos)
                .map(|_| SigningKey::from_seed(&random.secret32()))
                .collect(),
        };
        let names = (0..silos)
            .map(|at| SiloName::parse(&format!("silo-{at}")))
            .collect::<Result<Vec<SiloName>, _>>()?;
        let membership = Membership {
            epoch: EPOCH,
            roster_root: hash(Label::RosterRoot, &[&seed.to_le_bytes()]),
            coordinator: keys.coordinator.verifying_key(),
            silos: names
                .iter()
                .cloned()
                .zip(keys.silos.iter().map(SigningKey::verifying_key))
                .collect(),
            colluders: u32::try_from(silos)? / 3,
        };
        let dropouts = match noise {
            Noise::Absent => Some(0),
            Noise::Present => None,
        };
        let vector = vector_plan(&membership, noise)?;
        let id = AttemptId {
            epoch: EPOCH,
            round: 1,
            attempt: 1,
        };
        let (model, task) = (first_model(), hash(Label::Task, &[b"simulation"]));
        let template = RoundPlan::new(id, &membership, &names, dropouts, model, task, vector)?;
        let bits = template.word_bits()?;
        let study = Self {
            names,
            membership,
            noise,
            bits,
            template,
        };
        Ok((study, keys))
    }

    /// The plan of an attempt, as everybody derives it alone.
    pub(crate) fn plan(&self, id: AttemptId, model: Digest) -> RoundPlan {
        RoundPlan {
            id,
            model,
            ..self.template.clone()
        }
    }

    /// The same with thresholds that two silos satisfy.
    pub(crate) fn weaker_plan(&self, id: AttemptId, model: Digest) -> RoundPlan {
        let mut plan = self.plan(id, model);
        let silos = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        plan.thresholds = Thresholds {
            dropouts: silos.saturating_sub(2),
            quorum: 2,
            threshold: 2,
            min_cohort: 2,
            ..plan.thresholds
        };
        plan
    }

    pub(crate) fn place(&self, silo: &SiloName) -> Option<usize> {
        self.names.binary_search(silo).ok()
    }

    /// The fewest silos with which an attempt can end well.
    pub(crate) fn fewest(&self) -> usize {
        self.template.fewest()
    }

    pub(crate) fn thresholds(&self) -> Thresholds {
        self.template.thresholds
    }

    /// A silo's vector: the same for the same model without noise, another each time with it.
    pub(crate) fn input(
        &self,
        silo: &SiloName,
        model: &Digest,
        random: &mut dyn RandomSource,
    ) -> Vec<i64> {
        let own = hash(
            Label::VectorInput,
            &[silo.as_str().as_bytes(), model.as_bytes()],
        );
        let exact = own.as_bytes().iter().map(|byte| i64::from(*byte) - 128);
        let mut noise = || match self.noise {
            Noise::Absent => 0,
            Noise::Present => i64::try_from(random.next_u64() % 2001).unwrap_or(0) - 1000,
        };
        exact.take(DIMENSION).map(|value| value + noise()).collect()
    }

    /// A vector as words of the ring.
    pub(crate) fn words(&self, input: &[i64]) -> Vec<u64> {
        input.iter().map(|value| self.bits.encode(*value)).collect()
    }
}

/// How a vector is named.
pub(crate) fn input_digest(input: &[i64]) -> Digest {
    let bytes: Vec<u8> = input.iter().flat_map(|value| value.to_le_bytes()).collect();
    hash(Label::VectorInput, &[&bytes])
}

/// The model before the first round.
pub(crate) fn first_model() -> Digest {
    hash(Label::Model, &[b"first"])
}

/// The model after a round.
pub(crate) fn next_model(model: &Digest, sum: &Digest) -> Digest {
    hash(Label::Model, &[model.as_bytes(), sum.as_bytes()])
}

/// Where the words of a vector that has no noise come from: the dropouts that safety allows, or none.
fn vector_plan(membership: &Membership, noise: Noise) -> anyhow::Result<VectorPlan> {
    let silos = u32::try_from(membership.silos.len())?;
    let dimension = u64::try_from(DIMENSION)?;
    if noise == Noise::Absent {
        return Ok(VectorPlan::plain(dimension, silos, EXACT_BITS, 0)?);
    }
    let thresholds = Thresholds::new(silos, membership.colluders, None)?;
    let noise = NoisePlan::derive(&NoiseTerms {
        multiplier: NoiseMultiplier::new(1.0)?,
        silos,
        dropouts: thresholds.dropouts,
        colluders: thresholds.colluders,
        attempts: 10,
        patients_cap: 1,
        dimension,
    })?;
    Ok(VectorPlan::noised(dimension, noise)?)
}

pub(crate) const EPOCH: u64 = 1;

/// Coordinates of a vector: few, because rounds are many, and enough that no two masks are equal by chance.
pub(crate) const DIMENSION: usize = 6;

const EXACT_BITS: u8 = 24;

/// How long each phase may last.
pub(crate) const DEADLINES: Deadlines = Deadlines {
    exchange_milliseconds: 1_000,
    preparation_milliseconds: 2_000,
    upload_milliseconds: 3_000,
};
