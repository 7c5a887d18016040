// SPDX-License-Identifier: Apache-2.0
//! What a hospital hands to an auditor or takes from its officers: exported ledgers, and signatures by `ssh-keygen`.

use super::steer;
use anyhow::Result;
use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::sha256;
use consilium_privacy::budget::{
    Budget, Charge, Ledger, LedgerEntry, OfficerSignature, TopUp, replay,
};
use consilium_privacy::loss::{Delta, Epsilon, NoiseMultiplier};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, View};
use consilium_silo_agent::SshPublicKey;
use data_encoding::BASE64;
use std::path::Path;

/// A signature holds for one message, one purpose and one key; a key has one spelling, whatever comment follows it.
pub(super) fn ssh(input: &[u8]) {
    let (which, rest) = steer(input);
    let text = match which % 3 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        1 => armoured(rest),
        _ => format!("ssh-ed25519 {}", BASE64.encode(rest)),
    };
    if let Ok(key) = text.parse::<SshPublicKey>() {
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    let keys = [7, 8].map(|number| public(&signing_key(number)).parse::<SshPublicKey>());
    let [Ok(key), Ok(other)] = keys else {
        assert_eq!(keys.map(|key| key.is_ok()), [true, true]);
        return;
    };
    if key.verify(PURPOSE, STATEMENT.as_bytes(), &text).is_ok() {
        assert!(key.verify("file", STATEMENT.as_bytes(), &text).is_err());
        assert!(key.verify(PURPOSE, b"another statement", &text).is_err());
        assert!(other.verify(PURPOSE, STATEMENT.as_bytes(), &text).is_err());
    }
}

pub(super) fn ssh_seeds() -> Result<Vec<Vec<u8>>> {
    let key = signing_key(7);
    let blob = signature_blob(&key, STATEMENT);
    let named = public(&key);
    let key_blob = BASE64.decode(named.trim_start_matches("ssh-ed25519 ").as_bytes())?;
    Ok(vec![
        [&[0], armoured(&blob).as_bytes()].concat(),
        [&[0], named.as_bytes(), b" m.keller@hospital"].concat(),
        [&[1], blob.as_slice()].concat(),
        [&[2], key_blob.as_slice()].concat(),
    ])
}

/// A ledger adds up to what its whole lines say, without the torn one behind them; and entries that a ledger takes are
/// read back from its lines, whatever they are.
pub(super) fn file(input: &[u8]) {
    let (which, rest) = steer(input);
    if which % 2 == 0 {
        let _ = consilium_silo_agent::ledger::Ledger::verify(Path::new("ledger.jsonl"), rest);
        if let Ok(replayed) = replay(rest, None) {
            let whole = replay(&rest[..replayed.whole_bytes], Some(replayed.ledger.head()));
            let whole = whole.map(|whole| (whole.ledger, whole.torn, whole.beyond_known));
            assert_eq!(whole, Ok((replayed.ledger.clone(), false, 0)));
            within_budget(&replayed.ledger);
        }
        return;
    }
    let (mut ledger, mut lines) = (Ledger::new(), String::new());
    for (at, line) in (0..).zip(rest.split(|byte| *byte == b'\n')) {
        if let Ok(entry) = serde_json::from_slice::<LedgerEntry>(line)
            && let Ok(line) = ledger.record(&entry, at)
        {
            lines.push_str(&line);
        }
    }
    let read = replay(lines.as_bytes(), Some(ledger.head()));
    assert_eq!(read.map(|read| read.ledger).as_ref(), Ok(&ledger));
    within_budget(&ledger);
}

fn within_budget(ledger: &Ledger) {
    for (_, account) in ledger.accounts() {
        let share = account.remaining_share().fraction();
        assert!((0.0..=1.0).contains(&share), "{share}");
    }
}

pub(super) fn file_seeds() -> Result<Vec<Vec<u8>>> {
    let mut ledger = Ledger::new();
    let (mut lines, mut entries) = (String::new(), Vec::new());
    let charge = charge()?;
    let instance = sha256(b"installation");
    for step in 0..6 {
        let entry = match step {
            0 => ledger.begin(instance)?,
            1 => {
                let budget = Budget::create(Epsilon::new(3.0)?, Delta::new(1e-6)?)?;
                ledger.create("trial", budget)?
            }
            2 => ledger.top_up(raised(&instance)?)?,
            3 => ledger.reserve("trial", "study", 3, &charge)?,
            4 => match ledger.commit("study", "1.1.1")? {
                Some(entry) => entry,
                None => continue,
            },
            _ => match ledger.release("study")? {
                Some(entry) => entry,
                None => continue,
            },
        };
        lines.push_str(&ledger.record(&entry, 1_700_000_000_000 + step)?);
        entries.push(serde_json::to_string(&entry)?);
    }
    let torn = lines.trim_end().as_bytes();
    Ok(vec![
        [&[0], lines.as_bytes()].concat(),
        [&[0], torn].concat(),
        [&[1], entries.join("\n").as_bytes()].concat(),
    ])
}

fn charge() -> Result<Charge> {
    let plan = NoisePlan::derive(&NoiseTerms {
        multiplier: NoiseMultiplier::new(4.0)?,
        silos: 4,
        dropouts: 1,
        colluders: 1,
        attempts: 3,
        patients_cap: 1,
        dimension: 4,
    })?;
    Ok(Charge::of_plan(&plan, View::Colluders, 4)?)
}

/// A budget raised by two officers.
fn raised(instance: &consilium_crypto::digest::Digest) -> Result<TopUp> {
    let mut top_up = TopUp {
        data_set: "trial".to_owned(),
        from: Epsilon::new(3.0)?,
        to: Epsilon::new(5.0)?,
        reason: "a second study was approved".to_owned(),
        signed: Vec::new(),
    };
    let statement = top_up.statement(instance);
    for (number, officer) in [(7, "keller"), (8, "moser")] {
        let key = signing_key(number);
        top_up.signed.push(OfficerSignature {
            officer: officer.to_owned(),
            key: public(&key),
            signature: armoured(&signature_blob(&key, &statement)),
        });
    }
    Ok(top_up)
}

fn signing_key(number: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([number; 32]))
}

/// The line of a public key.
fn public(key: &SigningKey) -> String {
    let blob = strings(&[b"ssh-ed25519", &key.verifying_key().to_bytes()]);
    format!("ssh-ed25519 {}", BASE64.encode(&blob))
}

/// What `ssh-keygen -Y sign -O hashalg=sha256` writes, before its armour.
fn signature_blob(key: &SigningKey, statement: &str) -> Vec<u8> {
    let hashed = sha256(statement.as_bytes());
    let parts = strings(&[PURPOSE.as_bytes(), b"", b"sha256", hashed.as_bytes()]);
    let signed = key.sign_raw(&[b"SSHSIG", parts.as_slice()].concat());
    let public = strings(&[b"ssh-ed25519", &key.verifying_key().to_bytes()]);
    let signature = strings(&[b"ssh-ed25519", &signed.to_bytes()]);
    let parts = strings(&[&public, PURPOSE.as_bytes(), b"", b"sha256", &signature]);
    [b"SSHSIG\0\0\0\x01", parts.as_slice()].concat()
}

fn armoured(blob: &[u8]) -> String {
    let base64 = BASE64.encode(blob);
    format!("-----BEGIN SSH SIGNATURE-----\n{base64}\n-----END SSH SIGNATURE-----")
}

/// Each with its length before it.
fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

const PURPOSE: &str = "consilium-privacy-budget";
const STATEMENT: &str = "raise the budget of `trial`\n";
