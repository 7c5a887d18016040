// SPDX-License-Identifier: Apache-2.0
//! One silo's long message, which the coordinator would pass on to everybody: a frame of more than its bytes reaches nobody.

use consilium_protocol::{Delivery, Fault, SiloMessage};
use std::cell::Cell;
use std::rc::Rc;

use crate::federation::{Federation, Silo, Trouble};
use crate::shares::{assert_released_without, read, run};
use crate::table::{body, name, sign_as};

/// Within the bytes of a message, but not once more beside the messages of others.
const LONG: usize = 4_190_000;

/// Far more than any message of so few silos has.
const MOST: usize = 100_000;

/// Runs five silos, the last of which changes its messages of this name. Gives what the longest message to a silo has.
fn longest_downward(
    message: &'static str,
    change: fn(&mut Silo, &mut Delivery),
) -> (Federation, usize) {
    let mut federation = Federation::new(5, 21, Trouble::None);
    federation.upward = Box::new(move |silo, mut delivery| {
        if silo.name == name(4) && delivery.envelope.peek_name() == Some(message) {
            change(silo, &mut delivery);
        }
        vec![delivery]
    });
    let longest = Rc::new(Cell::new(0));
    let seen = Rc::clone(&longest);
    federation.downward = Box::new(move |_, delivery| {
        let beside: usize = delivery.attachments.iter().map(Vec::len).sum();
        seen.set(seen.get().max(delivery.envelope.body.len() + beside));
        vec![delivery]
    });
    run(&mut federation);
    (federation, longest.get())
}

#[test]
fn a_receipt_over_more_dealers_than_there_are_reaches_nobody() {
    let (federation, longest) = longest_downward("DealReceipt", |silo, delivery| {
        let (id, transcript, _) = read(delivery);
        let message = SiloMessage::DealReceipt {
            good: vec![true; LONG],
        };
        delivery.envelope = sign_as(&silo.name, &silo.key, body(id, transcript, &message));
    });
    assert!(longest < MOST, "{longest} bytes in one message");
    assert!(matches!(federation.rejected[..], [Fault::Malformed(_)]));
    assert_released_without(&federation, &[4]);
}

#[test]
fn a_dealt_share_of_another_length_reaches_nobody() {
    let changes: [fn(&mut Silo, &mut Delivery); 3] = [
        |_, delivery| delivery.attachments[0].resize(LONG, 0),
        |_, delivery| delivery.attachments[3].push(0),
        |_, delivery| delivery.attachments[1].clear(),
    ];
    for change in changes {
        let (federation, longest) = longest_downward("ShareKeys", change);
        assert!(longest < MOST, "{longest} bytes in one message");
        assert!(matches!(federation.rejected[..], [Fault::Malformed(_)]));
        assert_released_without(&federation, &[4]);
    }
}
