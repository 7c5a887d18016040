// SPDX-License-Identifier: Apache-2.0
//! Both state machines, fed with anything at any phase: recorded messages in any order, damaged ones with a true
//! signature, ends of local work that nobody asked for, and snapshots of something else.

use super::{Recording, steer};
use crate::federation::NoLog;
use anyhow::Result;
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::mersenne::Element;
use consilium_crypto::random::InsecureSeededRandom;
use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;
use consilium_protocol::{
    AttemptId, CoordinatorEffect, CoordinatorEvent, CoordinatorMachine, CoordinatorSurroundings,
    Deadlines, Delivery, Envelope, ReplayOutcome, Sender, SiloEffect, SiloEvent, SiloMachine,
    SiloName, SiloSurroundings, SumChunks,
};

/// A snapshot that is read is written so that it is read alike, and can be gone on from.
pub(super) fn silo_restore(input: &[u8]) {
    let Ok(recording) = Recording::of_a_round() else {
        return;
    };
    let Some((name, key)) = recording.silos.first() else {
        return;
    };
    let instance = Recording::instance(name);
    let secrets = recording
        .to_silos
        .iter()
        .find_map(|sent| sent.secrets.as_deref());
    for secrets in [None, Some(input), secrets] {
        let Ok(machine) = SiloMachine::restore(input, secrets, instance) else {
            continue;
        };
        let written = machine.snapshot();
        let kept = machine.secrets();
        let again = SiloMachine::restore(
            &written,
            kept.as_ref().map(|kept| kept.expose().as_slice()),
            instance,
        );
        assert_eq!(again.ok().map(|again| again.snapshot()), Some(written));
        let (Some(membership), mut effects) = (&recording.membership, Vec::new()) else {
            return;
        };
        let surroundings = silo_surroundings(name, key, membership);
        machine.resume(&surroundings, &mut effects);
    }
}

pub(super) fn silo_restore_seeds() -> Result<Vec<Vec<u8>>> {
    let sent = &Recording::of_a_round()?.to_silos;
    let of_one = sent.iter().filter(|sent| sent.at == 0).step_by(3);
    Ok(of_one.map(|sent| sent.snapshot.clone()).collect())
}

/// The same for the coordinator.
pub(super) fn coordinator_restore(input: &[u8]) {
    if let Ok(machine) = CoordinatorMachine::restore(input, 0, 1) {
        let written = machine.snapshot();
        let again = CoordinatorMachine::restore(&written, 0, 1);
        assert_eq!(again.ok().map(|again| again.snapshot()), Some(written));
        let _ = (machine.answered(), machine.phase_name(), machine.deadline());
        let _ = machine.resume(&mut Vec::new());
    }
}

pub(super) fn coordinator_restore_seeds() -> Result<Vec<Vec<u8>>> {
    let sent = &Recording::of_a_round()?.to_coordinator;
    Ok(sent
        .iter()
        .step_by(28)
        .map(|sent| sent.snapshot.clone())
        .collect())
}

