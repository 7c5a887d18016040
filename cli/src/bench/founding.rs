// SPDX-License-Identifier: Apache-2.0
//! A federation for one round, the same in every process that is given the same numbers.

use anyhow::{Context, bail};
use clap::Args;
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_crypto::ring::WordBits;
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::hash;
use consilium_privacy::loss::NoiseMultiplier;
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, VectorPlan};
use consilium_protocol::{
    AttemptId, CoordinatorSurroundings, Deadlines, LogVerifier, Membership, RoundPlan, SiloName,
    SiloSurroundings, Thresholds,
};

/// What is measured.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Size {
    /// How many silos are invited
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=500))]
    pub(super) silos: u32,
    /// How many parameters each silo's vector has
    #[arg(long, value_name = "D", value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    pub(super) parameters: u64,
    /// Bits of a parameter on the wire
    #[arg(long, value_name = "B", default_value_t = 32, value_parser = clap::value_parser!(u8).range(8..=64))]
    pub(super) bits: u8,
    /// How many silos vanish after the cohort is frozen, so that their masks must be rebuilt
    #[arg(long = "drop", value_name = "K", default_value_t = 0)]
    pub(super) dropped: u32,
    /// What inputs and keys are drawn from
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(super) seed: u64,
}

/// Everything that the parties of a round share, and all keys.
pub(super) struct Founding {
    pub(super) size: Size,
    pub(super) membership: Membership,
    pub(super) coordinator_key: SigningKey,
    /// Sorted by name.
    pub(super) silos: Vec<(SiloName, SigningKey)>,
    pub(super) plan: RoundPlan,
    pub(super) bits: WordBits,
}

/// A log that holds whatever it is asked for: proofs of the audit log are measured elsewhere.
struct TrustedLog;

impl LogVerifier for TrustedLog {
    fn start_is_logged(&self, _: &Digest, _: &[u8]) -> bool {
        true
    }
    fn sum_is_logged(&self, _: AttemptId, _: &Digest, _: &[u8]) -> bool {
        true
    }
    fn release_is_logged(&self, _: Option<&[u8]>) -> bool {
        true
    }
}

impl Founding {
    pub(super) fn new(size: Size) -> anyhow::Result<Self> {
        let mut random = InsecureSeededRandom::from_seed(size.seed);
        let coordinator_key = SigningKey::from_seed(&random.secret32());
        let mut silos = Vec::new();
        for number in 1..=size.silos {
            let name = SiloName::parse(&format!("silo-{number:03}"))?;
            silos.push((name, SigningKey::from_seed(&random.secret32())));
        }
        let membership = Membership {
            epoch: 1,
            roster_root: hash(Label::RosterRoot, &[b"bench"]),
            coordinator: coordinator_key.verifying_key(),
            silos: silos
                .iter()
                .map(|(name, key)| (name.clone(), key.verifying_key()))
                .collect(),
            colluders: size.silos / 3,
        };
        let names: Vec<SiloName> = silos.iter().map(|(name, _)| name.clone()).collect();
        let id = AttemptId {
            epoch: 1,
            round: 1,
            attempt: 1,
        };
        let plan = RoundPlan::new(
            id,
            &membership,
            &names,
            Some(size.dropped),
            hash(Label::Model, &[b"bench"]),
            hash(Label::Task, &[b"bench"]),
            vector_plan(size, membership.colluders)?,
        )
        .context("this round cannot be run safely")?;
        Ok(Self {
            size,
            membership,
            coordinator_key,
            silos,
            plan,
            bits: WordBits::new(size.bits)?,
        })
    }

    /// Whether the silo vanishes when its vector is asked for.
    pub(super) fn drops(&self, at: usize) -> bool {
        let staying = self.size.silos.saturating_sub(self.size.dropped);
        u32::try_from(at).is_ok_and(|at| at >= staying)
    }

    pub(super) fn position(&self, silo: &SiloName) -> anyhow::Result<usize> {
        let found = self.silos.binary_search_by(|(name, _)| name.cmp(silo));
        found.ok().with_context(|| format!("there is no `{silo}`"))
    }

    pub(super) fn of_coordinator(&self) -> CoordinatorSurroundings<'_> {
        CoordinatorSurroundings {
            membership: &self.membership,
            signing_key: &self.coordinator_key,
            deadlines: Deadlines {
                exchange_milliseconds: 1,
                preparation_milliseconds: 1,
                upload_milliseconds: 1,
            },
        }
    }

    pub(super) fn of_silo(&self, at: usize) -> anyhow::Result<SiloSurroundings<'_>> {
        let (name, signing_key) = self.silos.get(at).context("there is no such silo")?;
        Ok(SiloSurroundings {
            name,
            signing_key,
            membership: &self.membership,
            log: &TrustedLog,
            start_nonce: hash(Label::StartNonce, &[name.as_str().as_bytes()]),
        })
    }
}

/// A vector of exactly the width that was asked for. One that tolerates drops needs noise, and its width follows from
/// the noise and the patients: as many patients are assumed as fit.
fn vector_plan(size: Size, colluders: u32) -> anyhow::Result<VectorPlan> {
    if size.dropped == 0 {
        return Ok(VectorPlan::plain(
            size.parameters,
            size.silos,
            size.bits,
            0,
        )?);
    }
    let thresholds = Thresholds::new(size.silos, colluders, Some(size.dropped))
        .with_context(|| format!("{} drops", size.dropped))?;
    let of_patients = |patients_cap: u64| -> anyhow::Result<VectorPlan> {
        let noise = NoisePlan::derive(&NoiseTerms {
            multiplier: NoiseMultiplier::new(1.0)?,
            silos: size.silos,
            dropouts: thresholds.dropouts,
            colluders: thresholds.colluders,
            attempts: 1,
            patients_cap,
            dimension: size.parameters,
        })?;
        Ok(VectorPlan::noised(size.parameters, noise)?)
    };
    // The width grows with the patients: the most that stay within the bits.
    let (mut fitting, mut too_many) = (1, 1_u64 << 32);
    while fitting + 1 < too_many {
        let middle = fitting + (too_many - fitting) / 2;
        match of_patients(middle) {
            Ok(plan) if plan.word_bits <= size.bits => fitting = middle,
            Ok(_) | Err(_) => too_many = middle,
        }
    }
    let plan = of_patients(fitting)?;
    if plan.word_bits != size.bits {
        bail!(
            "a vector that tolerates drops carries noise and has 16, 20, 24, 32, 40, 48 or 64 bits, here at least {}: choose another `--bits`",
            of_patients(1)?.word_bits
        );
    }
    Ok(plan)
}
