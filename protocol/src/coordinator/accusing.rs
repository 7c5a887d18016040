// SPDX-License-Identifier: Apache-2.0
//! From a fault of a silo to an accusation that the driver can prove and write down.

use super::advertising::keys_of;
use super::phase::Phase;
use crate::envelope::{Envelope, Sender};
use crate::evidence::{Charge, Evidence};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::message::SiloMessage;
use std::io;

/// A silo that misbehaved, to be written to the audit log with its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accusation {
    /// Who.
    pub silo: SiloName,
    /// What it did.
    pub fault: Fault,
    proof: Proof,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Proof {
    /// At hand.
    Held(Charge),
    /// A second reveal; the first one lies with the driver.
    SecondReveal(Envelope),
    /// A deal whose revealed shares lie with the driver.
    Deal {
        /// The dealer's place in the cohort, and so in every reveal.
        place: usize,
        /// Whose reveals were combined.
        revealers: Vec<SiloName>,
    },
}

/// Reads the reveals that the driver kept: see [`crate::CoordinatorEffect::KeepReveal`].
pub trait RevealSource {
    /// What a silo revealed, as it came.
    ///
    /// # Errors
    /// One that was never kept, or a disk that fails.
    fn reveal(&self, silo: &SiloName) -> io::Result<Envelope>;
}

impl Accusation {
    /// Of a fault that a message shows; `None` for faults that are no silo's guilt.
    pub(super) fn of_message(
        phase: &Phase,
        silo: &SiloName,
        fault: &Fault,
        message: Envelope,
    ) -> Option<Self> {
        let proof = match fault {
            Fault::SecondAnswer { .. } => match phase.first_answer(silo, message.peek_name()?) {
                Some(first) => Proof::Held(Charge::SecondAnswer {
                    first: first.clone(),
                    second: message,
                }),
                None => Proof::SecondReveal(message),
            },
            Fault::WeakKey { .. } => Proof::Held(Charge::WeakKey {
                equal: phase.same_key(silo, &message).cloned(),
                advertisement: message,
            }),
            Fault::BadReveal { .. } => Proof::Held(Charge::BadReveal { reveal: message }),
            Fault::BadUpload { .. } => Proof::Held(Charge::BadLength { signed: message }),
            Fault::OtherCertificate => Proof::Held(Charge::OtherVote { vote: message }),
            Fault::WrongNonce { .. } => Proof::Held(Charge::WrongNonce { nonce: message }),
            Fault::WrongTag { .. } => Proof::Held(Charge::WrongTag { tag: message }),
            _ => return None,
        };
        Some(Self {
            silo: silo.clone(),
            fault: fault.clone(),
            proof,
        })
    }

    /// Of a dealer whose shares, as these silos revealed them, give another secret.
    pub(super) fn of_deal(dealer: &SiloName, place: usize, revealers: Vec<SiloName>) -> Self {
        let silo = dealer.clone();
        Self {
            fault: Fault::BadDeal { silo: silo.clone() },
            silo,
            proof: Proof::Deal { place, revealers },
        }
    }

    /// What shows it, within the coordinator's messages of the attempt.
    ///
    /// SECURITY: of a reveal only the shares of the accused enter: what others dealt stays where it is.
    ///
    /// # Errors
    /// When a reveal that belongs to it cannot be read.
    pub fn evidence(
        &self,
        trail: impl IntoIterator<Item = Envelope>,
        reveals: &(impl RevealSource + ?Sized),
    ) -> io::Result<Evidence> {
        let charge = match &self.proof {
            Proof::Held(charge) => charge.clone(),
            Proof::SecondReveal(second) => Charge::SecondAnswer {
                first: reveals.reveal(&self.silo)?,
                second: second.clone(),
            },
            Proof::Deal { place, revealers } => {
                let share = |revealer: &SiloName| {
                    let message = reveals.reveal(revealer)?.peek_silo_message();
                    let Some(SiloMessage::Reveal { shares }) = message else {
                        return Err(io::ErrorKind::InvalidData.into());
                    };
                    let share = shares.into_iter().nth(*place);
                    Ok((revealer.clone(), share.ok_or(io::ErrorKind::InvalidData)?))
                };
                let shares = revealers.iter().map(share);
                Charge::BadDeal {
                    shares: shares.collect::<io::Result<_>>()?,
                }
            }
        };
        Ok(Evidence::new(Sender::Silo(self.silo.clone()), charge).within(trail))
    }
}

impl Phase {
    /// The advertisement of another silo that has a key of this one.
    fn same_key(&self, silo: &SiloName, advertisement: &Envelope) -> Option<&Envelope> {
        let Self::Advertising(phase) = self else {
            return None;
        };
        let (keys, encapsulation_key) = keys_of(&advertisement.peek_silo_message()?)?;
        let mut others = phase.advertisements.iter();
        others.find_map(|(owner, envelope)| {
            let (others, other) = keys_of(&envelope.peek_silo_message()?)?;
            let same = others.iter().any(|key| keys.contains(key)) || other == encapsulation_key;
            (owner != silo && same).then_some(envelope)
        })
    }
}

/// Reveals in memory, for rounds in which everybody is in one process.
impl RevealSource for std::collections::BTreeMap<SiloName, Envelope> {
    fn reveal(&self, silo: &SiloName) -> io::Result<Envelope> {
        let reveal = self.get(silo).cloned();
        reveal.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