/// The first byte chooses where in the round to begin, each further group of four bytes is one event.
pub(super) fn silo_messages(input: &[u8]) {
    let Ok(recording) = Recording::of_a_round() else {
        return;
    };
    let (begin, events) = steer(input);
    let Some(start) = recording
        .to_silos
        .get(begin % recording.to_silos.len().max(1))
    else {
        return;
    };
    let (Some((name, key)), Some(membership), Some(coordinator), Some(plan)) = (
        recording.silos.get(start.at),
        &recording.membership,
        &recording.coordinator_key,
        &recording.plan,
    ) else {
        return;
    };
    let instance = Recording::instance(name);
    let surroundings = silo_surroundings(name, key, membership);
    let mut random = InsecureSeededRandom::from_seed(1);
    let Ok(mut machine) = SiloMachine::restore(&start.snapshot, start.secrets.as_deref(), instance)
    else {
        return;
    };
    for event in events.as_chunks::<4>().0.iter().take(MOST_EVENTS) {
        let [kind, which, at, value] = event.map(usize::from);
        let Some(sent) = recording
            .to_silos
            .get(which % recording.to_silos.len().max(1))
        else {
            return;
        };
        let mut delivery = sent.delivery.clone();
        let event = match kind % 14 {
            0..4 => SiloEvent::Delivered(delivery),
            4 | 5 => {
                damage(&mut delivery.envelope.body, at, value);
                delivery.envelope.signature =
                    coordinator.sign(Label::CoordinatorMessage, &[&delivery.envelope.body]);
                SiloEvent::Delivered(delivery)
            }
            6 => {
                damage(&mut delivery.envelope.body, at, value);
                SiloEvent::Delivered(delivery)
            }
            7 => {
                let count = delivery.attachments.len();
                delivery.attachments.rotate_left(at.min(count));
                if let Some(attachment) = delivery.attachments.first_mut() {
                    damage(attachment, at, value);
                }
                SiloEvent::Delivered(delivery)
            }
            8 => SiloEvent::Opened {
                delivery,
                expected: plan.clone(),
            },
            9 => SiloEvent::Prepared {
                id: attempt(plan.id, at),
                input: Digest::from_bytes([event[3]; 32]),
            },
            10 => SiloEvent::Masked {
                id: attempt(plan.id, at),
                root: Digest::from_bytes([event[3]; 32]),
                length: if value % 2 == 0 {
                    plan.packed_length()
                } else {
                    1
                },
            },
            11 => SiloEvent::Tagged {
                id: attempt(plan.id, at),
                product: Secret::new(Element::from_uniform([event[3]; 16])),
            },
            12 => SiloEvent::Replayed {
                id: attempt(plan.id, at),
                outcome: if value % 2 == 0 {
                    ReplayOutcome::Equal
                } else {
                    ReplayOutcome::Different
                },
            },
            _ => SiloEvent::Released {
                delivery,
                sum: SumChunks::pack(plan, &[if value % 2 == 0 { 10 } else { 11 }; 4])
                    .unwrap_or_default(),
            },
        };
        let before = machine.snapshot();
        let mut effects = Vec::new();
        machine = machine.handle(&surroundings, event, &mut random, &mut effects);
        if !effects.is_empty()
            && effects.iter().all(|effect| {
                matches!(effect, SiloEffect::Rejected(_) | SiloEffect::Refused { .. })
            })
        {
            assert!(
                machine.snapshot() == before,
                "a rejected message changed the machine"
            );
        }
        for effect in &effects {
            if let SiloEffect::Finished(verified) = effect {
                assert_eq!(verified.words().ok().as_deref(), Some(&[10; 4][..]));
            }
        }
        // Every state is one that a restart gives back.
        let kept = machine.secrets();
        let restored = SiloMachine::restore(
            &machine.snapshot(),
            kept.as_ref().map(|kept| kept.expose().as_slice()),
            instance,
        );
        assert!(restored.is_ok_and(|restored| restored.snapshot() == machine.snapshot()));
    }
}

pub(super) fn silo_messages_seeds() -> Result<Vec<Vec<u8>>> {
    let recording = Recording::of_a_round()?;
    let mut seeds = Vec::new();
    for (begin, start) in recording.to_silos.iter().enumerate() {
        if start.at != 0 {
            continue;
        }
        // The message that is due, the one after it, the due one again with damage, then local work.
        let mut input = vec![u8::try_from(begin)?];
        let due = u8::try_from(begin)?;
        for (kind, which) in [
            (0, due),
            (4, due),
            (9, 0),
            (10, 0),
            (0, due.wrapping_add(4)),
            (8, 0),
            (11, 0),
            (13, due),
        ] {
            input.extend_from_slice(&[kind, which, 0, 0]);
        }
        seeds.push(input);
    }
    Ok(seeds)
}

/// As for the silo; the coordinator is told what silos say, and how local work ends.
pub(super) fn coordinator_messages(input: &[u8]) {
    let Ok(recording) = Recording::of_a_round() else {
        return;
    };
    let (begin, events) = steer(input);
    let count = recording.to_coordinator.len().max(1);
    let Some(start) = recording.to_coordinator.get(begin % count) else {
        return;
    };
    let (Some(membership), Some(signing_key)) = (&recording.membership, &recording.coordinator_key)
    else {
        return;
    };
    let surroundings = CoordinatorSurroundings {
        membership,
        signing_key,
        deadlines: Deadlines {
            exchange_milliseconds: 10,
            preparation_milliseconds: 10,
            upload_milliseconds: 10,
        },
    };
    let Ok(mut machine) = CoordinatorMachine::restore(&start.snapshot, 0, 10) else {
        return;
    };
    for event in events.as_chunks::<4>().0.iter().take(MOST_EVENTS) {
        let [kind, which, at, value] = event.map(usize::from);
        let said = recording
            .to_coordinator
            .get(which % count)
            .and_then(|sent| sent.said.clone());
        let named = recording.silos.get(at % recording.silos.len().max(1));
        let (Some((name, key)), mut now) = (named, 0) else {
            return;
        };
        let event = match (kind % 10, said) {
            (0..4, Some((from, delivery))) => CoordinatorEvent::Delivered { from, delivery },
            (4 | 5, Some((_, mut delivery))) => {
                damage(&mut delivery.envelope.body, at, value);
                CoordinatorEvent::Delivered {
                    from: name.clone(),
                    delivery: signed(name, key, delivery),
                }
            }
            (6, _) => {
                now = 20;
                CoordinatorEvent::Tick
            }
            (7, _) if value % 2 == 0 => CoordinatorEvent::Gone(name.clone()),
            (7, _) => CoordinatorEvent::Back(name.clone()),
            (8, _) => CoordinatorEvent::Uploaded {
                from: name.clone(),
                root: Digest::from_bytes([event[3]; 32]),
                length: machine.plan().packed_length(),
            },
            (9, _) if value % 2 == 0 => CoordinatorEvent::Summed {
                digest: Digest::from_bytes([event[3]; 32]),
            },
            (9, _) => CoordinatorEvent::SumLogged { proof: Vec::new() },
            _ => CoordinatorEvent::Tick,
        };
        let before = machine.snapshot();
        let mut effects = Vec::new();
        machine = machine.handle(&surroundings, now, event, &mut effects);
        let only_refused = effects.iter().all(|effect| {
            matches!(
                effect,
                CoordinatorEffect::Rejected { .. } | CoordinatorEffect::Record { .. }
            )
        });
        let refused = effects
            .iter()
            .any(|effect| matches!(effect, CoordinatorEffect::Rejected { .. }));
        if refused && only_refused {
            assert!(
                machine.snapshot() == before,
                "a rejected message changed the machine"
            );
        }
        let restored = CoordinatorMachine::restore(&machine.snapshot(), 0, 10);
        assert!(restored.is_ok_and(|restored| restored.snapshot() == machine.snapshot()));
    }
}

