// SPDX-License-Identifier: Apache-2.0
//! Everything in a log's folder checked, nothing of it trusted but the keys: offline, without the log's service.
//!
//! Checked are the entries (form, place, identifier), the tree and its tiles, every head the log ever signed, the
//! cosignatures and their quorum, the objects, and the rules that a true history of the federation obeys.

mod accepted;
mod content;
mod rules;

use std::{collections::BTreeSet, fmt, fs, path::Path};

use consilium_crypto::digest::Digest;
use serde::Serialize;

use self::content::Content;
use crate::{
    entry::{ActorRole, Entry, EventKind},
    trust::TrustPolicy,
    witness::WitnessHead,
};

/// Verifies a log by the `trust.policy` that lies beside it.
pub fn verify_directory(directory: &Path) -> VerifyReport {
    verify_directory_with(directory, &Knowledge::default())
}

/// Verifies a log by what the auditor knows already.
pub fn verify_directory_with(directory: &Path, knowledge: &Knowledge) -> VerifyReport {
    let mut report = VerifyReport {
        origin: String::new(),
        entries: 0,
        unfinished_bytes: 0,
        root: None,
        cosigned_entries: 0,
        cosignatures: 0,
        quorum: 0,
        witnesses: Vec::new(),
        trust: if knowledge.trust.is_some() {
            TrustSource::Auditor
        } else {
            TrustSource::Log
        },
        findings: Vec::new(),
        obstacles: Vec::new(),
        verdict: Verdict::CannotVerify,
        verified: false,
    };
    match knowledge
        .trust
        .clone()
        .map_or_else(|| content::read_trust(directory), Ok)
    {
        Ok(trust) => examine(directory, &trust, knowledge, &mut report),
        Err(obstacle) => report.obstacles.push(obstacle),
    }
    report.verdict = match (report.findings.is_empty(), report.obstacles.is_empty()) {
        (false, _) => Verdict::Findings,
        (true, false) => Verdict::CannotVerify,
        (true, true) => Verdict::Clean,
    };
    report.verified = report.verdict == Verdict::Clean;
    report
}

fn examine(
    directory: &Path,
    trust: &TrustPolicy,
    knowledge: &Knowledge,
    report: &mut VerifyReport,
) {
    report.origin = trust.log.origin().to_owned();
    report.quorum = trust.witnesses.quorum();
    let content = match Content::read(directory, trust, knowledge.patience, &mut report.findings) {
        Ok(content) => content,
        Err(obstacle) => return report.obstacles.push(obstacle),
    };
    report.entries = content.tree.size();
    report.unfinished_bytes = content.behind.unfinished_bytes;
    report.root = Some(content.head.root());
    for known in &knowledge.heads {
        content.check_known_head(known, &mut report.findings);
    }
    let quorate: BTreeSet<u64> = content.quorate.keys().copied().collect();
    match content.quorate.last_key_value() {
        Some((size, witnesses)) => {
            report.cosigned_entries = *size;
            report.cosignatures = witnesses.len();
            report.witnesses.clone_from(witnesses);
        }
        None => report.obstacles.push(format!(
            "no checkpoint of this tree has the {} cosignatures that the quorum needs",
            report.quorum
        )),
    }
    let rounds = content
        .entries
        .iter()
        .any(|entry| entry.event.kind == EventKind::RoundOpened);
    let shared = content
        .entries
        .iter()
        .any(|entry| entry.event.actor.role == ActorRole::Coordinator);
    if report.quorum == 0 && rounds && shared {
        // Without witnesses the commit rule would be switched off, by whoever keeps the log.
        report.obstacles.push(
            "a coordinator's log without witnesses proves nothing: bring the keys of its roster"
                .to_owned(),
        );
    }
    let accepted = accepted::read(directory, &content.entries, trust, &mut report.findings);
    let commit_rule = (report.quorum > 0).then_some(&quorate);
    report
        .findings
        .extend(rules::check(&content.entries, commit_rule, &accepted));
}

/// Reads all well-formed entries of a log, without verifying anything: for showing, not for believing.
pub fn read_entries(directory: &Path) -> std::io::Result<Vec<Entry>> {
    Ok(read_lines(directory)?.entries)
}

/// The same, and what else the file holds. A log may be in use: its last line is an entry once it has its end.
pub fn read_lines(directory: &Path) -> std::io::Result<Lines> {
    let bytes = fs::read(directory.join(content::ENTRIES))?;
    let mut lines = Lines::default();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\n").map(Entry::from_bytes) {
            Some(Ok(entry)) => lines.entries.push(entry),
            Some(Err(_)) => lines.malformed += 1,
            None => lines.unfinished_bytes = line.len(),
        }
    }
    Ok(lines)
}

/// What `entries.jsonl` holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// The entries, in their order.
    pub entries: Vec<Entry>,
    /// Lines that are no entries.
    pub malformed: usize,
    /// Bytes of a last line without its end: it is being written, or something cut it short.
    pub unfinished_bytes: usize,
}

