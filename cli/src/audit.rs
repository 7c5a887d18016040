// SPDX-License-Identifier: Apache-2.0
//! `consilium audit`: verify and read a log in its folder, offline.

use crate::output::{OutputArguments, line};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use consilium_audit::WitnessHead;
use consilium_audit::verify::{Knowledge, TrustSource, read_entries};
use consilium_audit::{
    Entry, EventKind, NoteVerifier, Outcome, TrustPolicy, VerifyReport, WitnessSet,
    verify_directory_with,
};
use consilium_certs::{Roster, RosterFolder};
use consilium_crypto::digest::Digest;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs;
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

#[derive(Args)]
pub(crate) struct ShowArguments {
    /// The log's folder, or a copy of it
    dir: PathBuf,
    /// Only this type of event, such as `round.released`, or family, such as `study`
    #[arg(long)]
    kind: Option<KindFilter>,
    /// Only what belongs to this study: its id or the beginning of it
    #[arg(long, value_name = "ID")]
    study: Option<String>,
    /// Only the last entries of those
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    #[command(flatten)]
    output: OutputArguments,
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
}

/// The roster that an auditor brought.
#[derive(Debug, Serialize)]
struct RosterNamed {
    version: u64,
    short_code: String,
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
    let (trust, named) = match (trust, roster) {
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
    let report = verify_directory_with(dir, &Knowledge { trust, heads });
    let code = report.exit_code();
    output.print(
        &Verified {
            report,
            witnesses_known,
            roster: named,
        },
        verified_words,
    )?;
    Ok(ExitCode::from(code))
}

fn read_trust(file: &Path) -> anyhow::Result<TrustPolicy> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("the trust policy `{}` cannot be read", file.display()))?;
    text.parse()
        .with_context(|| format!("in `{}`", file.display()))
}

/// The log's key and the witnesses as the newest pinned roster names them.
fn trust_of_rosters(folder: &Path) -> anyhow::Result<(TrustPolicy, RosterNamed)> {
    if !folder.is_dir() {
        bail!("`{}` is not a folder of pinned rosters", folder.display());
    }
    let rosters = RosterFolder::open(folder)
        .with_context(|| format!("the rosters in `{}` do not verify", folder.display()))?;
    let Some(roster) = rosters.current() else {
        bail!(
            "no roster is pinned in `{}`: it holds no `1.json`",
            folder.display()
        );
    };
    let named = RosterNamed {
        version: roster.version(),
        short_code: roster.short_code().to_string(),
    };
    Ok((trust_of_roster(roster)?, named))
}

fn trust_of_roster(roster: &Roster) -> anyhow::Result<TrustPolicy> {
    let coordinator = roster.coordinator();
    let log = NoteVerifier::new(&coordinator.log_origin, coordinator.log_key)?;
    let keys = roster
        .members()
        .iter()
        .map(|member| (member.name.to_string(), member.witness));
    let witnesses = WitnessSet::new(keys, usize::try_from(roster.witness_quorum())?)?;
    Ok(TrustPolicy::new(log, witnesses))
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
    rows.push(("keys", keys_words(report.trust, roster.as_ref())));
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

fn show(arguments: &ShowArguments) -> anyhow::Result<ExitCode> {
    let ShowArguments {
        dir,
        kind,
        study,
        last,
        output,
    } = arguments;
    check_folder(dir)?;
    let unreadable = || format!("the entries of `{}` cannot be read", dir.display());
    let entries = read_entries(dir).with_context(unreadable)?;
    let stored = fs::read(dir.join(ENTRIES)).with_context(unreadable)?;
    let shown = select(&entries, kind.as_ref(), study.as_deref(), *last);
    if output.json {
        for entry in shown {
            line(&String::from_utf8(entry.to_bytes()?)?);
        }
    } else {
        line(HEADER);
        shown.iter().for_each(|entry| line(&row(entry)));
    }
    let lines = stored
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .count();
    let malformed = lines.saturating_sub(entries.len());
    if malformed > 0 {
        bail!(
            "lines of the log that are no entries: {malformed}; run `consilium audit verify {}`",
            dir.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Which entries are wanted.
fn select<'a>(
    entries: &'a [Entry],
    kind: Option<&KindFilter>,
    study: Option<&str>,
    last: Option<usize>,
) -> Vec<&'a Entry> {
    let wanted = |entry: &&Entry| {
        kind.is_none_or(|kind| kind.admits(entry.event.kind))
            && study.is_none_or(|wanted| {
                entry
                    .event
                    .study
                    .as_ref()
                    .is_some_and(|study| study.id.starts_with(wanted))
            })
    };
    let mut selected: Vec<&Entry> = entries.iter().filter(wanted).collect();
    if let Some(last) = last {
        selected.drain(..selected.len().saturating_sub(last));
    }
    selected
}

/// One type of event, or a family of them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum KindFilter {
    Kind(EventKind),
    Family(&'static str),
}

impl KindFilter {
    fn admits(&self, kind: EventKind) -> bool {
        match self {
            Self::Kind(wanted) => *wanted == kind,
            Self::Family(family) => *family == kind.family(),
        }
    }
}

impl FromStr for KindFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(kind) = text.parse() {
            return Ok(Self::Kind(kind));
        }
        let families: BTreeSet<&'static str> =
            EventKind::ALL.into_iter().map(EventKind::family).collect();
        if let Some(family) = families.iter().find(|family| **family == text) {
            return Ok(Self::Family(family));
        }
        let family = text.split_once('.').map_or("", |(family, _)| family);
        let siblings: Vec<&str> = EventKind::ALL
            .into_iter()
            .filter(|kind| kind.family() == family)
            .map(EventKind::as_str)
            .collect();
        let known = if siblings.is_empty() {
            families.into_iter().collect()
        } else {
            siblings
        };
        Err(format!(
            "no event is of the type `{text}`; use {}",
            known.join(", ")
        ))
    }
}

