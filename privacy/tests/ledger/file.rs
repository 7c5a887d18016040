// SPDX-License-Identifier: Apache-2.0
//! The file: torn, changed, swapped, restored, cut off, and of another installation.

use consilium_privacy::budget::{
    Budget, BudgetRefusal, DeltaAmount, Ledger, LedgerEntry, LedgerFault, LedgerHead, RdpAmount,
    replay,
};
use consilium_privacy::loss::{Delta, Epsilon};

use crate::top_ups::top_up;
use crate::{DATA, budget, charge, founded, record};

#[test]
fn a_torn_last_line_is_cut_off_and_writing_goes_on() {
    let (mut ledger, mut text) = founded();
    let before = text.len();
    let reserve = ledger.reserve(DATA, "study", 1, &charge(10.0)).unwrap();
    record(&mut ledger, &mut text, reserve.clone());
    for length in before + 1..text.len() {
        let replayed = replay(&text.as_bytes()[..length], None).unwrap();
        assert!(replayed.torn);
        assert_eq!(replayed.whole_bytes, before);
        assert!(replayed.ledger.job("study").is_none());
    }
    let mut resumed = replay(&text.as_bytes()[..text.len() - 1], None)
        .unwrap()
        .ledger;
    assert_eq!(text[before..], resumed.record(&reserve, 2).unwrap());
}

#[test]
fn any_changed_byte_is_noticed() {
    let (mut ledger, mut text) = founded();
    let reserve = ledger.reserve(DATA, "study", 2, &charge(10.0)).unwrap();
    record(&mut ledger, &mut text, reserve);
    let commit = ledger.commit("study", "1.1.0").unwrap().unwrap();
    record(&mut ledger, &mut text, commit);
    let head = ledger.head();
    for position in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[position] ^= 1;
        assert!(replay(&changed, Some(head)).is_err(), "byte {position}");
    }
}