/// How long a log is waited for whose folder does not fit together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// It may be in use, and somebody may be writing to it now: two seconds.
    #[default]
    InUse,
    /// Nobody writes to it.
    AtRest,
}

/// What an auditor knows from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// Whom to believe, made from the roster that the members signed. Without it the log's own `trust.policy` is used.
    pub trust: Option<TrustPolicy>,
    /// Heads that witnesses cosigned and remember. The log must contain each.
    pub heads: Vec<WitnessHead>,
    /// Whether somebody may be writing to it.
    pub patience: Patience,
}

/// What verification found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// The log's name.
    pub origin: String,
    /// The number of entries under the newest head that the log signed.
    pub entries: u64,
    /// Bytes of a last line without its end behind them: it is being written, or a crash cut it short. Nobody signed it.
    pub unfinished_bytes: u64,
    /// The root of the newest head that the log signed.
    pub root: Option<Digest>,
    /// The number of entries under the newest head with a quorum of cosignatures.
    pub cosigned_entries: u64,
    /// The valid cosignatures on that head.
    pub cosignatures: usize,
    /// How many are needed.
    pub quorum: usize,
    /// Who cosigned that head.
    pub witnesses: Vec<String>,
    /// Where the keys came from.
    pub trust: TrustSource,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Why nothing can be said.
    pub obstacles: Vec<String>,
    /// The outcome in a word.
    pub verdict: Verdict,
    /// Whether the verdict is clean.
    pub verified: bool,
}

impl VerifyReport {
    /// The exit status of a command that verifies: 0 clean, 1 findings, 2 cannot verify.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Clean => 0,
            Verdict::Findings => 1,
            Verdict::CannotVerify => 2,
        }
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "log       {}", self.origin)?;
        writeln!(formatter, "entries   {}", self.entries)?;
        if self.unfinished_bytes > 0 {
            let bytes = self.unfinished_bytes;
            writeln!(
                formatter,
                "behind    {bytes} bytes of a line without its end"
            )?;
        }
        if let Some(root) = &self.root {
            writeln!(formatter, "root      {root}")?;
        }
        writeln!(
            formatter,
            "cosigned  {} entries by {} witnesses, quorum {} ({})",
            self.cosigned_entries,
            self.cosignatures,
            self.quorum,
            self.witnesses.join(", ")
        )?;
        match self.trust {
            TrustSource::Log => writeln!(formatter, "keys      from the log's own trust.policy")?,
            TrustSource::Auditor => writeln!(formatter, "keys      given by the auditor")?,
        }
        for finding in &self.findings {
            writeln!(formatter, "finding   {finding}")?;
        }
        for obstacle in &self.obstacles {
            writeln!(formatter, "obstacle  {obstacle}")?;
        }
        writeln!(formatter, "verdict   {}", self.verdict)
    }
}

/// Where the keys came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustSource {
    /// From the file beside the log, which whoever keeps the log could have written.
    Log,
    /// From the auditor.
    Auditor,
}

/// The outcome in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything verified.
    Clean,
    /// Something is wrong.
    Findings,
    /// Nothing is known to be wrong, and nothing can be relied on.
    CannotVerify,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Clean => "clean",
            Self::Findings => "findings",
            Self::CannotVerify => "cannot verify",
        })
    }
}

/// Something that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: Rule,
    /// The entry concerned.
    pub entry: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry {
            Some(entry) => write!(formatter, "{}: entry {entry}: {}", self.rule, self.what),
            None => write!(formatter, "{}: {}", self.rule, self.what),
        }
    }
}

/// What a log must obey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Every line is an entry at its place, once.
    EntryForm,
    /// The entries have the roots that the log signed.
    Tree,
    /// The tiles hold what the entries hash to.
    Tiles,
    /// Every note is signed by the log and by whom it says.
    Signatures,
    /// The log contains every head that somebody remembers.
    AppendOnly,
    /// Objects have the digest that names them.
    Objects,
    /// An accusation names evidence that shows it, and an abandoned attempt the message that ended it.
    Evidence,
    /// In the shared log the coordinator alone, and in its own name, says what became of rounds and that a study completed.
    Actor,
    /// The steps of an attempt come in their order, each once.
    RoundOrder,
    /// What was committed is what was released, and once.
    OneSum,
    /// Nothing is opened without the consent of all invited, nor after a study ended.
    Consent,
    /// From invitation to release the silos only become fewer, and never too few.
    Sets,
    /// Nothing goes on from a release that a quorum of witnesses has not cosigned.
    Commit,
    /// Nothing goes on from a released sum that a threshold of its silos has not signed as verified.
    Accepted,
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::EntryForm => "entry-form",
            Self::Tree => "tree",
            Self::Tiles => "tiles",
            Self::Signatures => "signatures",
            Self::AppendOnly => "append-only",
            Self::Objects => "objects",
            Self::Evidence => "evidence",
            Self::Actor => "actor",
            Self::RoundOrder => "round-order",
            Self::OneSum => "one-sum",
            Self::Consent => "consent",
            Self::Sets => "sets",
            Self::Commit => "commit",
            Self::Accepted => "accepted",
        })
    }
}
