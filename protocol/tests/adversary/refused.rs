// SPDX-License-Identifier: Apache-2.0
//! What the coordinator signed and a silo refused: kept whole, proven where its own words refute it, and never where
//! something unsigned beside it could be to blame.

use consilium_protocol::{
    Charge, CoordinatorMessage, Envelope, Evidence, EvidenceFault, Fault, Sender, SiloEvent,
    Standing, SumChunks,
};

use crate::table::{STAGES, Stage, Table, name, plan_of};
use crate::verified::{before_release, changes, other};

/// What a judge says of messages that a silo holds against the coordinator, as they lie in a file.
pub(crate) fn judged(table: &Table, messages: Vec<Envelope>) -> Result<Standing, EvidenceFault> {
    judged_against(table, Sender::Coordinator, messages)
}

fn judged_against(
    table: &Table,
    accused: Sender,
    messages: Vec<Envelope>,
) -> Result<Standing, EvidenceFault> {
    let text = serde_json::to_vec(&Evidence::new(accused, Charge::Messages { messages })).unwrap();
    let read: Evidence = serde_json::from_slice(&text).unwrap();
    let judgement = read.judge(&table.membership, None)?;
    assert_eq!(judgement.id, table.plan.id);
    Ok(judgement.standing)
}

#[test]
fn a_release_that_refutes_itself_is_kept_and_proven_whether_or_not_the_silo_took_part() {
    for (what, change) in changes() {
        let mut table = before_release(31);
        let mut release = table.honest_release();
        change(&mut release);
        let delivery = table.release(&release);
        for takes_part in [true, false] {
            if !takes_part {
                table.put_back(0, &(Table::new(5, 31).picture(0).0, None));
            }
            let sum = table.packed(&table.sum());
            let delivery = delivery.clone();
            let outcome = table.tell(0, SiloEvent::Released { delivery, sum });
            assert!(outcome.finished.is_empty(), "{what}");
            // Of the sum the silo had seen the commitment: it holds both against the coordinator.
            if what == "another sum" && takes_part {
                assert_eq!(outcome.aborted.len(), 1);
                continue;
            }
            let [(id, kept)] = outcome.refused.as_slice() else {
                panic!("{what}: {outcome:?}")
            };
            let sent = table.release(&release).envelope;
            assert_eq!((*id, kept), (table.plan.id, &sent), "{what}");
            let judged = judged(&table, vec![sent]);
            if what == "another sum" {
                assert!(matches!(judged, Ok(Standing::Alleged(_))), "{judged:?}");
            } else {
                assert_eq!(judged, Ok(Standing::Proven), "{what}");
            }
        }
    }
}

#[test]
fn nobody_frames_the_coordinator_by_what_is_put_beside_a_true_release() {
    let mut table = before_release(32);
    let true_one = table.question(Stage::Release, 0);
    let sum = table.packed(&table.sum());
    let mut false_sum = sum.chunks().to_vec();
    false_sum[0][0] ^= 1;
    let mut without_proof = true_one.clone();
    without_proof.attachments = vec![b"no proof".to_vec()];
    for (delivery, sum, fault) in [
        (
            true_one.clone(),
            SumChunks::from(false_sum),
            Fault::OtherSum,
        ),
        (without_proof, sum, Fault::SumNotLogged),
    ] {
        let outcome = table.tell(0, SiloEvent::Released { delivery, sum });
        assert_eq!(outcome.rejected, [fault]);
        let [(id, message)] = outcome.refused.as_slice() else {
            panic!("{outcome:?}")
        };
        assert_eq!((id, message), (&table.plan.id, &true_one.envelope));
        let judged = judged(&table, vec![message.clone()]);
        assert!(matches!(judged, Ok(Standing::Alleged(_))), "{judged:?}");
    }
    assert_eq!(table.ask(0, true_one).finished.len(), 1);
}