#[test]
fn a_line_removed_repeated_or_swapped_breaks_the_chain() {
    let (mut ledger, mut text) = founded();
    for study in ["a", "b", "c"] {
        let reserve = ledger.reserve(DATA, study, 1, &charge(10.0)).unwrap();
        record(&mut ledger, &mut text, reserve);
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for order in [
        vec![0, 2, 3],
        vec![0, 1, 1, 2, 3],
        vec![0, 2, 1, 3],
        vec![1, 2, 3],
    ] {
        let changed: String = order.into_iter().map(|index| lines[index]).collect();
        assert!(matches!(
            replay(changed.as_bytes(), None),
            Err(LedgerFault::Broken { .. })
        ));
    }
}

#[test]
fn a_restored_backup_is_noticed_by_the_head_kept_elsewhere() {
    let (mut ledger, mut text) = founded();
    let backup = text.clone();
    let reserve = ledger.reserve(DATA, "study", 1, &charge(10.0)).unwrap();
    record(&mut ledger, &mut text, reserve);
    let known = ledger.head();
    assert_eq!(
        replay(backup.as_bytes(), Some(known)),
        Err(LedgerFault::RolledBack { length: 1 })
    );
    assert_eq!(
        replay(b"", Some(known)),
        Err(LedgerFault::RolledBack { length: 0 })
    );
    assert_eq!(
        replay(text.as_bytes(), Some(known)).unwrap().beyond_known,
        0
    );
    assert_eq!(replay(text.as_bytes(), None).unwrap().beyond_known, 2);
    // A head of an earlier moment is part of the chain still.
    let earlier = replay(backup.as_bytes(), None).unwrap().ledger.head();
    assert_eq!(
        replay(text.as_bytes(), Some(earlier)).unwrap().beyond_known,
        1
    );
    replay(b"", Some(LedgerHead::empty())).unwrap();
}

#[test]
fn a_ledger_is_bound_to_its_installation_by_its_first_entry_and_no_other() {
    let instance = consilium_crypto::digest::Digest::from_bytes([7; 32]);
    let (mut ledger, mut text) = (Ledger::new(), String::new());
    let begun = ledger.begin(instance).unwrap();
    record(&mut ledger, &mut text, begun);
    assert_eq!(ledger.begin(instance), Err(BudgetRefusal::AlreadyBegun));
    let replayed = replay(text.as_bytes(), None).unwrap();
    assert_eq!(replayed.ledger.instance(), Some(instance));
    let (founded, _) = founded();
    assert_eq!(founded.instance(), None);
    assert_eq!(founded.begin(instance), Err(BudgetRefusal::AlreadyBegun));
}

#[test]
fn a_budget_that_permits_more_than_it_promises_is_refused() {
    let honest = budget();
    let forged = [
        Budget {
            capacity: RdpAmount::rounded_up(99.0),
            ..honest
        },
        Budget {
            capacity: honest.capacity.plus("0.001".parse().unwrap()),
            ..honest
        },
        Budget {
            delta_linear: DeltaAmount::rounded_up(1.0),
            ..honest
        },
        Budget {
            delta_rdp: honest.delta,
            ..honest
        },
        Budget { order: 3, ..honest },
        Budget { order: 1, ..honest },
        Budget {
            epsilon: Epsilon::new(3.9).unwrap(),
            ..honest
        },
    ];
    for budget in forged {
        assert_eq!(
            Ledger::new().create(DATA, budget).unwrap_err(),
            BudgetRefusal::BrokenPromise {
                data_set: DATA.to_owned()
            },
            "{budget:?}"
        );
    }
    for (epsilon, delta) in [(0.1, 1e-5), (1.0, 1e-3), (8.0, 1e-9), (40.0, 1e-5)] {
        let budget =
            Budget::create(Epsilon::new(epsilon).unwrap(), Delta::new(delta).unwrap()).unwrap();
        assert!(Ledger::new().create(DATA, budget).is_ok());
    }
}

#[test]
fn a_chain_that_is_whole_but_breaks_the_rules_is_refused() {
    use consilium_privacy::budget::encode_line;
    let (ledger, mut text) = founded();
    let commit = LedgerEntry::Committed {
        job: "never reserved".to_owned(),
        attempt: "1".to_owned(),
    };
    text.push_str(&encode_line(&ledger.head().digest, 2, 5, &commit).0);
    assert!(matches!(
        replay(text.as_bytes(), None),
        Err(LedgerFault::Impossible { line: 2, .. })
    ));
}

#[test]
fn a_file_cut_at_any_byte_never_forgets_a_charge_that_was_acted_on() {
    let (mut ledger, mut text) = founded();
    // The state after each entry, with the bytes that were on the disk when somebody acted on it.
    let mut states = vec![(text.len(), ledger.clone())];
    let reserve = ledger.reserve(DATA, "study", 3, &charge(10.0)).unwrap();
    record(&mut ledger, &mut text, reserve);
    states.push((text.len(), ledger.clone()));
    for attempt in ["1.1.1", "1.2.1"] {
        let commit = ledger.commit("study", attempt).unwrap().unwrap();
        record(&mut ledger, &mut text, commit);
        states.push((text.len(), ledger.clone()));
    }
    let raised = ledger.top_up(top_up(5.0)).unwrap();
    record(&mut ledger, &mut text, raised);
    states.push((text.len(), ledger.clone()));
    let release = ledger.release("study").unwrap().unwrap();
    record(&mut ledger, &mut text, release);
    states.push((text.len(), ledger.clone()));
    for cut in states[0].0..=text.len() {
        let replayed = replay(&text.as_bytes()[..cut], None).unwrap();
        let (whole, state) = states.iter().rev().find(|(end, _)| *end <= cut).unwrap();
        assert_eq!(&replayed.ledger, state, "cut at byte {cut}");
        assert_eq!(replayed.whole_bytes, *whole);
        assert_eq!(replayed.torn, cut > *whole);
        // Whoever remembers a later head is told that the file lacks it.
        for (end, later) in &states {
            let known = replay(&text.as_bytes()[..cut], Some(later.head()));
            assert_eq!(known.is_ok(), *end <= *whole, "cut at byte {cut}");
        }
    }
}

#[test]
fn times_that_run_backwards_or_stand_still_change_no_charge() {
    let price = charge(10.0);
    let told_at = |times: [u64; 4]| {
        let mut ledger = Ledger::new();
        let mut text = String::new();
        let mut write = |ledger: &mut Ledger, entry: LedgerEntry, at: u64| {
            text.push_str(&ledger.record(&entry, at).unwrap());
        };
        let created = ledger.create(DATA, budget()).unwrap();
        write(&mut ledger, created, times[0]);
        let reserved = ledger.reserve(DATA, "study", 3, &price).unwrap();
        write(&mut ledger, reserved, times[1]);
        for (attempt, at) in ["1.1.1", "1.2.1"].into_iter().zip(&times[2..]) {
            let committed = ledger.commit("study", attempt).unwrap().unwrap();
            write(&mut ledger, committed, *at);
        }
        let replayed = replay(text.as_bytes(), Some(ledger.head())).unwrap();
        assert_eq!(replayed.ledger, ledger);
        let account = ledger.account(DATA).unwrap().clone();
        (account, ledger.job("study").unwrap().clone())
    };
    let forwards = told_at([1_000, 2_000, 3_000, 4_000]);
    assert_eq!(told_at([4_000, 3_000, 2_000, 1_000]), forwards);
    assert_eq!(told_at([0, u64::MAX, 0, u64::MAX]), forwards);
    assert_eq!(told_at([7, 7, 7, 7]), forwards);
}

#[test]
fn the_stored_form_is_fixed() {
    let (_, line) = founded();
    assert_eq!(line, KNOWN_LINE);
}

/// Computed apart: SHA-256 over the length-prefixed label, 32 zero bytes and the record.
const KNOWN_LINE: &str = concat!(
    r#"{"digest":"4b508abf9612156ef53b8957a9a87482bf6d731ee1e9531d936c504702486e6a","record":"#,
    r#"{"sequence":1,"at":1,"entry":{"created":{"data_set":"ercp-trial","budget":{"epsilon":"4","#,
    r#""delta":"2e-5","delta_rdp":"1e-5","order":6,"capacity":"2.238088357623","#,
    r#""delta_linear":"0.000009999999999900001182416896"}}}}}"#,
    "\n"
);
