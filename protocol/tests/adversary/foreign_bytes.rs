// SPDX-License-Identifier: Apache-2.0
//! Bytes of strangers and signed nonsense: refused without a panic and without an answer.

use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_protocol::{Delivery, Envelope, Sender, SiloEvent, peek_plan};

use crate::federation::{Federation, Trouble};
use crate::table::{STAGES, Table, name, sign_as};

fn below(random: &mut InsecureSeededRandom, bound: usize) -> usize {
    (random.next_u64() % bound.max(1) as u64) as usize
}

/// A few flipped, lost or added bytes.
fn damaged(bytes: &[u8], random: &mut InsecureSeededRandom) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=below(random, 3) {
        let at = below(random, bytes.len());
        match below(random, 6) {
            0 => bytes.truncate(at),
            1 => bytes.push(0xff),
            2 if !bytes.is_empty() => bytes[at] = 0xff,
            _ if !bytes.is_empty() => bytes[at] ^= 1 << below(random, 8),
            _ => {}
        }
    }
    bytes
}

fn doors(table: &Table, delivery: Delivery) -> Vec<SiloEvent> {
    let (expected, sum) = (table.plan.clone(), table.packed(&table.sum()));
    vec![
        SiloEvent::Opened {
            delivery: delivery.clone(),
            expected,
        },
        SiloEvent::Released {
            delivery: delivery.clone(),
            sum,
        },
        SiloEvent::Delivered(delivery),
    ]
}

#[test]
fn damaged_questions_with_the_coordinators_true_signature_are_never_answered() {
    let mut random = InsecureSeededRandom::from_seed(1);
    for stage in STAGES {
        let mut table = Table::new(4, 1);
        table.play_until(stage);
        let before = table.picture(0);
        let honest = table.question(stage, 0);
        for _ in 0..400 {
            let body = damaged(&honest.envelope.body, &mut random);
            if body == honest.envelope.body {
                continue;
            }
            let delivery = Delivery {
                envelope: table.say_bytes(body),
                attachments: honest.attachments.clone(),
            };
            if let Some(plan) = peek_plan(&delivery) {
                // Drivers look into foreign plans: that must not panic or take for ever.
                let _ = (plan.packed_length(), plan.chunk_count(), plan.digest());
                let _ = (
                    plan.fields_in_chunk(u64::MAX),
                    plan.fewest(),
                    plan.word_bits(),
                );
            }
            let _ = (
                delivery.envelope.peek_name(),
                delivery.envelope.peek_attempt(),
            );
            for event in doors(&table, delivery) {
                let outcome = table.tell(0, event);
                assert!(outcome.sent.is_empty(), "{stage:?}: {outcome:?}");
                assert!(outcome.finished.is_empty(), "{stage:?}: {outcome:?}");
            }
            table.put_back(0, &before);
        }
        assert!(!table.ask(0, honest).aborted.iter().any(|_| true));
    }
}

#[test]
fn random_bytes_of_anybody_change_nothing() {
    let mut random = InsecureSeededRandom::from_seed(2);
    for stage in STAGES {
        let mut table = Table::new(4, 2);
        table.play_until(stage);
        let before = table.picture(0);
        for _ in 0..200 {
            let mut body = vec![0; below(&mut random, 300)];
            random.fill(&mut body);
            let signed = table.say_bytes(body.clone());
            let unsigned = Envelope {
                sender: Sender::Silo(name(2)),
                ..signed.clone()
            };
            let silo = sign_as(&name(2), &table.seats[2].key, body);
            for envelope in [signed, unsigned, silo] {
                for event in doors(&table, Delivery::bare(envelope)) {
                    let outcome = table.tell(0, event);
                    assert!(outcome.sent.is_empty() && outcome.aborted.is_empty());
                    assert_eq!(table.picture(0), before);
                }
            }
        }
    }
}

#[test]
fn damaged_attachments_are_never_worth_a_panic() {
    let mut random = InsecureSeededRandom::from_seed(3);
    for stage in STAGES {
        let mut table = Table::new(4, 3);
        table.play_until(stage);
        let before = table.picture(0);
        for _ in 0..100 {
            let mut question = table.question(stage, 0);
            for attachment in &mut question.attachments {
                *attachment = damaged(attachment, &mut random);
            }
            if below(&mut random, 3) == 0 {
                question.attachments.push(vec![1; 40]);
            }
            let _ = table.ask(0, question);
            table.put_back(0, &before);
        }
    }
}

#[test]
fn signed_nonsense_of_a_colluder_releases_the_true_sum_or_nothing() {
    for seed in 0..60 {
        let mut random = InsecureSeededRandom::from_seed(seed);
        let mut federation = Federation::new(5, seed, Trouble::None);
        federation.upward = Box::new(move |silo, delivery| {
            let mut said = vec![delivery.clone()];
            if silo.name == name(4) {
                for _ in 0..4 {
                    let body = damaged(&delivery.envelope.body, &mut random);
                    let attachments = delivery
                        .attachments
                        .iter()
                        .map(|attachment| damaged(attachment, &mut random))
                        .collect();
                    let nonsense = Delivery {
                        envelope: sign_as(&silo.name, &silo.key, body),
                        attachments,
                    };
                    // Before the honest one, so that it counts if it can be read at all.
                    said.insert(0, nonsense);
                }
            }
            said
        });
        let plan = federation.plan(1, 1, None);
        federation.run(plan);
        for silo in &federation.silos[..4] {
            for finished in &silo.finished {
                assert_eq!(
                    finished.words().unwrap(),
                    federation.true_sum(&finished.survivors)
                );
            }
        }
        // Nobody else is blamed for it.
        assert!(federation.named.iter().all(|silo| *silo == name(4)));
    }
}
