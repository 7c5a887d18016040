// SPDX-License-Identifier: Apache-2.0
//! `kill -9` while a budget is raised: it was raised whole or not at all, and the hospital's own log says so once.

use crate::crashes::charged_attempts;
use crate::executable::Ran;
use crate::federation::Federation;
use crate::founding::DATA;
use crate::studies::private;
use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::sha256;
use consilium_silo_agent::CrashPlace;
use data_encoding::BASE64;
use serde_json::Value;
use std::fs;

/// Whose budget is raised.
const VICTIM: &str = "3_UK";
const OFFICERS: [(&str, u8); 2] = [("m.keller", 1), ("a.berg", 2)];

#[test]
fn a_budget_whose_raise_was_killed_at_any_place_is_raised_once_or_not_at_all() {
    let mut federation = Federation::running();
    let id = federation.submit(&private(2, 2));
    federation.complete(&id);
    federation.stop();
    federation.edit(&format!("{VICTIM}/silo.toml"), |text| {
        OFFICERS.into_iter().fold(text, |text, (name, number)| {
            let key = public_key(number);
            format!("{text}\n[[officers]]\nname = \"{name}\"\nkey = \"{key}\"\n")
        })
    });
    let mut epsilon = epsilon_of(&federation);
    let mut delta = 0.0;
    let mut raised = 0;
    for place in CrashPlace::LEDGER_LINES {
        let wanted = epsilon + 1.0;
        sign(&federation, wanted);
        let killed = top_up(&federation, wanted, Some(place));
        // The signal of an abort leaves no code.
        assert_eq!(killed.code, None, "{place:?}: {}", killed.err);
        let reached = epsilon_of(&federation);
        if place == CrashPlace::LineHalfWritten {
            assert_eq!(reached, epsilon, "half a line raised the budget");
            top_up(&federation, wanted, None).succeeded();
        } else {
            assert_eq!(reached, wanted, "{place:?}");
        }
        // The signatures serve once, whether or not anybody was told that they had.
        top_up(&federation, wanted, None).failed(2, &["over another statement"]);
        epsilon = epsilon_of(&federation);
        assert_eq!(epsilon, wanted);
        raised += 1;
        // What the study took of delta is dearer at each epsilon.
        let taken = delta_taken(&federation);
        assert!(taken > delta, "{taken} after {delta}");
        delta = taken;
    }
    // The agent goes on with it: the next study is charged in the budget that was raised.
    federation.edit(&format!("{VICTIM}/policy.toml"), |text| {
        let (before, budget) = text.split_once("[budget.").unwrap();
        let at = budget.find("epsilon = ").unwrap();
        let end = at + budget[at..].find('\n').unwrap();
        format!(
            "{before}[budget.{}epsilon = \"{epsilon}\"{}",
            &budget[..at],
            &budget[end..]
        )
    });
    federation.start();
    let id = federation.submit(&private(2, 2));
    federation.complete(&id);
    federation.stop();
    assert!(!charged_attempts(&federation, VICTIM, &id).is_empty());
    let own_log = federation.path(&format!("{VICTIM}/log/entries.jsonl"));
    let told = fs::read_to_string(own_log)
        .unwrap()
        .lines()
        .filter(|entry| entry.contains("\"privacy.topped_up\""))
        .count();
    assert_eq!(told, raised);
}

fn top_up(federation: &Federation, epsilon: f64, crash: Option<CrashPlace>) -> Ran {
    let epsilon = epsilon.to_string();
    let line = crate::ledger_lines::lines(federation, VICTIM).len() + 1;
    let at = crash.map(|place| format!("{}:{line}", place.as_str()));
    let mut arguments = match &at {
        Some(at) => vec!["crash", "top-up", "--at", at],
        None => vec!["silo", "ledger", "top-up"],
    };
    arguments.extend([DATA, "--epsilon", &epsilon, "--reason", REASON]);
    arguments.extend(["--dir", VICTIM]);
    for (name, _) in OFFICERS {
        arguments.extend(["--signature", name]);
    }
    federation.run(&arguments)
}

/// Both officers sign the statement; the signatures lie in files that bear their names.
fn sign(federation: &Federation, epsilon: f64) {
    let epsilon = epsilon.to_string();
    let printed = federation.json(&[
        "silo",
        "ledger",
        "top-up",
        DATA,
        "--epsilon",
        &epsilon,
        "--reason",
        REASON,
        "--dir",
        VICTIM,
    ]);
    let statement = printed["statement"].as_str().unwrap();
    let namespace = printed["namespace"].as_str().unwrap();
    for (name, number) in OFFICERS {
        fs::write(
            federation.path(name),
            ssh_signature(number, namespace, statement),
        )
        .unwrap();
    }
}

fn shown(federation: &Federation) -> Value {
    federation.json(&["silo", "ledger", "show", "--dir", VICTIM])
}

fn epsilon_of(federation: &Federation) -> f64 {
    let ledger = shown(federation);
    ledger["accounts"][0]["epsilon"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

fn delta_taken(federation: &Federation) -> f64 {
    let ledger = shown(federation);
    ledger["accounts"][0]["delta_used"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([number; 32]))
}

fn public_key(number: u8) -> String {
    format!("{KIND} {}", BASE64.encode(&public_blob(number)))
}

fn public_blob(number: u8) -> Vec<u8> {
    strings(&[KIND.as_bytes(), &key(number).verifying_key().to_bytes()])
}

/// What `ssh-keygen -Y sign -O hashalg=sha256` writes.
fn ssh_signature(number: u8, namespace: &str, message: &str) -> String {
    let hashed = sha256(message.as_bytes());
    let about = [namespace.as_bytes(), b"", b"sha256"];
    let signed = [MAGIC, &strings(&about), &strings(&[hashed.as_bytes()])].concat();
    let signature = key(number).sign_raw(&signed).to_bytes();
    let blob = [
        MAGIC,
        &1_u32.to_be_bytes(),
        &strings(&[&public_blob(number)]),
        &strings(&about),
        &strings(&[&strings(&[KIND.as_bytes(), &signature])]),
    ]
    .concat();
    let base64 = BASE64.encode(&blob);
    format!("-----BEGIN SSH SIGNATURE-----\n{base64}\n-----END SSH SIGNATURE-----\n")
}

/// Each behind its length.
fn strings(parts: &[&[u8]]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|part| {
            let length = u32::try_from(part.len()).unwrap().to_be_bytes();
            [&length, *part].concat()
        })
        .collect()
}

const REASON: &str = "ethics amendment 3";
const KIND: &str = "ssh-ed25519";
const MAGIC: &[u8] = b"SSHSIG";