#[test]
fn nothing_that_an_honest_coordinator_signed_is_proven_against_it_or_anybody_in_any_pairing() {
    let mut table = before_release(33);
    let mut signed: Vec<Envelope> = STAGES[..8]
        .iter()
        .map(|stage| table.question(*stage, 0).envelope)
        .collect();
    let mut release = table.honest_release();
    signed.push(table.release(&release).envelope);
    release.verification = table.forged_replays(table.x(), release.sum, &[0, 1, 2, 3, 4]);
    let replay = CoordinatorMessage::Replay(Box::new(release));
    signed.push(table.say(table.plan.id, table.x(), &replay));
    // And the freeze of the next attempt, which has another cohort.
    let first = table.plan.clone();
    table.next(plan_of(&table.membership, 1, 2));
    table.draw_fresh_noise();
    table.play_until(Stage::Freeze);
    let (receipts, ready) = (&table.script.receipts, &table.script.ready);
    signed.push(table.freeze(&receipts[..4], &ready[..4]).envelope);
    table.plan = first;
    for one in &signed[..10] {
        for another in &signed {
            for accused in [Sender::Coordinator, Sender::Silo(name(1))] {
                let messages = vec![one.clone(), another.clone()];
                let judged = judged_against(&table, accused, messages);
                assert!(matches!(judged, Ok(Standing::Alleged(_))), "{judged:?}");
            }
        }
    }
}

#[test]
fn a_false_release_proves_nothing_against_a_silo() {
    let table = before_release(34);
    let mut release = table.honest_release();
    release.votes.truncate(1);
    let messages = vec![table.release(&release).envelope];
    assert_eq!(judged(&table, messages.clone()), Ok(Standing::Proven));
    let judged = judged_against(&table, Sender::Silo(name(1)), messages);
    assert!(matches!(judged, Ok(Standing::Alleged(_))), "{judged:?}");
}

#[test]
fn a_list_under_another_history_is_kept_and_not_proven() {
    let mut table = Table::new(5, 35);
    table.play_until(Stage::Proposal);
    let before = table.picture(0);
    let elsewhere = other(&table.x());
    let proposal = table.propose_under(elsewhere, &table.script.uploads);
    let message = proposal.envelope.clone();
    let outcome = table.ask(0, proposal);
    assert_eq!(outcome.refused, [(table.plan.id, message.clone())]);
    assert!(outcome.sent.is_empty() && outcome.aborted.is_empty());
    assert_eq!(table.picture(0), before);
    let judged = judged(&table, vec![message]);
    assert!(matches!(judged, Ok(Standing::Alleged(_))), "{judged:?}");
}

#[test]
fn what_the_coordinator_did_not_sign_or_is_only_late_is_not_held_against_it() {
    let mut table = before_release(36);
    let mut unsigned = table.question(Stage::Release, 0);
    unsigned.envelope.signature = table.script.votes[0].signature;
    let late = table.question(Stage::Freeze, 0);
    // A release of the roster before this one, told to a silo that had missed it.
    let mut earlier = table.question(Stage::Release, 0);
    let mut plan = table.plan.clone();
    plan.id.epoch = 0;
    let mut release = table.honest_release();
    release.plan = plan.clone();
    let message = CoordinatorMessage::Release(Box::new(release));
    earlier.envelope = table.say(plan.id, table.x(), &message);
    let mut never_answered = Table::new(5, 36);
    never_answered.play_until(Stage::DealBook);
    for delivery in [unsigned, earlier] {
        let outcome = table.ask(0, delivery);
        assert_eq!((outcome.rejected.len(), outcome.refused.len()), (1, 0));
    }
    let outcome = never_answered.ask(0, late);
    assert_eq!((outcome.rejected.len(), outcome.refused.len()), (1, 0));
    assert_eq!(
        table
            .ask(0, table.question(Stage::Release, 0))
            .finished
            .len(),
        1
    );
}
