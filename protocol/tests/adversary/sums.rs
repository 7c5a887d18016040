// SPDX-License-Identifier: Apache-2.0
//! Sums that are not the sum: a coordinator that commits to another one, and vectors that wrap.

use consilium_crypto::ring::WordBits;
use consilium_protocol::{Fault, SiloEvent, VerifiedBy, verify_release};

use crate::federation::{BITS, DIMENSION, Federation, Trouble};
use crate::table::{Stage, Table};

/// The sum with `delta` added to one coordinate.
fn moved(table: &Table, at: usize, delta: i64) -> Vec<u64> {
    let bits = WordBits::new(BITS).unwrap();
    let mut sum = table.sum();
    sum[at] = sum[at].wrapping_add(bits.encode(delta)) & bits.mask();
    sum
}

#[test]
fn a_committed_sum_that_differs_in_one_coordinate_by_any_amount_is_not_released() {
    let last = DIMENSION as usize - 1;
    // One unit, the largest step, and half of the range, which makes a wrap of what was none.
    for (at, delta) in [
        (0, 1),
        (last, -1),
        (150, 1 << (BITS - 2)),
        (7, -(1 << (BITS - 1))),
    ] {
        let mut table = Table::new(4, 1);
        table.play_until(Stage::Commitment);
        let sum = moved(&table, at, delta);
        let committed = table.sum_digest(&sum);
        for stage in [Stage::Commitment, Stage::Challenge] {
            for seat in 0..4 {
                let question = if stage == Stage::Commitment {
                    table.commit(&committed)
                } else {
                    table.challenge(&table.script.nonces)
                };
                let sent = table.ask(seat, question).sent;
                table.write_down(sent);
            }
        }
        let mut release = table.honest_release();
        release.sum = committed;
        let delivery = table.release(&release);
        let alone = verify_release(&table.membership, &table.log, &delivery, table.packed(&sum));
        assert_eq!(alone.err(), Some(Fault::Unverified), "{at}: {delta}");
        for seat in 0..4 {
            let event = SiloEvent::Released {
                delivery: delivery.clone(),
                sum: table.packed(&sum),
            };
            let outcome = table.tell(seat, event);
            assert!(outcome.finished.is_empty(), "{at}: {delta}");
        }
    }
}

/// The bound on a silo's integers keeps sums from wrapping; a faulty silo that does not keep it is noticed, because tags
/// are inner products of integers and the sum is one of residues. What colluders put in is theirs to choose: the round
/// stands, on the record, as the sum of the signed uploads.
#[test]
fn a_sum_that_wrapped_is_vouched_for_by_no_tags() {
    let largest = (1_i64 << (BITS - 1)) - 1;
    for wraps in [false, true] {
        let mut federation = Federation::new(4, 2, Trouble::None);
        federation.silos[0].vector[5] = largest;
        federation.silos[1].vector[5] = i64::from(wraps) - federation.silos[2].vector[5];
        federation.silos[3].vector[5] = 0;
        let plan = federation.plan(1, 1, None);
        federation.run(plan);
        let replayed = federation.records.contains(&"Replayed".to_owned());
        assert_eq!(replayed, wraps);
        let expected = if wraps {
            VerifiedBy::Replay
        } else {
            VerifiedBy::Tags
        };
        for silo in &federation.silos {
            assert_eq!(silo.finished[0].verified_by, expected);
        }
    }
}
