// SPDX-License-Identifier: Apache-2.0
//! What a line looks like, and that it has one spelling.

use std::{collections::BTreeMap, fs};

use consilium_audit::{
    Actor, AggregationStatement, Entry, Event, EventKind, Outcome, PrivacyStatement,
    StudyReference, Timestamp, entry::EntryFault,
};
use consilium_crypto::transcript::sha256;
use proptest::prelude::*;

use crate::support::key;

fn moment() -> Timestamp {
    "2026-11-24T04:07:00.000001Z".parse().unwrap()
}

fn full() -> Event {
    let study = StudyReference {
        id: "5f0c".to_owned(),
        name: Some("ercp-indomethacin".to_owned()),
        ethics: Some("IRB-2012-0117".to_owned()),
        basis: Some("consent".to_owned()),
        agreement: Some("DUA-2012-7".to_owned()),
        purpose: Some("scientific-research".to_owned()),
    };
    Event::new(
        EventKind::RoundReleased,
        moment(),
        Actor::coordinator("coordinator.example"),
    )
    .with_outcome(Outcome::Success)
    .on_behalf_of("a.ruiz@uni.example")
    .with_study(study)
    .with_object("ercp-trial")
    .with_job("1")
    .with_attempt(1, 7, 0)
    .with_policy(7, sha256(b"policy"))
    .with_privacy(PrivacyStatement {
        unit: "patient".to_owned(),
        accountant: "rdp".to_owned(),
        epsilon: "3.0".to_owned(),
        delta: "1e-5".to_owned(),
        spent: Some("0.6".to_owned()),
        limit: Some("1".to_owned()),
    })
    .with_aggregation(AggregationStatement {
        invited: vec!["1_UM".to_owned(), "2_IU".to_owned(), "3_UK".to_owned()],
        included: vec!["1_UM".to_owned(), "2_IU".to_owned()],
        dropped: vec!["3_UK".to_owned()],
        threshold: 2,
    })
    .with_reference("plan", sha256(b"plan"))
    .with_detail("sum", sha256(b"sum").to_string())
}

#[test]
fn the_line_of_an_event_with_every_field_is_fixed() {
    let line = Entry::new(17, full().signed(&key(10)).unwrap())
        .unwrap()
        .to_bytes()
        .unwrap();
    let text = String::from_utf8(line.clone()).unwrap();
    let expected = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/entry-v1.json"
    ))
    .unwrap();
    assert_eq!(
        text,
        expected.trim_end(),
        "the stored form changed: that needs a new vector and a migration"
    );
    let entry = Entry::from_bytes(&line).unwrap();
    assert_eq!(
        (entry.sequence, entry.event.kind),
        (17, EventKind::RoundReleased)
    );
    assert!(entry.event.is_signed_by(&key(10).verifying_key()));
    assert!(!entry.event.is_signed_by(&key(11).verifying_key()));
    assert_eq!(entry.event.detail_digest("sum"), Some(sha256(b"sum")));
}

#[test]
fn an_event_is_the_same_wherever_it_stands_and_whoever_signed_it() {
    let event = full();
    let signed = event.clone().signed(&key(10)).unwrap();
    assert_eq!(event.id().unwrap(), signed.id().unwrap());
    assert_ne!(
        event.id().unwrap(),
        event.clone().with_detail("more", "x").id().unwrap()
    );
    let mut changed = signed;
    changed.outcome = Outcome::Failed;
    assert!(!changed.is_signed_by(&key(10).verifying_key()));
}

#[test]
fn any_other_spelling_of_a_line_is_refused() {
    let line = String::from_utf8(Entry::new(17, full()).unwrap().to_bytes().unwrap()).unwrap();
    let spellings = [
        line.replace("\"attempt\":0", "\"attempt\": 0"),
        line.replace("\"attempt\":0,", ""),
        line.replace("\"outcome\":\"success\"", "\"outcome\":\"failed\""),
        line.replace("\"seq\":17", "\"seq\":17,\"seq\":17"),
        line.replace("\"seq\":17", "\"seq\":17,\"surplus\":1"),
        line.replace("round.released", "round.imagined"),
        line.replace("ercp-trial", "ercp\\u002dtrial"),
        format!("{line}\n"),
        format!(" {line}"),
        String::new(),
    ];
    for spelling in spellings {
        assert_ne!(spelling, line);
        assert!(
            matches!(
                Entry::from_bytes(spelling.as_bytes()),
                Err(EntryFault::NotAnEntry { .. })
            ),
            "{spelling}"
        );
    }
}

#[test]
fn an_event_that_does_not_fit_is_refused_with_its_length() {
    let long = full().with_detail("conditions", "x".repeat(8192));
    let fault = Entry::new(0, long).unwrap().to_bytes().unwrap_err();
    assert!(
        matches!(fault, EntryFault::TooLong { bytes, .. } if bytes > 8192),
        "{fault}"
    );
    let nowhere = Event::new(EventKind::RoundOpened, moment(), Actor::coordinator("c"));
    assert!(matches!(
        Entry::new(0, nowhere),
        Err(EntryFault::NoAttempt { .. })
    ));
    let odd = full().with_detail("Odd Name", "x");
    assert!(matches!(Entry::new(0, odd), Err(EntryFault::Name { .. })));
}

proptest! {
    #[test]
    fn every_line_that_is_written_is_read_back(
        sequence in 0..(1_u64 << 53),
        name in ".{0,40}",
        detail in proptest::collection::btree_map("[a-z][a-z0-9_]{0,12}", ".{0,60}", 0..6),
    ) {
        let mut event = Event::new(EventKind::StudyRefused, moment(), Actor::silo(name));
        event.detail = detail.into_iter().collect::<BTreeMap<_, _>>();
        let entry = Entry::new(sequence, event).unwrap();
        prop_assert_eq!(Entry::from_bytes(&entry.to_bytes().unwrap()).unwrap(), entry);
    }

    #[test]
    fn arbitrary_bytes_are_refused_and_nothing_worse(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Entry::from_bytes(&bytes).is_err());
    }
}
