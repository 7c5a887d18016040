// SPDX-License-Identifier: Apache-2.0
//! Everything that an attempt has sent, for silos that return.
//!
//! COST: it is stored at every event. An envelope or a proof is kept once, however many silos got it, and sealed deals
//! not at all.

use crate::envelope::Envelope;
use crate::id::SiloName;
use crate::outgoing::{Beside, Outgoing};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outbox {
    /// In the order in which they were first sent.
    envelopes: Vec<Arc<Envelope>>,
    proofs: Vec<Arc<[Vec<u8>]>>,
    /// Whose deals the DealBook lists.
    dealers: Arc<[SiloName]>,
    sent: BTreeMap<SiloName, Vec<Sent>>,
}

/// One message to one silo.
#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    /// The place among the envelopes.
    envelope: usize,
    beside: SentBeside,
}

#[derive(Debug, Serialize, Deserialize)]
enum SentBeside {
    /// The place among the proofs.
    Proofs(usize),
    /// What the dealers sealed for this position.
    Deals(usize),
}

impl Outbox {
    pub(crate) fn keep(&mut self, to: &SiloName, outgoing: &Outgoing) {
        let Outgoing { envelope, beside } = outgoing;
        let last = self.envelopes.last();
        if !last.is_some_and(|last| Arc::ptr_eq(last, envelope)) {
            self.envelopes.push(Arc::clone(envelope));
        }
        let beside = match beside {
            Beside::Proofs(proofs) => {
                let last = self.proofs.last();
                if !last.is_some_and(|last| Arc::ptr_eq(last, proofs)) {
                    self.proofs.push(Arc::clone(proofs));
                }
                SentBeside::Proofs(self.proofs.len() - 1)
            }
            Beside::Deals { dealers, position } => {
                self.dealers = Arc::clone(dealers);
                SentBeside::Deals(*position)
            }
        };
        self.sent.entry(to.clone()).or_default().push(Sent {
            envelope: self.envelopes.len() - 1,
            beside,
        });
    }

    /// Every message once, in the order in which they were first sent.
    pub(crate) fn envelopes(&self) -> impl Iterator<Item = &Envelope> {
        self.envelopes.iter().map(Arc::as_ref)
    }

    /// What was sent to a silo, in order.
    pub(crate) fn of(&self, silo: &SiloName) -> impl DoubleEndedIterator<Item = Outgoing> {
        let sent = self.sent.get(silo).into_iter().flatten();
        sent.filter_map(|sent| {
            let beside = match &sent.beside {
                SentBeside::Proofs(at) => Beside::Proofs(Arc::clone(self.proofs.get(*at)?)),
                SentBeside::Deals(position) => Beside::Deals {
                    dealers: Arc::clone(&self.dealers),
                    position: *position,
                },
            };
            Some(Outgoing {
                envelope: Arc::clone(self.envelopes.get(sent.envelope)?),
                beside,
            })
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::envelope::{Sender, decode, encode};
    use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
    use consilium_crypto::signing::SigningKey;

    #[test]
    fn every_silo_has_its_messages_and_an_envelope_for_all_is_kept_once() {
        let key = SigningKey::from_seed(&InsecureSeededRandom::from_seed(1).secret32());
        let envelope = |body: &[u8]| {
            Arc::new(Envelope {
                sender: Sender::Coordinator,
                body: body.to_vec(),
                signature: key.sign_raw(body),
            })
        };
        let silos = ["a", "b", "c"].map(|name| SiloName::parse(name).unwrap());
        let deals: BTreeMap<SiloName, Vec<Vec<u8>>> = silos
            .iter()
            .map(|dealer| (dealer.clone(), (0..3).map(|at| vec![at; 9]).collect()))
            .collect();
        let mut outbox = Outbox::default();
        let (first, later) = (envelope(b"first"), envelope(b"later"));
        let proof: Arc<[Vec<u8>]> = [b"proof".to_vec()].into();
        for silo in &silos {
            let beside = Beside::Proofs(Arc::clone(&proof));
            let envelope = Arc::clone(&first);
            outbox.keep(silo, &Outgoing { envelope, beside });
        }
        for (position, silo) in silos.iter().enumerate() {
            let dealers = silos[..2].into();
            let beside = Beside::Deals { dealers, position };
            let envelope = Arc::clone(&later);
            outbox.keep(silo, &Outgoing { envelope, beside });
        }
        let alone = Outgoing {
            envelope: envelope(b"alone"),
            beside: Beside::Proofs([].into()),
        };
        outbox.keep(&silos[1], &alone);
        assert_eq!((outbox.envelopes.len(), outbox.proofs.len()), (3, 2));
        let stored = encode(&outbox);
        for outbox in [outbox, decode(&stored).unwrap()] {
            let deliveries = |silo: &SiloName| -> Vec<_> {
                let sent = outbox.of(silo);
                sent.map(|outgoing| outgoing.delivery(&deals).unwrap())
                    .collect()
            };
            let second = deliveries(&silos[1]);
            let bodies: Vec<_> = second.iter().map(|sent| &sent.envelope.body[..]).collect();
            assert_eq!(bodies, [&b"first"[..], b"later", b"alone"]);
            assert_eq!(second[0].attachments, [b"proof".to_vec()]);
            assert_eq!(second[1].attachments, [vec![1; 9], vec![1; 9]]);
            assert_eq!(deliveries(&silos[0]).len(), 2);
            assert_eq!(deliveries(&SiloName::parse("d").unwrap()).len(), 0);
        }
    }
}