/// One entry as a line of the table.
fn row(entry: &Entry) -> String {
    let event = &entry.event;
    let time: String = event.time.to_string().chars().take(19).collect();
    let study = event.study.as_ref().map_or("", |study| study.id.as_str());
    let round = event
        .attempt
        .map(|place| format!("{}/{}", place.round, place.attempt))
        .unwrap_or_default();
    let text = format!(
        "{:>6}  {}  {:<27}{:<22}{:<14}{round:<8}{}",
        entry.sequence,
        time.replace('T', " "),
        event.kind.as_str(),
        event.actor.name,
        short(study),
        facts(entry).join(", ")
    );
    printable(text.trim_end())
}

/// What an event says beyond its type, its actor and its place.
fn facts(entry: &Entry) -> Vec<String> {
    let event = &entry.event;
    let mut facts = Vec::new();
    match event.outcome {
        Outcome::Success => {}
        Outcome::Refused => facts.push("refused".to_owned()),
        Outcome::Failed => facts.push("failed".to_owned()),
    }
    facts.extend(event.on_behalf_of.iter().map(|name| format!("for {name}")));
    facts.extend(event.study.iter().filter_map(|study| study.name.clone()));
    facts.extend(event.object.clone());
    facts.extend(event.job.iter().map(|job| format!("job {job}")));
    facts.extend(
        event
            .policy
            .iter()
            .map(|policy| format!("policy v{}", policy.version)),
    );
    if let Some(privacy) = &event.privacy {
        facts.push(format!(
            "epsilon {} delta {}",
            privacy.epsilon, privacy.delta
        ));
    }
    if let Some(aggregation) = &event.aggregation {
        facts.push(format!("{} invited", aggregation.invited.len()));
        if !aggregation.included.is_empty() {
            facts.push(format!("{} in", aggregation.included.len()));
        }
        if !aggregation.dropped.is_empty() {
            facts.push(format!("dropped {}", aggregation.dropped.join(" ")));
        }
    }
    let references = event
        .references
        .iter()
        .map(|(name, digest)| format!("{name} {}", short(&digest.to_string())));
    facts.extend(references);
    facts.extend(event.detail.iter().map(|(name, fact)| {
        let digest = event.detail_digest(name).is_some();
        format!("{name} {}", if digest { short(fact) } else { fact.clone() })
    }));
    facts
}

/// The first twelve digits, by which a digest is spoken of.
fn short(digits: &str) -> String {
    digits.chars().take(12).collect()
}

/// SECURITY: a log is foreign text; what a terminal would obey is not printed.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

