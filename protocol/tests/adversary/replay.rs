// SPDX-License-Identifier: Apache-2.0
//! Every recorded message into every phase, and second, different questions.

use consilium_protocol::{CoordinatorMessage, Delivery, Fault, SiloEvent};

use crate::federation::{Federation, Trouble};
use crate::table::{Outcome, STAGES, Stage, Table, plan_of};

/// One released round and one abandoned attempt, with everything that anybody said in them.
fn history(table: &mut Table) -> Vec<Delivery> {
    table.play_until(Stage::Over);
    let mut recorded = said(table);
    table.next(plan_of(&table.membership, 2, 1));
    table.play_until(Stage::Commitment);
    recorded.extend(said(table));
    let message = CoordinatorMessage::Abandon {
        reason: "enough".to_owned(),
    };
    let transcript = table.plan.opening_transcript();
    let abandon = Delivery::bare(table.say(table.plan.id, transcript, &message));
    for seat in 0..table.seats.len() {
        table.ask(seat, abandon.clone());
    }
    recorded.push(abandon);
    table.next(plan_of(&table.membership, 2, 2));
    table.draw_fresh_noise();
    recorded
}

fn said(table: &Table) -> Vec<Delivery> {
    let questions = table.script.questions.iter().map(|(_, question)| question);
    questions.chain(&table.script.answers).cloned().collect()
}

/// Hands one message to a silo through every door that it has.
fn through_every_door(table: &mut Table, delivery: &Delivery) -> Outcome {
    let mut all = Outcome::default();
    let (expected, sum) = (table.plan.clone(), table.packed(&table.sum()));
    for door in 0..3 {
        let delivery = delivery.clone();
        let event = match door {
            0 => SiloEvent::Delivered(delivery),
            1 => SiloEvent::Opened {
                delivery,
                expected: expected.clone(),
            },
            _ => SiloEvent::Released {
                delivery,
                sum: sum.clone(),
            },
        };
        let outcome = table.tell(0, event);
        all.sent.extend(outcome.sent);
        all.aborted.extend(outcome.aborted);
        all.finished.extend(outcome.finished);
    }
    all
}

#[test]
fn no_message_of_an_earlier_attempt_changes_any_phase_of_a_silo() {
    let mut table = Table::new(4, 1);
    let recorded = history(&mut table);
    assert!(recorded.len() > 100);
    for (stage, next) in STAGES.into_iter().zip(STAGES.into_iter().skip(1)) {
        let before = table.picture(0);
        for delivery in &recorded {
            let outcome = through_every_door(&mut table, delivery);
            assert!(outcome.sent.is_empty(), "{stage:?}: {outcome:?}");
            assert!(outcome.aborted.is_empty(), "{stage:?}: {outcome:?}");
            assert_eq!(table.picture(0), before, "{stage:?}");
        }
        table.play_between(stage, next, &[0, 1, 2, 3]);
    }
}

#[test]
fn messages_of_the_same_attempt_in_another_phase_change_nothing() {
    // A twin with the same seed says in advance what will be said.
    let mut twin = Table::new(4, 2);
    twin.play_until(Stage::Over);
    let mut table = Table::new(4, 2);
    for (at, stage) in STAGES.into_iter().enumerate() {
        let before = table.picture(0);
        let others = STAGES.into_iter().enumerate().filter(|(other, stage)| {
            // A release ends the attempt whenever it comes: it proves itself.
            *other != at && *stage != Stage::Release
        });
        for (other, _) in others {
            let question = twin.script.questions[other * 4].1.clone();
            let outcome = table.ask(0, question);
            assert!(outcome.aborted.is_empty(), "{stage:?}: {outcome:?}");
            assert_eq!(table.picture(0), before, "{stage:?}");
            if other < at {
                // Answered already: the same bytes again.
                assert!(outcome.rejected.is_empty());
                for sent in &outcome.sent {
                    assert!(table.script.answers.contains(sent));
                }
            } else {
                assert!(outcome.sent.is_empty(), "{stage:?}: {outcome:?}");
                assert_eq!(outcome.rejected.len(), 1);
            }
        }
        for answer in &twin.script.answers {
            let outcome = through_every_door(&mut table, answer);
            assert!(outcome.sent.is_empty() && outcome.aborted.is_empty());
            assert_eq!(table.picture(0), before, "{stage:?}");
        }
        let next = STAGES.get(at + 1).copied().unwrap_or(Stage::Over);
        table.play_between(stage, next, &[0, 1, 2, 3]);
    }
    assert_eq!(table.script.answers, twin.script.answers);
}

