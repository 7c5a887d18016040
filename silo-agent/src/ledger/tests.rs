// SPDX-License-Identifier: Apache-2.0
use std::fs;

use consilium_privacy::loss::{Delta, Epsilon, NoiseMultiplier};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms};

use super::*;

struct Desk {
    folder: tempfile::TempDir,
    journal: Journal,
}

impl Desk {
    fn new() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal.sqlite")).unwrap();
        Desk { folder, journal }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.jsonl")
    }

    fn open(&mut self) -> Result<Ledger, LedgerFault> {
        self.open_as(INSTANCE)
    }

    fn open_as(&mut self, instance: Digest) -> Result<Ledger, LedgerFault> {
        Ledger::open(&self.path(), &mut self.journal, instance)
    }

    /// A copy of the journal as it is now.
    fn copy_journal(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        self.journal.copy_to(&path);
        path
    }
}

const INSTANCE: Digest = Digest::from_bytes([7; 32]);

pub(crate) fn limit() -> BudgetLimit {
    BudgetLimit {
        epsilon: Epsilon::new(4.0).unwrap(),
        delta: Delta::new(2e-5).unwrap(),
    }
}

/// Twenty attempts that need a bit more than half of the budget.
pub(crate) fn plan() -> VectorPlan {
    let noise = NoisePlan::derive(&NoiseTerms {
        multiplier: NoiseMultiplier::new(6.0).unwrap(),
        silos: 4,
        dropouts: 1,
        colluders: 1,
        attempts: 20,
        patients_cap: 100,
        dimension: 5,
    })
    .unwrap();
    VectorPlan::noised(5, noise).unwrap()
}

#[test]
fn a_second_study_beyond_the_budget_is_refused_and_the_rest_of_the_first_is_freed() {
    let mut desk = Desk::new();
    let mut ledger = desk.open().unwrap();
    let before = ledger.share("trial", &limit(), "s1", &plan()).unwrap();
    assert!(
        before.needed > 0.5 && before.needed < 1.0 && (before.left - 1.0).abs() < 1e-9,
        "{before:?}"
    );
    ledger
        .reserve(&mut desk.journal, "trial", &limit(), "s1", &plan())
        .unwrap();
    ledger
        .reserve(&mut desk.journal, "trial", &limit(), "s1", &plan())
        .unwrap();
    let again = ledger.share("trial", &limit(), "s1", &plan()).unwrap();
    assert!(
        again.needed <= again.left,
        "a crash after reserving must not refuse the study: {again:?}"
    );
    let refused = ledger
        .reserve(&mut desk.journal, "trial", &limit(), "s2", &plan())
        .unwrap_err();
    assert!(matches!(
        refused,
        LedgerFault::Refused(BudgetRefusal::Exceeded { .. })
    ));
    ledger.commit(&mut desk.journal, "s1", "1.1.1").unwrap();
    ledger.commit(&mut desk.journal, "s1", "1.1.1").unwrap();
    assert!(ledger.covers("s1", "1.2.1"));
    assert!(ledger.release(&mut desk.journal, "s1").unwrap());
    assert!(!ledger.release(&mut desk.journal, "s1").unwrap());
    assert!(!ledger.covers("s1", "1.2.1"));
    ledger
        .reserve(&mut desk.journal, "trial", &limit(), "s2", &plan())
        .unwrap();
    drop(ledger);
    let reopened = desk.open().unwrap();
    assert_eq!(reopened.entries().len(), 6);
    assert!(reopened.covers("s2", "1.3.1"));
}

#[test]
fn a_changed_line_stops_the_ledger() {
    let mut desk = Desk::new();
    let mut ledger = desk.open().unwrap();
    ledger
        .reserve(&mut desk.journal, "trial", &limit(), "s1", &plan())
        .unwrap();
    drop(ledger);
    let text = fs::read_to_string(desk.path()).unwrap();
    fs::write(
        desk.path(),
        text.replacen("\"attempts\":20", "\"attempts\":10", 1),
    )
    .unwrap();
    assert!(matches!(desk.open(), Err(LedgerFault::Untrusted { .. })));
}

