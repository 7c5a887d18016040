// SPDX-License-Identifier: Apache-2.0
//! `consilium audit`: verify and read a log in its folder, offline.

mod accusations;
mod show;
mod trust;

use self::accusations::{Accusation, judge_all};
use self::show::{ShowArguments, printable, show};
use self::trust::{RosterNamed, read_trust, trust_of_rosters};
use crate::output::OutputArguments;
use anyhow::bail;
use clap::{Args, Subcommand};
use consilium_audit::WitnessHead;
use consilium_audit::verify::{Knowledge, TrustSource};
use consilium_audit::{VerifyReport, verify_directory_with};
use consilium_crypto::digest::Digest;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Check everything in a log's folder: entries, tree, signatures, cosignatures, rules
    #[command(
        after_help = "Examples:\n  consilium audit verify coordinator/log\n  consilium audit verify copy-of-log --roster silo/roster\n  consilium audit verify copy-of-log --trust trust.policy --json\n\nThe `trust.policy` beside a log was written by whoever keeps the log: for evidence bring\nyour own, or the rosters that a member has pinned; and a head that a member remembers\n(--head), so that a log that was cut back is found.\n\nExit codes: 0 clean, 1 findings, 2 cannot verify."
    )]
    Verify(VerifyArguments),
    /// Print the entries of a log, one line each
    #[command(
        after_help = "Examples:\n  consilium audit show coordinator/log --last 20\n  consilium audit show coordinator/log --kind round.released\n  consilium audit show coordinator/log --kind study --study 3f9a02c41b77 --json\n\nROUND is the federation's round and the attempt at it. Showing verifies nothing:\n`consilium audit verify` does. `--json` prints the lines as they are hashed."
    )]
    Show(ShowArguments),
}

#[derive(Args)]
pub(crate) struct VerifyArguments {
    /// The log's folder, or a copy of it
    dir: PathBuf,
    /// Whom to believe: a C2SP trust policy
    #[arg(long, value_name = "FILE", conflicts_with = "roster")]
    trust: Option<PathBuf>,
    /// Whom to believe: the folder of rosters that a member or you have pinned
    #[arg(long, value_name = "FOLDER")]
    roster: Option<PathBuf>,
    /// A head that the log must contain, as SIZE:ROOT; `silo status` prints the last one that a silo cosigned
    #[arg(long, value_name = "SIZE:ROOT")]
    head: Vec<KnownHead>,
    #[command(flatten)]
    output: OutputArguments,
}

/// A head that somebody remembers.
#[derive(Clone, Copy, Debug)]
struct KnownHead {
    size: u64,
    root: Digest,
}

impl FromStr for KnownHead {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault =
            || format!("`{text}` is no head; write SIZE:ROOT, a number and 64 hexadecimal digits");
        let (size, root) = text.split_once(':').ok_or_else(fault)?;
        let size = size.parse().map_err(|_| fault())?;
        Ok(Self {
            size,
            root: root.parse().map_err(|_| fault())?,
        })
    }
}

pub(crate) fn run(command: AuditCommand) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::Verify(arguments) => verify(&arguments),
        AuditCommand::Show(arguments) => show(&arguments),
    }
}

/// A report, and how many witnesses there are.
#[derive(Debug, Serialize)]
struct Verified {
    #[serde(flatten)]
    report: VerifyReport,
    /// The witnesses whose cosignatures count.
    witnesses_known: usize,
    /// The roster that named them.
    #[serde(skip_serializing_if = "Option::is_none")]
    roster: Option<RosterNamed>,
    /// Who is accused of what, and whether signatures show it.
    accusations: Vec<Accusation>,
}

