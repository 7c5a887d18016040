// SPDX-License-Identifier: Apache-2.0
//! Everything that strangers can send, fed with arbitrary bytes.
//!
//! A target is a function of bytes that panics when a law is broken: nothing panics, a value that was accepted is
//! written as the bytes it was read from (where the form is canonical) or at least read again as the same value, and
//! a state machine that rejects a message is afterwards what it was before.
//!
//! Three drivers call the same targets: the ordinary tests replay the corpora and a few mutations (`tests/fuzz.rs`), the
//! command `fuzz` goes on for as long as it is told, and the folder `fuzz/` hands them to libFuzzer.
//!
//! Not here: TLS and HTTP/2 (rustls, tonic), SQLite files, and the frame around what the trainer says; the contribution in
//! it is the target `vectors`.

mod accusations;
mod audit;
mod certs;
mod crypto;
mod files;
mod folders;
mod ledger;
mod machines;
mod mutator;
mod protocol;
mod recording;
mod wire;

pub use mutator::Mutator;
pub use recording::Recording;
use std::path::PathBuf;

/// One door for foreign bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name of its corpus, and on the command line.
    pub name: &'static str,
    /// Panics when a law is broken.
    pub run: fn(&[u8]),
    /// Good inputs to begin with, made by the real code.
    pub seeds: fn() -> anyhow::Result<Vec<Vec<u8>>>,
    /// The tests choose by it how many inputs they try.
    pub speed: Speed,
}

/// How long one input takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// A parser.
    Fast,
    /// Signatures and state machines.
    Slow,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "protocol_delivery",
        run: protocol::delivery,
        seeds: protocol::delivery_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "protocol_release",
        run: protocol::release,
        seeds: protocol::release_seeds,
        speed: Speed::Slow,
    },
    Target {
        name: "silo_restore",
        run: machines::silo_restore,
        seeds: machines::silo_restore_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "coordinator_restore",
        run: machines::coordinator_restore,
        seeds: machines::coordinator_restore_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "silo_messages",
        run: machines::silo_messages,
        seeds: machines::silo_messages_seeds,
        speed: Speed::Slow,
    },
    Target {
        name: "coordinator_messages",
        run: machines::coordinator_messages,
        seeds: machines::coordinator_messages_seeds,
        speed: Speed::Slow,
    },
    Target {
        name: "crypto_shares",
        run: crypto::shares,
        seeds: crypto::shares_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "crypto_packing",
        run: crypto::packing,
        seeds: crypto::packing_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "crypto_sealing",
        run: crypto::sealing,
        seeds: crypto::sealing_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "crypto_keys",
        run: crypto::keys,
        seeds: crypto::keys_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "crypto_encapsulation",
        run: crypto::encapsulation,
        seeds: crypto::encapsulation_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "audit_entry",
        run: audit::entry,
        seeds: audit::entry_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "audit_note",
        run: audit::note,
        seeds: audit::note_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "audit_proof",
        run: audit::proof,
        seeds: audit::proof_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "audit_directory",
        run: audit::directory,
        seeds: audit::directory_seeds,
        speed: Speed::Slow,
    },
    Target {
        name: "audit_exported_log",
        run: folders::exported_log,
        seeds: folders::log_seeds,
        speed: Speed::Slow,
    },
    Target {
        name: "audit_recovered_log",
        run: folders::recovered_log,
        seeds: folders::log_seeds,
        speed: Speed::Slow,
    },
    Target {
        name: "evidence",
        run: accusations::evidence,
        seeds: accusations::evidence_seeds,
        speed: Speed::Slow,
    },
    Target {
        name: "acceptances",
        run: accusations::acceptances,
        seeds: accusations::acceptances_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "certs_roster",
        run: certs::roster,
        seeds: certs::roster_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "certs_invitation",
        run: certs::invitation,
        seeds: certs::invitation_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "certs_certificate",
        run: certs::certificate,
        seeds: certs::certificate_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "certs_request",
        run: certs::request,
        seeds: certs::request_seeds,
        speed: Speed::Slow,
    },
    Target {
        name: "policy_file",
        run: files::policy,
        seeds: files::policy_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "study_file",
        run: files::study,
        seeds: files::study_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "table_file",
        run: files::table,
        seeds: files::table_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "vectors",
        run: files::vectors,
        seeds: files::vectors_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "settings_files",
        run: files::settings,
        seeds: files::settings_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "result_file",
        run: files::result,
        seeds: files::result_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "ledger_file",
        run: ledger::file,
        seeds: ledger::file_seeds,
        speed: Speed::Slow,
    },
    Target {
        name: "ssh_signature",
        run: ledger::ssh,
        seeds: ledger::ssh_seeds,
        speed: Speed::Fast,
    },
    Target {
        name: "spool_files",
        run: folders::spool,
        seeds: folders::spool_seeds,
        speed: Speed::Slow,
    },
    Target {
        name: "wire_frames",
        run: wire::frames,
        seeds: wire::frames_seeds,
        speed: Speed::Fast,
    },
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Feeds one input to the target of that name; for drivers that know names only.
///
/// # Panics
/// When a law is broken, or there is no such target.
pub fn run(name: &str, input: &[u8]) {
    let target = target(name);
    assert!(target.is_some(), "there is no target `{name}`");
    if let Some(target) = target {
        (target.run)(input);
    }
}

impl Target {
    /// Where its corpus lies: seeds made by [`Self::seeds`], and every input that ever broke a law.
    #[must_use]
    pub fn corpus_folder(&self) -> PathBuf {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpora")).join(self.name)
    }

    /// The committed inputs, in the order of their file names.
    ///
    /// # Errors
    /// A corpus that is missing or cannot be read.
    pub fn corpus(&self) -> std::io::Result<Vec<(String, Vec<u8>)>> {
        let mut inputs = Vec::new();
        for file in std::fs::read_dir(self.corpus_folder())? {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            inputs.push((name, std::fs::read(file.path())?));
        }
        inputs.sort();
        Ok(inputs)
    }
}

/// A byte of the input that steers a target, and the rest.
fn steer(input: &[u8]) -> (usize, &[u8]) {
    match input.split_first() {
        Some((first, rest)) => (usize::from(*first), rest),
        None => (0, input),
    }
}
