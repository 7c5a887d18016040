// SPDX-License-Identifier: Apache-2.0
//! How much memory a round takes whose vectors are far longer than those of any analysis: a contingency table of two
//! columns with thousands of levels, 64 bits a cell.
//!
//! `cargo test --release -p consilium-cli --test process -- --ignored --nocapture memory::` prints the figures.

use crate::federation::Federation;
use crate::founding::HOSPITALS;
use crate::studies::wide;
use std::time::{Duration, Instant};

const MEBIBYTE: u64 = 1024 * 1024;

/// From the study's offer until the sum is committed: training, masking, uploads, unmasking. What follows from the sum,
/// the result that the researcher asked for, is as long as the analysis makes it.
#[test]
#[ignore = "ten million words from each of four hospitals: minutes, and more than a gigabyte of disk"]
fn peaks_of_coordinator_and_agents_in_a_round_of_ten_million_words() {
    for levels in [1000, 3162] {
        let vector = u64::from(levels) * u64::from(levels) * 8;
        let mut federation = Federation::resting();
        federation.arm_coordinator("sum-logged:1");
        for hospital in HOSPITALS {
            federation.start_silo(hospital);
        }
        federation.submit(&wide(levels));
        let until = Instant::now() + Duration::from_secs(900);
        let mut coordinator = 0;
        while let Some(peak) = federation.coordinator().peak_memory() {
            coordinator = peak;
            assert!(Instant::now() < until, "{}", federation.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
        let agents: Vec<u64> = HOSPITALS
            .iter()
            .map(|hospital| federation.silo(hospital).peak_memory().unwrap() / MEBIBYTE)
            .collect();
        federation.await_coordinators_death();
        println!(
            "{levels} x {levels} cells, {} MiB a vector: coordinator {} MiB, agents {agents:?} MiB",
            vector / MEBIBYTE,
            coordinator / MEBIBYTE
        );
        for agent in agents {
            assert!(
                agent < 2 * vector / MEBIBYTE + 64,
                "an agent of {agent} MiB"
            );
        }
    }
}