const HEADER: &str = "   SEQ  TIME (UTC)           TYPE                       ACTOR                 STUDY         ROUND   FACTS";
const TRUST_POLICY: &str = "trust.policy";
const ENTRIES: &str = "entries.jsonl";
const CHECKPOINT: &str = "checkpoint";

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use consilium_audit::verify::{Finding, Rule, Verdict};
    use consilium_audit::{Actor, AggregationStatement, Event, StudyReference, Timestamp};
    use consilium_crypto::digest::Digest;

    fn event(kind: EventKind) -> Event {
        let time = Timestamp::from_unix_milliseconds(1_790_000_000_000).unwrap();
        Event::new(kind, time, Actor::coordinator("hub"))
    }

    fn entries() -> Vec<Entry> {
        let study = StudyReference::new("3f9a02c41b7799887766");
        let aggregation = AggregationStatement {
            invited: ["1_UM", "2_IU", "3_UK"].map(str::to_owned).to_vec(),
            included: vec!["1_UM".to_owned(), "2_IU".to_owned()],
            dropped: vec!["3_UK".to_owned()],
            threshold: 2,
        };
        let events = [
            event(EventKind::SystemStarted),
            event(EventKind::StudyRefused)
                .with_outcome(Outcome::Refused)
                .with_study(study.clone())
                .with_detail("conditions", "floor: 3 silos < 4"),
            event(EventKind::RoundReleased)
                .with_study(study)
                .with_attempt(1, 7, 2)
                .with_aggregation(aggregation)
                .with_detail("sum", Digest::from_bytes([171; 32]).to_string()),
        ];
        events
            .into_iter()
            .zip(0..)
            .map(|(event, sequence)| Entry::new(sequence, event).unwrap())
            .collect()
    }

    #[test]
    fn a_line_tells_place_type_study_round_and_facts() {
        let line = row(&entries()[2]);
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>().join(" "),
            "2 2026-09-21 14:13:20 round.released hub 3f9a02c41b77 7/2 3 invited, 2 in, dropped 3_UK, sum abababababab"
        );
        assert!(row(&entries()[1]).ends_with("refused, conditions floor: 3 silos < 4"));
        assert!(row(&entries()[0]).ends_with("hub"));
    }

    #[test]
    fn columns_stand_under_their_heads() {
        let line = row(&entries()[2]);
        for (head, text) in [
            ("TYPE", "round.released"),
            ("ACTOR", "hub"),
            ("STUDY", "3f9a"),
            ("FACTS", "3 invited"),
        ] {
            assert_eq!(HEADER.find(head), line.find(text), "{head}");
        }
    }

    #[test]
    fn entries_are_selected_by_type_family_study_and_number() {
        let entries = entries();
        let places = |kind: Option<&str>, study, last| -> Vec<u64> {
            let kind = kind.map(|kind| kind.parse().unwrap());
            select(&entries, kind.as_ref(), study, last)
                .iter()
                .map(|entry| entry.sequence)
                .collect()
        };
        assert_eq!(places(None, None, None), [0, 1, 2]);
        assert_eq!(places(Some("round"), None, None), [2]);
        assert_eq!(places(Some("study.refused"), None, None), [1]);
        assert_eq!(places(None, Some("3f9a"), None), [1, 2]);
        assert_eq!(places(None, Some("3f9a"), Some(1)), [2]);
        assert_eq!(places(None, None, Some(0)), [0_u64; 0]);
        assert_eq!(places(None, None, Some(9)), [0, 1, 2]);
    }

    #[test]
    fn an_unknown_type_is_told_its_neighbours() {
        let fault = "round.closed".parse::<KindFilter>().unwrap_err();
        assert!(
            fault.contains("round.released") && !fault.contains("study."),
            "{fault}"
        );
        let fault = "rounds".parse::<KindFilter>().unwrap_err();
        assert!(
            fault.contains("round, ") && !fault.contains("round.released"),
            "{fault}"
        );
    }

    #[test]
    fn a_log_cannot_command_the_terminal() {
        let hostile = event(EventKind::SystemStarted).with_detail("note", "\u{1b}[2Jgone\nforged");
        let line = row(&Entry::new(0, hostile).unwrap());
        assert!(!line.contains('\u{1b}') && !line.contains('\n'), "{line}");
    }

    #[test]
    fn a_hospitals_own_log_is_told_to_have_no_witnesses() {
        let report = VerifyReport {
            origin: "consilium/silo/1_UM".to_owned(),
            entries: 3,
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
        });
        assert!(
            words.contains("this log has no witnesses") && !words.contains("quorum"),
            "{words}"
        );
    }

    #[test]
    fn a_report_names_cosignatures_and_every_finding() {
        let finding = |entry| Finding {
            rule: Rule::OneSum,
            entry,
            what: "two sums".to_owned(),
        };
        let report = VerifyReport {
            origin: "hub.example/log".to_owned(),
            entries: 9,
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