fn verify(arguments: &VerifyArguments) -> anyhow::Result<ExitCode> {
    let VerifyArguments {
        dir,
        trust,
        roster,
        head,
        output,
    } = arguments;
    check_folder(dir)?;
    let heads = head
        .iter()
        .map(|KnownHead { size, root }| WitnessHead {
            size: *size,
            root: *root,
            note: String::new(),
        })
        .collect();
    let (trust, named) = match (trust, roster.as_deref()) {
        (Some(file), _) => (Some(read_trust(file)?), None),
        (None, Some(folder)) => {
            let (trust, named) = trust_of_rosters(folder)?;
            (Some(trust), Some(named))
        }
        (None, None) => (None, None),
    };
    let witnesses_known = match &trust {
        Some(trust) => trust.witnesses.members().len(),
        // The report says so if the file is of no use.
        None => {
            read_trust(&dir.join(TRUST_POLICY)).map_or(0, |trust| trust.witnesses.members().len())
        }
    };
    let mut report = verify_directory_with(
        dir,
        &Knowledge {
            trust,
            heads,
            ..Knowledge::default()
        },
    );
    let accusations = judge_all(dir, roster.as_deref(), &mut report)?;
    let code = report.exit_code();
    output.print(
        &Verified {
            report,
            witnesses_known,
            roster: named,
            accusations,
        },
        verified_words,
    )?;
    Ok(ExitCode::from(code))
}

/// A slip of the path is told as such, and not as a log that cannot be verified.
fn check_folder(dir: &Path) -> anyhow::Result<()> {
    if dir.join(ENTRIES).exists() || dir.join(CHECKPOINT).exists() {
        return Ok(());
    }
    let inside = dir.join("log");
    if inside.join(ENTRIES).exists() {
        bail!(
            "`{}` is not a log's folder; did you mean `{}`?",
            dir.display(),
            inside.display()
        );
    }
    bail!(
        "`{}` is not a log's folder: there is no `{ENTRIES}` in it",
        dir.display()
    )
}

fn verified_words(verified: &Verified) -> String {
    let Verified {
        report,
        witnesses_known,
        roster,
        accusations,
    } = verified;
    let mut rows: Vec<(&str, String)> = Vec::new();
    if !report.origin.is_empty() {
        rows.push(("origin", report.origin.clone()));
    }
    rows.push(("entries", report.entries.to_string()));
    if let Some(root) = &report.root {
        rows.push(("root", root.to_string()));
    }
    if report.quorum == 0 && *witnesses_known == 0 && report.root.is_some() {
        rows.push((
            "cosigned",
            "by nobody: this log has no witnesses".to_owned(),
        ));
    } else {
        rows.push((
            "cosigned",
            format!(
                "{}/{witnesses_known} witnesses, over {} of {} entries",
                report.cosignatures, report.cosigned_entries, report.entries
            ),
        ));
        rows.push(("quorum", report.quorum.to_string()));
    }
    if !report.witnesses.is_empty() {
        rows.push(("witnesses", report.witnesses.join(", ")));
    }
    if report.unfinished_bytes > 0 {
        rows.push((
            "behind",
            format!(
                "{} bytes of a line without its end: it is being written, or a crash cut it short",
                report.unfinished_bytes
            ),
        ));
    }
    rows.push(("keys", keys_words(report.trust, roster.as_ref())));
    rows.extend(
        accusations
            .iter()
            .map(|accusation| ("accused", accused_words(accusation))),
    );
    rows.extend(
        report
            .findings
            .iter()
            .map(|finding| ("finding", finding.to_string())),
    );
    rows.extend(
        report
            .obstacles
            .iter()
            .map(|obstacle| ("obstacle", obstacle.clone())),
    );
    rows.push(("verdict", report.verdict.to_string()));
    let lines: Vec<String> = rows
        .iter()
        .map(|(name, value)| format!("{name:<11}{}", printable(value)))
        .collect();
    lines.join("\n")
}

fn accused_words(accusation: &Accusation) -> String {
    let Accusation {
        entry,
        accused,
        charge,
        proven: _,
        because,
    } = accusation;
    let worth = match because {
        None => "proven by its own signatures".to_owned(),
        Some(why) => format!("not proven: {why}"),
    };
    format!("entry {entry}: {accused}: {charge}; {worth}")
}

fn keys_words(trust: TrustSource, roster: Option<&RosterNamed>) -> String {
    match (trust, roster) {
        (TrustSource::Log, _) => {
            "from the log's own trust.policy; for evidence bring yours with --trust or --roster"
                .to_owned()
        }
        (TrustSource::Auditor, None) => "from the trust policy given".to_owned(),
        (
            TrustSource::Auditor,
            Some(RosterNamed {
                version,
                short_code,
            }),
        ) => {
            format!("from roster version {version}, to be compared with a member: {short_code}")
        }
    }
}

