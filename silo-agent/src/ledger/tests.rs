// SPDX-License-Identifier: Apache-2.0
use std::fs;

use consilium_policies::ChargedView;
use consilium_privacy::loss::{Delta, Epsilon, NoiseMultiplier};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms};

use super::*;
use crate::config::Officer;
use crate::ssh_signature;

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
        Ledger::open(&self.path(), &mut self.journal, instance, None)
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
        charge: ChargedView::Colluders,
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
    let before = ledger
        .share("trial", &limit(), "s1", &plan().into())
        .unwrap();
    assert!(
        before.needed > 0.5 && before.needed < 1.0 && (before.left - 1.0).abs() < 1e-9,
        "{before:?}"
    );
    ledger
        .reserve(&mut desk.journal, "trial", &limit(), "s1", &plan().into())
        .unwrap();
    ledger
        .reserve(&mut desk.journal, "trial", &limit(), "s1", &plan().into())
        .unwrap();
    let again = ledger
        .share("trial", &limit(), "s1", &plan().into())
        .unwrap();
    assert!(
        again.needed <= again.left,
        "a crash after reserving must not refuse the study: {again:?}"
    );
    let refused = ledger
        .reserve(&mut desk.journal, "trial", &limit(), "s2", &plan().into())
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
        .reserve(&mut desk.journal, "trial", &limit(), "s2", &plan().into())
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
        .reserve(&mut desk.journal, "trial", &limit(), "s1", &plan().into())
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
        .reserve(&mut desk.journal, "trial", &limit(), "s1", &plan().into())
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
fn an_officer_may_charge_as_if_the_masks_were_broken() {
    let mut desk = Desk::new();
    let mut ledger = desk.open().unwrap();
    let strict = BudgetLimit {
        charge: ChargedView::MasksBroken,
        ..limit()
    };
    // Two honest shares of noise remain beside colluders, one behind broken masks: twice the price at every order.
    let usual = ledger
        .share("trial", &limit(), "s1", &plan().into())
        .unwrap();
    let more = ledger
        .share("trial", &strict, "s1", &plan().into())
        .unwrap();
    assert!((more.needed / usual.needed - 2.0).abs() < 0.01, "{more:?}");
    assert!(more.needed > 1.0, "{more:?}");
    let fewer = VectorPlan {
        noise: plan().noise.map(|noise| NoisePlan {
            attempts: 8,
            ..noise
        }),
        ..plan()
    };
    let forecast = Forecast::of(&ledger.state, "trial", &strict, "s2", &fewer.into()).unwrap();
    let (needed, after) = (forecast.needed, forecast.after.unwrap());
    assert_eq!(forecast.view, View::MasksBroken);
    ledger
        .reserve(&mut desk.journal, "trial", &strict, "s2", &fewer.into())
        .unwrap();
    assert_eq!(ledger.charged_view("s2"), Some(View::MasksBroken));
    let account = ledger.account("trial").unwrap().clone();
    assert_eq!(account, after);
    ledger.commit(&mut desk.journal, "s2", "1.1.1").unwrap();
    let spent = ledger.account("trial").unwrap().committed_share();
    let each = spent.fraction() * 8.0 / needed.fraction();
    assert!((each - 1.0).abs() < 0.02, "{each}");
    // Where it does not fit the forecast says so, and a study that reserved is in both accounts.
    let much = Forecast::of(&ledger.state, "trial", &strict, "s3", &plan().into()).unwrap();
    assert!(matches!(much.after, Err(BudgetRefusal::Exceeded { .. })));
    let again = Forecast::of(&ledger.state, "trial", &limit(), "s2", &fewer.into()).unwrap();
    assert_eq!(again.view, View::MasksBroken);
    assert_eq!(again.before, again.after.unwrap());
    // After a restart it is charged as it was.
    drop(ledger);
    let ledger = desk.open().unwrap();
    assert_eq!(ledger.charged_view("s2"), Some(View::MasksBroken));
}

#[test]
fn a_policy_cannot_change_a_budget_that_was_created() {
    let mut desk = Desk::new();
    let mut ledger = desk.open().unwrap();
    ledger
        .reserve(&mut desk.journal, "trial", &limit(), "s1", &plan().into())
        .unwrap();
    let wider = BudgetLimit {
        epsilon: Epsilon::new(40.0).unwrap(),
        ..limit()
    };
    let fault = ledger
        .share("trial", &wider, "s2", &plan().into())
        .unwrap_err();
    assert!(matches!(fault, LedgerFault::OtherBudget { .. }));
}

