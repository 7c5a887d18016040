// SPDX-License-Identifier: Apache-2.0
//! Everything that an attempt has sent, for silos that return.
//!
//! COST: it is stored at every event. Lists about everybody go to everybody, so an envelope is kept once, however many
//! silos got it; only what travels beside it is each silo's own.

use crate::envelope::{Delivery, Envelope};
use crate::id::SiloName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outbox {
    /// In the order in which they were first sent.
    envelopes: Vec<Envelope>,
    sent: BTreeMap<SiloName, Vec<Sent>>,
}

/// One message to one silo.
#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    /// The place among the envelopes.
    envelope: usize,
    attachments: Vec<Vec<u8>>,
}

impl Outbox {
    pub(crate) fn keep(&mut self, to: &SiloName, delivery: &Delivery) {
        let Delivery {
            envelope,
            attachments,
        } = delivery;
        if self.envelopes.last() != Some(envelope) {
            self.envelopes.push(envelope.clone());
        }
        self.sent.entry(to.clone()).or_default().push(Sent {
            envelope: self.envelopes.len() - 1,
            attachments: attachments.clone(),
        });
    }

    /// What was sent to a silo, in order.
    pub(crate) fn of(&self, silo: &SiloName) -> impl DoubleEndedIterator<Item = Delivery> {
        let sent = self.sent.get(silo).into_iter().flatten();
        sent.filter_map(|sent| {
            Some(Delivery {
                envelope: self.envelopes.get(sent.envelope)?.clone(),
                attachments: sent.attachments.clone(),
            })
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::envelope::Sender;
    use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
    use consilium_crypto::signing::SigningKey;

    #[test]
    fn every_silo_has_its_messages_and_an_envelope_for_all_is_kept_once() {
        let key = SigningKey::from_seed(&InsecureSeededRandom::from_seed(1).secret32());
        let envelope = |body: &[u8]| Envelope {
            sender: Sender::Coordinator,
            body: body.to_vec(),
            signature: key.sign_raw(body),
        };
        let silos = ["a", "b", "c"].map(|name| SiloName::parse(name).unwrap());
        let mut outbox = Outbox::default();
        for body in [b"first", b"later"] {
            for silo in &silos {
                let delivery = Delivery {
                    envelope: envelope(body),
                    attachments: vec![silo.as_str().as_bytes().to_vec()],
                };
                outbox.keep(silo, &delivery);
            }
        }
        outbox.keep(&silos[1], &Delivery::bare(envelope(b"alone")));
        assert_eq!(outbox.envelopes.len(), 3);
        let bodies: Vec<_> = outbox
            .of(&silos[1])
            .map(|sent| sent.envelope.body)
            .collect();
        assert_eq!(bodies, [&b"first"[..], b"later", b"alone"]);
        assert_eq!(outbox.of(&silos[0]).count(), 2);
        let newest = outbox.of(&silos[2]).next_back().unwrap();
        assert_eq!(newest.attachments, [b"c".to_vec()]);
        assert_eq!(outbox.of(&SiloName::parse("d").unwrap()).count(), 0);
    }
}