#[test]
fn nothing_that_silos_said_before_changes_a_round_of_the_coordinator() {
    let mut federation = Federation::new(4, 3, Trouble::None);
    let mut recorded: Vec<Delivery> = Vec::new();
    federation.upward = Box::new(move |_, delivery| {
        recorded.push(delivery);
        // The true one last: what was recorded arrives before it in every phase.
        recorded.clone()
    });
    for round in 1..=2 {
        let plan = federation.plan(round, 1, None);
        federation.run(plan);
        let (survivors, _) = federation.released.clone().expect("released");
        assert_eq!(survivors.len(), 4);
        let sum = federation.true_sum(&survivors);
        for silo in &federation.silos {
            assert_eq!(silo.finished.last().unwrap().words().unwrap(), sum);
            assert!(silo.aborted.is_empty());
        }
    }
    assert!(!federation.rejected.is_empty());
    assert!(federation.named.is_empty(), "{:?}", federation.named);
}

/// A question of the same stage with another content.
fn other_question(table: &Table, stage: Stage) -> Delivery {
    let script = &table.script;
    let last = |count: usize| count - 1;
    match stage {
        Stage::KeyBook => table.key_book(&script.advertisements[..last(5)]),
        Stage::DealBook => table.deal_book(&script.deals[..last(5)], 0),
        Stage::Freeze => table.freeze(&script.receipts[..last(5)], &script.ready[..last(5)]),
        Stage::Proposal => table.propose(&script.uploads[..last(5)]),
        Stage::Certificate => table.certify(&script.votes[..last(5)]),
        Stage::Commitment => table.commit(&table.plan.model),
        Stage::Challenge => table.challenge(&script.nonces[..last(5)]),
        Stage::Open | Stage::Release | Stage::Over => panic!("{stage:?} has its own tests"),
    }
}

#[test]
fn a_second_different_question_ends_the_attempt_with_both_as_evidence() {
    let asked_twice = &STAGES[1..8];
    for (at, stage) in asked_twice.iter().enumerate() {
        // At once, and as late as possible.
        for until in [asked_twice.get(at + 1).copied(), Some(Stage::Release)] {
            let until = until.unwrap_or(Stage::Release);
            let mut table = Table::new(5, 4);
            table.play_until(until);
            // Also across a restart.
            let picture = table.picture(0);
            table.put_back(0, &picture);
            let first = table.question(*stage, 0).envelope;
            let second = other_question(&table, *stage);
            let outcome = table.ask(0, second.clone());
            let [(id, fault, evidence)] = outcome.aborted.as_slice() else {
                panic!("{stage:?}: {outcome:?}")
            };
            assert_eq!(*id, table.plan.id);
            assert!(matches!(fault, Fault::Equivocation { .. }), "{fault}");
            assert_eq!(*evidence, vec![first, second.envelope], "{stage:?}");
            assert!(outcome.sent.is_empty());
            assert!(table.is_out(0));
        }
    }
}

#[test]
fn a_message_signed_by_anybody_but_the_coordinator_is_discarded() {
    let mut table = Table::new(4, 5);
    table.play_until(Stage::Certificate);
    let before = table.picture(0);
    let honest = table.question(Stage::Certificate, 0);
    for seat in 0..4 {
        let mut forged = honest.clone();
        let key = &table.seats[seat].key;
        forged.envelope.signature = key.sign(
            consilium_crypto::label::Label::CoordinatorMessage,
            &[&forged.envelope.body],
        );
        let outcome = table.ask(0, forged);
        assert!(matches!(
            outcome.rejected.as_slice(),
            [Fault::BadSignature { .. }]
        ));
        assert_eq!(table.picture(0), before);
    }
    // Nor does the coordinator's signature for one role serve in the other.
    let vote = table.script.votes[1].clone();
    let as_silo = consilium_protocol::Envelope {
        sender: vote.sender,
        ..honest.envelope
    };
    assert_eq!(table.ask(0, Delivery::bare(as_silo)).rejected.len(), 1);
    assert_eq!(table.picture(0), before);
}
