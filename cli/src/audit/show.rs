// SPDX-License-Identifier: Apache-2.0
//! `consilium audit show`: the entries of a log, one line each.

use super::check_folder;
use crate::output::{OutputArguments, line};
use anyhow::{Context, bail};
use clap::Args;
use consilium_audit::verify::{Lines, read_lines};
use consilium_audit::{Entry, EventKind, Outcome};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

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

pub(super) fn show(arguments: &ShowArguments) -> anyhow::Result<ExitCode> {
    let ShowArguments {
        dir,
        kind,
        study,
        last,
        output,
    } = arguments;
    check_folder(dir)?;
    let unreadable = || format!("the entries of `{}` cannot be read", dir.display());
    let Lines {
        entries,
        malformed,
        unfinished_bytes,
    } = read_lines(dir).with_context(unreadable)?;
    let shown = select(&entries, kind.as_ref(), study.as_deref(), *last);
    if output.json {
        for entry in shown {
            line(&String::from_utf8(entry.to_bytes()?)?);
        }
    } else {
        line(HEADER);
        shown.iter().for_each(|entry| line(&row(entry)));
    }
    if unfinished_bytes > 0 {
        // On the other stream: what is shown is whole.
        let _ = writeln!(
            std::io::stderr(),
            "the last line has no end and is left out ({unfinished_bytes} bytes): it is being written, or something cut it short; run `consilium audit verify {}`",
            dir.display()
        );
    }
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
pub(super) fn printable(text: &str) -> String {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
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
}