#[test]
fn a_plan_without_noise_is_never_charged() {
    let mut desk = Desk::new();
    let mut ledger = desk.open().unwrap();
    let plain = VectorPlan::plain(5, 4, 64, 32).unwrap();
    assert!(
        ledger
            .reserve(&mut desk.journal, "trial", &limit(), "s1", &plain.into())
            .is_err()
    );
    assert_eq!(ledger.entries().len(), 1);
}

#[test]
fn a_journal_older_than_the_ledger_is_noticed_but_one_entry_is_what_a_crash_leaves() {
    let mut desk = Desk::new();
    let mut ledger = desk.open().unwrap();
    ledger
        .reserve(&mut desk.journal, "trial", &limit(), "s1", &plan().into())
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

#[test]
fn a_file_cut_anywhere_opens_with_every_charge_acted_on_or_not_at_all() {
    let mut desk = Desk::new();
    let mut ledger = desk.open().unwrap();
    ledger
        .reserve(&mut desk.journal, "trial", &limit(), "s1", &plan().into())
        .unwrap();
    let mut acted = vec![(
        fs::read(desk.path()).unwrap().len(),
        3,
        desk.copy_journal("0"),
    )];
    for (number, attempt) in ["1.1.1", "1.2.1"].into_iter().enumerate() {
        ledger.commit(&mut desk.journal, "s1", attempt).unwrap();
        let journal = desk.copy_journal(&format!("{}", number + 1));
        acted.push((fs::read(desk.path()).unwrap().len(), 4 + number, journal));
    }
    drop(ledger);
    let whole = fs::read(desk.path()).unwrap();
    for (number, (end, entries, journal)) in acted.iter().enumerate() {
        // Beyond the entry after the one that was acted on, the journal would be an old copy.
        let last = acted.get(number + 1).map_or(whole.len(), |next| next.0);
        for cut in (0..=last).filter(|cut| cut.abs_diff(*end) < 8 || cut % 251 == 0) {
            fs::write(desk.path(), &whole[..cut]).unwrap();
            let copy = desk.folder.path().join(format!("copy-{number}-{cut}"));
            fs::copy(journal, &copy).unwrap();
            desk.journal = Journal::open(&copy).unwrap();
            match desk.open() {
                Ok(ledger) => assert!(cut >= *end && ledger.entries().len() >= *entries, "{cut}"),
                Err(fault) => {
                    assert!(cut < *end, "{cut}: {fault}");
                    assert!(matches!(fault, LedgerFault::Untrusted { .. }), "{fault}");
                }
            }
        }
    }
}

#[test]
fn a_thousand_reservations_from_eight_threads_set_aside_no_more_than_there_is() {
    let mut desk = Desk::new();
    let ledger = desk.open().unwrap();
    let journal = Journal::open(&desk.folder.path().join("journal.sqlite")).unwrap();
    let shared = std::sync::Mutex::new((ledger, journal));
    let admitted = std::sync::atomic::AtomicUsize::new(0);
    let plan = plan().into();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (shared, admitted, plan) = (&shared, &admitted, &plan);
            scope.spawn(move || {
                for number in 0..125 {
                    let (ledger, journal) = &mut *shared.lock().unwrap();
                    let study = format!("{thread}-{number}");
                    match ledger.reserve(journal, "trial", &limit(), &study, plan) {
                        Ok(()) => {
                            admitted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                        Err(LedgerFault::Refused(BudgetRefusal::Exceeded { .. })) => {}
                        Err(fault) => panic!("{fault}"),
                    }
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 1);
    let (ledger, _) = shared.into_inner().unwrap();
    assert!(
        ledger
            .account("trial")
            .unwrap()
            .remaining_share()
            .fraction()
            > 0.0
    );
    assert_eq!(ledger.entries().len(), 3);
}

fn officers() -> Vec<Officer> {
    ["m.keller", "a.berg"]
        .into_iter()
        .zip(1..)
        .map(|(name, number)| Officer {
            name: name.to_owned(),
            key: ssh_signature::tests::key(number).0,
        })
        .collect()
}

/// A budget of which a study has set more than half aside.
fn used(desk: &mut Desk) -> Ledger {
    let mut ledger = desk.open().unwrap();
    ledger
        .reserve(&mut desk.journal, "trial", &limit(), "s1", &plan().into())
        .unwrap();
    ledger
}

fn raise(epsilon: f64) -> Raise<'static> {
    Raise {
        data: "trial",
        epsilon: Epsilon::new(epsilon).unwrap(),
        reason: "ethics amendment 3",
    }
}

fn signed(statement: &str, number: u8) -> String {
    ssh_signature::tests::key(number).1(NAMESPACE, statement)
}

#[test]
fn two_officers_raise_a_budget_and_the_next_study_fits() {
    let mut desk = Desk::new();
    let mut ledger = used(&mut desk);
    let raise = raise(8.0);
    let statement = ledger.top_up_statement(&raise).unwrap();
    assert!(statement.contains("epsilon from 4 to 8") && statement.contains("amendment 3"));
    let signatures = [signed(&statement, 1), signed(&statement, 2)];
    ledger
        .top_up(&mut desk.journal, &officers(), &raise, &signatures)
        .unwrap();
    // The policy must say so too.
    let fault = ledger
        .share("trial", &limit(), "s2", &plan().into())
        .unwrap_err();
    assert!(matches!(fault, LedgerFault::OtherBudget { .. }));
    let raised = BudgetLimit {
        epsilon: Epsilon::new(8.0).unwrap(),
        ..limit()
    };
    ledger
        .reserve(&mut desk.journal, "trial", &raised, "s2", &plan().into())
        .unwrap();
    // The same signatures do not raise it once more.
    assert!(
        ledger
            .top_up(&mut desk.journal, &officers(), &raise, &signatures)
            .is_err()
    );
    drop(ledger);
    assert_eq!(desk.open().unwrap().entries().len(), 5);
}

#[test]
fn a_raise_without_two_officers_over_the_same_statement_is_refused_with_the_reason() {
    let mut desk = Desk::new();
    let mut ledger = used(&mut desk);
    let raise = raise(8.0);
    let statement = ledger.top_up_statement(&raise).unwrap();
    let other = ledger.top_up_statement(&self::raise(80.0)).unwrap();
    let (first, second) = (signed(&statement, 1), signed(&statement, 2));
    for (officers, signatures, reason) in [
        (officers(), vec![], "two different officers"),
        (officers(), vec![first.clone()], "two different officers"),
        (
            officers(),
            vec![first.clone(), first.clone()],
            "two different officers",
        ),
        (
            officers(),
            vec![first.clone(), signed(&statement, 3)],
            "signature 2 is by none",
        ),
        (
            officers(),
            vec![signed(&other, 1), second.clone()],
            "signature 1 is by none",
        ),
        (
            officers(),
            vec![first.clone(), "no signature".to_owned()],
            "signature 2 is by none",
        ),
        (
            officers()[..1].to_vec(),
            vec![first.clone(), second.clone()],
            "names 1 officers",
        ),
    ] {
        let fault = ledger
            .top_up(&mut desk.journal, &officers, &raise, &signatures)
            .unwrap_err();
        assert!(fault.to_string().contains(reason), "{fault}");
    }
    // One key under two names is one officer.
    let twice = vec![
        officers()[0].clone(),
        Officer {
            name: "somebody else".to_owned(),
            ..officers()[0].clone()
        },
    ];
    assert!(
        ledger
            .top_up(&mut desk.journal, &twice, &raise, &[first.clone(), first],)
            .is_err()
    );
    assert_eq!(ledger.entries().len(), 3);
}

#[test]
fn a_raise_that_somebody_wrote_into_the_file_without_signatures_is_not_trusted() {
    let mut desk = Desk::new();
    let ledger = used(&mut desk);
    let mut forged = ledger.unsigned(&raise(9.0)).unwrap();
    for (officer, number) in ["m.keller", "a.berg"].into_iter().zip(1..) {
        forged
            .signed
            .push(consilium_privacy::budget::OfficerSignature {
                officer: officer.to_owned(),
                key: ssh_signature::tests::key(number).0.to_string(),
                signature: signed("another statement", number),
            });
    }
    let mut state = ledger.state.clone();
    drop(ledger);
    let line = state.record(&LedgerEntry::ToppedUp(forged), 9).unwrap();
    let mut text = fs::read_to_string(desk.path()).unwrap();
    text.push_str(&line);
    fs::write(desk.path(), &text).unwrap();
    let fault = desk.open().unwrap_err();
    assert!(matches!(fault, LedgerFault::TopUp(_)), "{fault}");
    assert!(Ledger::verify(&desk.path(), text.as_bytes()).is_err());
}

#[test]
fn an_exported_ledger_is_verified_without_the_folder_and_any_changed_line_is_found() {
    let mut desk = Desk::new();
    let mut ledger = used(&mut desk);
    ledger.commit(&mut desk.journal, "s1", "1.1.1").unwrap();
    let (lines, state) = Ledger::lines(&desk.path(), &desk.journal).unwrap();
    assert_eq!(lines, fs::read(desk.path()).unwrap());
    let verified = Ledger::verify(&desk.path(), &lines).unwrap();
    assert_eq!(verified.ledger, state);
    let changed = String::from_utf8(lines).unwrap().replacen("s1", "s2", 1);
    assert!(Ledger::verify(&desk.path(), changed.as_bytes()).is_err());
}
