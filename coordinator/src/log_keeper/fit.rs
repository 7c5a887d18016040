// SPDX-License-Identifier: Apache-2.0
//! Making foreign text and long lists fit into an entry of the log.
//!
//! INVARIANT: whatever a silo or a researcher says, and however many silos there are, an event can be logged. What is
//! too long for its entry is kept as an object, and the entry names its digest.

use consilium_audit::entry::{EntryFault, LONGEST_ENTRY};
use consilium_audit::{AggregationStatement, Entry, Event, Log, LogFault};
use consilium_crypto::digest::Digest;
use serde::Serialize;

/// The longest fact that stays in an entry from which the others were moved: digests and names.
const SHORT_FACT: usize = 128;

/// A place as long as any that a log reaches.
const LATE_PLACE: u64 = 1 << 48;

/// The beginning of a text in at most `bytes` bytes, without control characters.
pub(crate) fn clamp(text: &str, bytes: usize) -> String {
    let printable = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut clamped = String::new();
    for letter in text.chars().map(printable) {
        if clamped.len() + letter.len_utf8() > bytes {
            break;
        }
        clamped.push(letter);
    }
    clamped
}

/// The event as it fits into an entry: long lists of silos and long facts become objects of the log. The same event
/// gives the same entry.
pub(super) fn fit(log: &mut Log, event: Event) -> Result<Event, LogFault> {
    if !is_too_long(&event)? {
        return Ok(event);
    }
    let event = without_silos(log, event)?;
    if !is_too_long(&event)? {
        return Ok(event);
    }
    without_long_facts(log, event)
}

fn is_too_long(event: &Event) -> Result<bool, LogFault> {
    let entry = Entry::new(LATE_PLACE, event.clone())?;
    match entry.to_bytes() {
        Ok(bytes) => Ok(bytes.len() > LONGEST_ENTRY),
        Err(EntryFault::TooLong { .. }) => Ok(true),
        Err(fault) => Err(fault.into()),
    }
}

/// Moves the names of silos into an object; their numbers stay.
fn without_silos(log: &mut Log, mut event: Event) -> Result<Event, LogFault> {
    let Some(statement) = event.aggregation.take() else {
        return Ok(event);
    };
    let AggregationStatement {
        invited,
        included,
        dropped,
        threshold,
    } = &statement;
    let counts = [
        ("invited_count", invited.len().to_string()),
        ("included_count", included.len().to_string()),
        ("dropped_count", dropped.len().to_string()),
        ("threshold", threshold.to_string()),
    ];
    let object = keep(log, &statement)?;
    let event = event.with_reference("aggregation", object);
    Ok(counts
        .into_iter()
        .fold(event, |event, (name, count)| event.with_detail(name, count)))
}

/// Moves all facts into an object; short ones stay as well.
fn without_long_facts(log: &mut Log, mut event: Event) -> Result<Event, LogFault> {
    let object = keep(log, &event.detail)?;
    event.detail.retain(|_, fact| fact.len() <= SHORT_FACT);
    event = event.with_reference("detail", object);
    if is_too_long(&event)? {
        // Many short facts: only digests are worth their room.
        event
            .detail
            .retain(|_, fact| fact.parse::<Digest>().is_ok());
    }
    Ok(event)
}

fn keep(log: &mut Log, value: &impl Serialize) -> Result<Digest, LogFault> {
    // Names and texts always have a JSON form.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    log.put_object(&bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use consilium_audit::{Actor, EventKind, NoteSigner, Timestamp, WitnessSet};
    use consilium_crypto::secret::Secret;
    use consilium_crypto::signing::SigningKey;
    use consilium_crypto::transcript::sha256;

    fn log(folder: &tempfile::TempDir) -> Log {
        let key = SigningKey::from_seed(&Secret::new([7; 32]));
        let signer = NoteSigner::new("hub.example/log", key).unwrap();
        Log::create(&folder.path().join("log"), signer, WitnessSet::none()).unwrap()
    }

    fn event() -> Event {
        let time = Timestamp::from_unix_milliseconds(1).unwrap();
        Event::new(EventKind::RoundReleased, time, Actor::coordinator("hub"))
            .with_attempt(1, 1, 1)
            .with_detail("sum", sha256(b"sum").to_string())
    }

    #[test]
    fn an_entry_that_fits_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(fit(&mut log(&folder), event()).unwrap(), event());
    }

    #[test]
    fn more_silos_than_an_entry_holds_are_kept_as_an_object() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log(&folder);
        let silos: Vec<String> = (0..255).map(|number| format!("{number:063}")).collect();
        let statement = AggregationStatement {
            invited: silos.clone(),
            included: silos[..200].to_vec(),
            dropped: silos[200..].to_vec(),
            threshold: 128,
        };
        let fitted = fit(&mut log, event().with_aggregation(statement.clone())).unwrap();
        assert_eq!(fitted.detail["invited_count"], "255");
        assert_eq!(fitted.detail["included_count"], "200");
        assert_eq!(fitted.detail["sum"], sha256(b"sum").to_string());
        let kept = log.object(&fitted.references["aggregation"]).unwrap();
        let kept: AggregationStatement = serde_json::from_slice(&kept.unwrap()).unwrap();
        assert_eq!(kept, statement);
        log.append(&fitted).unwrap();
    }

    #[test]
    fn facts_of_any_length_are_logged_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log(&folder);
        let mut long = event().with_detail("reason", "\u{1}\"ä".repeat(100_000));
        for number in 0..500 {
            long = long.with_detail(format!("fact_{number}"), "x".repeat(100));
        }
        let fitted = fit(&mut log, long.clone()).unwrap();
        let again = fit(&mut log, long).unwrap();
        assert_eq!(fitted.detail["sum"], sha256(b"sum").to_string());
        assert_eq!(log.append(&fitted).unwrap(), log.append(&again).unwrap());
    }

    #[test]
    fn a_text_is_cut_between_letters_and_has_no_control_characters() {
        assert_eq!(clamp("épsilon\n4", 100), "épsilon 4");
        assert_eq!(clamp("épsilon", 1), "");
        assert_eq!(clamp("épsilon", 4), "éps");
    }
}
