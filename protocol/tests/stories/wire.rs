// SPDX-License-Identifier: Apache-2.0
//! What a round of fifty silos weighs, counted from its messages: the facts of decision 14.

use crate::federation::{Federation, Trouble};
use consilium_crypto::key_encapsulation::{ENCAPSULATED_LENGTH, ENCAPSULATION_KEY_LENGTH};
use std::cell::Cell;
use std::rc::Rc;

const SILOS: usize = 50;

/// Bytes of all messages to and from one silo, on average, without vectors and without proofs of the log.
fn message_bytes() -> usize {
    let total = Rc::new(Cell::new(0));
    let mut federation = Federation::new(SILOS, 3, Trouble::None);
    let (up, down) = (Rc::clone(&total), Rc::clone(&total));
    federation.upward = Box::new(move |_, delivery| {
        up.set(up.get() + postcard::to_allocvec(&delivery).unwrap().len());
        vec![delivery]
    });
    federation.downward = Box::new(move |_, delivery| {
        down.set(down.get() + postcard::to_allocvec(&delivery).unwrap().len());
        vec![delivery]
    });
    let plan = federation.plan(1, 1, None);
    federation.run(plan);
    assert!(federation.released.is_some());
    total.get() / SILOS
}

/// What one silo would send and receive in addition, if every pair of mask keys were agreed under ML-KEM too: its own
/// key and those of all, and half of its pairs' encapsulated secrets sent, the other half received.
fn mask_key_bytes() -> usize {
    (SILOS + 1) * ENCAPSULATION_KEY_LENGTH + (SILOS - 1) * ENCAPSULATED_LENGTH
}

#[test]
fn mask_keys_under_ml_kem_would_cost_more_than_a_tenth_up_to_a_hundred_thousand_parameters() {
    let messages = message_bytes();
    assert_eq!(mask_key_bytes(), 113_696);
    for (parameters, more_than_a_tenth) in [
        (10, true),
        (10_000, true),
        (100_000, true),
        (1_000_000, false),
    ] {
        // Up and down, at 24 bits.
        let vectors = 2 * parameters * 24 / 8;
        let percent = 100 * mask_key_bytes() / (messages + vectors);
        println!(
            "{parameters} parameters: {messages} bytes of messages, {vectors} of vectors, {percent} % more"
        );
        assert_eq!(percent >= 10, more_than_a_tenth);
    }
}