const TRUST_POLICY: &str = "trust.policy";
const ENTRIES: &str = "entries.jsonl";
const CHECKPOINT: &str = "checkpoint";

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use consilium_audit::verify::{Finding, Rule, Verdict};
    use consilium_crypto::digest::Digest;
    use std::fs;

    #[test]
    fn a_hospitals_own_log_is_told_to_have_no_witnesses() {
        let report = VerifyReport {
            origin: "consilium/silo/1_UM".to_owned(),
            entries: 3,
            unfinished_bytes: 0,
            root: Some(Digest::from_bytes([1; 32])),
            cosigned_entries: 3,
            cosignatures: 0,
            quorum: 0,
            witnesses: Vec::new(),
            trust: TrustSource::Log,
            findings: Vec::new(),
            obstacles: Vec::new(),
            verdict: Verdict::Clean,
            verified: true,
        };
        let words = verified_words(&Verified {
            report,
            witnesses_known: 0,
            roster: None,
            accusations: Vec::new(),
        });
        assert!(
            words.contains("this log has no witnesses") && !words.contains("quorum"),
            "{words}"
        );
    }

    fn accusation(accused: &str, because: Option<&'static str>) -> Accusation {
        Accusation {
            entry: 5,
            accused: accused.to_owned(),
            charge: "a second answer",
            proven: because.is_none(),
            because,
        }
    }

    #[test]
    fn a_report_names_cosignatures_accusations_and_every_finding() {
        let finding = |entry| Finding {
            rule: Rule::OneSum,
            entry,
            what: "two sums".to_owned(),
        };
        let report = VerifyReport {
            origin: "hub.example/log".to_owned(),
            entries: 9,
            unfinished_bytes: 0,
            root: Some(Digest::from_bytes([1; 32])),
            cosigned_entries: 8,
            cosignatures: 3,
            quorum: 3,
            witnesses: vec!["1_UM".to_owned(), "2_IU".to_owned()],
            trust: TrustSource::Auditor,
            findings: vec![finding(Some(4)), finding(None)],
            obstacles: Vec::new(),
            verdict: Verdict::Findings,
            verified: false,
        };
        let roster = Some(RosterNamed {
            version: 2,
            short_code: "AAAA-BBBB".to_owned(),
        });
        let verified = Verified {
            report,
            witnesses_known: 4,
            roster,
            accusations: vec![
                accusation("1_UM", None),
                accusation("2_IU", Some("nobody signed it")),
            ],
        };
        let words = verified_words(&verified);
        assert!(
            words.contains("cosigned   3/4 witnesses, over 8 of 9 entries"),
            "{words}"
        );
        assert!(
            words.contains("finding    one-sum: entry 4: two sums\nfinding    one-sum: two sums"),
            "{words}"
        );
        assert!(
            words.contains("accused    entry 5: 1_UM: a second answer; proven by its own signatures\naccused    entry 5: 2_IU: a second answer; not proven: nobody signed it\nfinding"),
            "{words}"
        );
        assert!(
            words.contains("roster version 2") && words.ends_with("verdict    findings"),
            "{words}"
        );
        let json = serde_json::to_value(&verified).unwrap();
        assert_eq!(
            (
                json["cosignatures"].as_u64(),
                json["witnesses_known"].as_u64()
            ),
            (Some(3), Some(4))
        );
        assert_eq!(json["root"].as_str().map(str::len), Some(64));
    }

    #[test]
    fn a_slip_of_the_path_is_told_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let fault = check_folder(folder.path()).unwrap_err().to_string();
        assert!(fault.contains(ENTRIES), "{fault}");
        fs::create_dir(folder.path().join("log")).unwrap();
        fs::write(folder.path().join("log").join(ENTRIES), b"").unwrap();
        let fault = check_folder(folder.path()).unwrap_err().to_string();
        assert!(fault.contains("did you mean"), "{fault}");
        assert!(check_folder(&folder.path().join("log")).is_ok());
    }
}