pub(super) fn coordinator_messages_seeds() -> Result<Vec<Vec<u8>>> {
    let count = Recording::of_a_round()?.to_coordinator.len();
    let mut seeds = Vec::new();
    for begin in (0..count).step_by(4) {
        let begin = u8::try_from(begin)?;
        let mut input = vec![begin];
        for (kind, ahead) in [
            (0, 0),
            (0, 1),
            (4, 2),
            (0, 2),
            (0, 3),
            (7, 0),
            (6, 0),
            (8, 0),
            (9, 0),
        ] {
            input.extend_from_slice(&[kind, begin.wrapping_add(ahead), ahead, ahead]);
        }
        seeds.push(input);
    }
    Ok(seeds)
}

fn silo_surroundings<'a>(
    name: &'a SiloName,
    key: &'a SigningKey,
    membership: &'a consilium_protocol::Membership,
) -> SiloSurroundings<'a> {
    SiloSurroundings {
        name,
        signing_key: key,
        membership,
        log: &NoLog,
        start_nonce: Digest::from_bytes([0; 32]),
    }
}

/// The attempt itself, or another one.
fn attempt(id: AttemptId, at: usize) -> AttemptId {
    let later = u32::from(at % 4 == 3);
    AttemptId {
        attempt: id.attempt + later,
        ..id
    }
}

fn damage(bytes: &mut Vec<u8>, at: usize, value: usize) {
    let value = u8::try_from(value).unwrap_or_default();
    let place = at * bytes.len() / 256;
    match value % 8 {
        0 => bytes.truncate(place),
        1 => bytes.push(value),
        _ => {
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= value;
            }
        }
    }
}

fn signed(name: &SiloName, key: &SigningKey, delivery: Delivery) -> Delivery {
    let Delivery {
        envelope,
        attachments,
    } = delivery;
    let signature = key.sign(
        Label::SiloMessage,
        &[name.as_str().as_bytes(), &envelope.body],
    );
    Delivery {
        envelope: Envelope {
            sender: Sender::Silo(name.clone()),
            body: envelope.body,
            signature,
        },
        attachments,
    }
}

/// Longer sequences find nothing that shorter ones do not.
const MOST_EVENTS: usize = 16;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_recorded_message_is_one_that_its_silo_accepts() {
        let recording = Recording::of_a_round().unwrap();
        let (membership, plan) = (
            recording.membership.as_ref().unwrap(),
            recording.plan.as_ref().unwrap(),
        );
        let mut random = InsecureSeededRandom::from_seed(1);
        for sent in &recording.to_silos {
            let (name, key) = &recording.silos[sent.at];
            let secrets = sent.secrets.as_deref();
            let machine =
                SiloMachine::restore(&sent.snapshot, secrets, Recording::instance(name)).unwrap();
            let delivery = sent.delivery.clone();
            let event = match delivery.envelope.peek_name() {
                Some("Open") => SiloEvent::Opened {
                    delivery,
                    expected: plan.clone(),
                },
                // The sum of a release is that of the whole round, whatever came before it.
                Some("Release") => SiloEvent::Released {
                    delivery,
                    sum: SumChunks::pack(plan, &[10; 4]).unwrap(),
                },
                _ => SiloEvent::Delivered(delivery),
            };
            let mut effects = Vec::new();
            let surroundings = silo_surroundings(name, key, membership);
            let _ = machine.handle(&surroundings, event, &mut random, &mut effects);
            let refused = effects.iter().any(|effect| {
                matches!(
                    effect,
                    SiloEffect::Rejected(_)
                        | SiloEffect::Refused { .. }
                        | SiloEffect::Aborted { .. }
                )
            });
            assert!(!refused, "{effects:?}");
        }
    }
}