#[test]
fn a_torn_last_line_is_cut_off_and_an_older_copy_is_noticed() {
    let mut desk = Desk::new();
    let mut ledger = desk.open().unwrap();
    ledger
        .reserve(&mut desk.journal, "trial", &limit(), "s1", &plan())
        .unwrap();
    let older = fs::read(desk.path()).unwrap();
    ledger.commit(&mut desk.journal, "s1", "1.1.1").unwrap();
    drop(ledger);
    let whole = fs::read(desk.path()).unwrap();
    let mut torn = whole.clone();
    torn.extend_from_slice(b"{\"digest\":\"00");
    fs::write(desk.path(), &torn).unwrap();
    drop(desk.open().unwrap());
    assert_eq!(fs::read(desk.path()).unwrap(), whole);
    fs::write(desk.path(), &older).unwrap();
    assert!(matches!(
        desk.open(),
        Err(LedgerFault::Untrusted {
            source: budget::LedgerFault::RolledBack { .. },
            ..
        })
    ));
    fs::remove_file(desk.path()).unwrap();
    assert!(desk.open().is_err());
}

#[test]
fn a_policy_cannot_change_a_budget_that_was_created() {
    let mut desk = Desk::new();
    let mut ledger = desk.open().unwrap();
    ledger
        .reserve(&mut desk.journal, "trial", &limit(), "s1", &plan())
        .unwrap();
    let wider = BudgetLimit {
        epsilon: Epsilon::new(40.0).unwrap(),
        ..limit()
    };
    let fault = ledger.share("trial", &wider, "s2", &plan()).unwrap_err();
    assert!(matches!(fault, LedgerFault::OtherBudget { .. }));
}

#[test]
fn a_plan_without_noise_is_never_charged() {
    let mut desk = Desk::new();
    let mut ledger = desk.open().unwrap();
    let plain = VectorPlan::plain(5, 4, 64, 32).unwrap();
    assert!(
        ledger
            .reserve(&mut desk.journal, "trial", &limit(), "s1", &plain)
            .is_err()
    );
    assert_eq!(ledger.entries().len(), 1);
}

#[test]
fn a_journal_older_than_the_ledger_is_noticed_but_one_entry_is_what_a_crash_leaves() {
    let mut desk = Desk::new();
    let mut ledger = desk.open().unwrap();
    ledger
        .reserve(&mut desk.journal, "trial", &limit(), "s1", &plan())
        .unwrap();
    let two_behind = desk.copy_journal("two-behind");
    ledger.commit(&mut desk.journal, "s1", "1.1.1").unwrap();
    let one_behind = desk.copy_journal("one-behind");
    ledger.commit(&mut desk.journal, "s1", "1.2.1").unwrap();
    drop(ledger);

    desk.journal = Journal::open(&two_behind).unwrap();
    let fault = desk.open().unwrap_err();
    assert!(matches!(fault, LedgerFault::JournalBehind { ahead: 2, .. }));
    assert!(fault.to_string().contains("docs/operating.md"), "{fault}");

    desk.journal = Journal::open(&one_behind).unwrap();
    let ledger = desk.open().unwrap();
    // The coordinator opens the charged attempt again, for fresh noise at no charge.
    assert!(!ledger.covers("s1", "1.2.1"));
    assert!(ledger.covers("s1", "1.3.1"));
    drop(ledger);
    // The journal has caught up.
    assert_eq!(desk.journal.ledger_head().unwrap().unwrap().0, 5);
}

#[test]
fn a_ledger_beside_a_new_journal_or_of_another_installation_is_refused() {
    let mut desk = Desk::new();
    drop(desk.open().unwrap());
    // The whole folder came from a backup, which does not hold the installation's name.
    assert!(matches!(
        desk.open_as(Digest::from_bytes([8; 32])),
        Err(LedgerFault::OtherInstallation {
            what: "the journal",
            ..
        })
    ));
    drop(desk.open().unwrap());

    let mut other = Desk::new();
    drop(other.open_as(Digest::from_bytes([8; 32])).unwrap());
    fs::copy(other.path(), desk.path()).unwrap();
    assert!(desk.open().is_err());

    // The journal was deleted, so that it forgets what the ledger remembers.
    let mut forgetful = Desk::new();
    drop(forgetful.open().unwrap());
    forgetful.journal = Journal::open(&forgetful.folder.path().join("new.sqlite")).unwrap();
    assert!(matches!(
        forgetful.open(),
        Err(LedgerFault::OtherInstallation {
            what: "the journal",
            ..
        })
    ));
}
