// SPDX-License-Identifier: Apache-2.0
//! Deals that are withheld and shares that are corrupt.

use consilium_crypto::digest::Digest;
use consilium_protocol::insecure_for_test::{Defence, without};
use consilium_protocol::{AttemptId, Fault, SiloMessage};

use crate::federation::{Federation, Trouble};
use crate::robber::fault;
use crate::table::{Stage, Table, body, name, sign_as};

/// The coordinator withholds all deals from silos 1 to 3, and freezes a cohort with everybody.
fn starved() -> (Table, Vec<Fault>) {
    let mut table = Table::new(5, 1);
    table.play_until(Stage::DealBook);
    for seat in 0..5 {
        let mut question = table.question(Stage::DealBook, seat);
        if (1..4).contains(&seat) {
            question.attachments.fill(vec![7; 500]);
        }
        let outcome = table.ask(seat, question);
        table.write_down(outcome.sent);
    }
    let mut faults = Vec::new();
    for seat in 0..5 {
        let outcome = table.ask(seat, table.question(Stage::Freeze, seat));
        if outcome.sent.is_empty() {
            faults.push(fault(&outcome));
        }
        table.write_down(outcome.sent);
    }
    (table, faults)
}

#[test]
fn without_receipts_a_round_that_nobody_can_open_is_uploaded_and_the_innocent_are_blamed() {
    let (table, faults) = starved();
    assert!(table.script.uploads.is_empty(), "nothing has left anybody");
    let (holder, dealer) = (name(1), name(0));
    assert_eq!(faults, vec![Fault::MissingReceipt { holder, dealer }; 5]);

    without(&[Defence::Receipts], || {
        let (mut table, faults) = starved();
        assert!(faults.is_empty());
        assert_eq!(table.script.uploads.len(), 5, "everybody's masks are spent");
        let everybody = [0, 1, 2, 3, 4];
        table.play_between(Stage::Proposal, Stage::Certificate, &everybody);
        let mut revealed = 0;
        for seat in everybody {
            let outcome = table.ask(seat, table.question(Stage::Certificate, seat));
            if outcome.sent.is_empty() {
                assert!(matches!(fault(&outcome), Fault::BadDeal { .. }));
            } else {
                revealed += 1;
            }
        }
        assert!(revealed < table.plan.thresholds.threshold);
    });
}

/// Silo 1 changes one byte of a share of silo 0 that it reveals.
fn corrupt_reveal() -> Federation {
    let mut federation = Federation::new(5, 2, Trouble::None);
    federation.upward = Box::new(|silo, mut delivery| {
        if silo.name == name(1) && delivery.envelope.peek_name() == Some("Reveal") {
            let (id, transcript, message): (AttemptId, Digest, SiloMessage) =
                postcard::from_bytes(&delivery.envelope.body).unwrap();
            let SiloMessage::Reveal { mut shares } = message else {
                panic!("a reveal is a reveal")
            };
            shares[0].share[7] ^= 1;
            let message = SiloMessage::Reveal { shares };
            delivery.envelope = sign_as(&silo.name, &silo.key, body(id, transcript, &message));
        }
        vec![delivery]
    });
    let plan = federation.plan(1, 1, None);
    federation.run(plan);
    federation
}

#[test]
fn without_proven_shares_a_liar_ends_the_round_and_an_honest_dealer_is_named() {
    let federation = corrupt_reveal();
    assert_eq!(federation.named, vec![name(1)]);
    assert!(federation.released.is_some());
    let federation = without(&[Defence::DealtShares], corrupt_reveal);
    assert_eq!(federation.named, vec![name(0)]);
    assert!(federation.released.is_none());
}
