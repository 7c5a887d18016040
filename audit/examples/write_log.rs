// SPDX-License-Identifier: Apache-2.0
//! Writes a cosigned log for foreign verifiers to read:
//! `cargo run -p consilium-audit --example write_log -- FOLDER [EVENTS]`.
//!
//! The keys are fixed and worth nothing; the log is that of a coordinator with four witnesses.
#![allow(clippy::expect_used)]

use std::path::PathBuf;

use consilium_audit::{
    Actor, Event, EventKind, Log, NoteSigner, StudyReference, Timestamp, Witness, WitnessHead,
    WitnessSet,
};
use consilium_crypto::{secret::Secret, signing::SigningKey};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(
        arguments
            .next()
            .ok_or("name a folder that does not exist yet")?,
    );
    let events: i64 = match arguments.next() {
        Some(number) => number.to_str().ok_or("not a number of events")?.parse()?,
        None => 600,
    };

    let signer = NoteSigner::new("coordinator.example/log", key(1))?;
    let verifier = signer.verifier();
    let keys = SILOS
        .iter()
        .zip(10..)
        .map(|(silo, seed)| ((*silo).to_owned(), key(seed).verifying_key()));
    let mut log = Log::create(&folder, signer, WitnessSet::new(keys, 3)?)?;
    let mut witnesses = Vec::new();
    for (silo, seed) in SILOS.iter().zip(10..) {
        witnesses.push(Witness::new(
            verifier.clone(),
            silo,
            key(seed),
            WitnessHead::empty(),
        )?);
    }

    for number in 0..events {
        let silo = SILOS
            .iter()
            .cycle()
            .nth(usize::try_from(number)?)
            .expect("a cycle has no end");
        let time = Timestamp::from_unix_microseconds(1_700_000_000_000_000 + number)?;
        let event = Event::new(EventKind::StudyConsented, time, Actor::silo(*silo))
            .with_study(StudyReference::new(format!("{number:012x}")))
            .with_detail("text", "“naïve” — Ωμέγα \"quoted\" \\ \u{1f600}");
        log.append(&event)?;
        // Heads of uneven sizes, full and partial tiles.
        if number % 97 == 0 || number + 1 == events {
            cosign(&mut log, &mut witnesses)?;
        }
    }
    println!("{} entries, root {}", log.size(), log.head().root());
    Ok(())
}

fn cosign(log: &mut Log, witnesses: &mut [Witness]) -> Result<(), Box<dyn std::error::Error>> {
    let head = log.checkpoint()?;
    let mut lines = Vec::new();
    for witness in witnesses {
        let old = witness.head().size;
        let proof = log.consistency_proof(old, head.size())?;
        lines.push(
            witness
                .cosign(&head.to_string(), old, &proof, 1_700_000_001)?
                .to_string(),
        );
    }
    log.add_cosignatures(head.size(), &lines)?;
    Ok(())
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([seed; 32]))
}

const SILOS: [&str; 4] = ["1_UM", "2_IU", "3_UK", "4_Case"];
