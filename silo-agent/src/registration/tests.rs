// SPDX-License-Identifier: Apache-2.0
use consilium_policies::Isolation;

use super::*;
use crate::trainer::tests::{answering, description};

struct Steward {
    folder: tempfile::TempDir,
    journal: Journal,
    policy: Policy,
    /// What the officer says beside name and file.
    with: fn(Registration<'_>) -> Registration<'_>,
}

impl Steward {
    fn new() -> Steward {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal.sqlite")).unwrap();
        let text = include_str!("../../../policies/examples/small-hospital.toml");
        Steward {
            policy: Policy::parse(text.as_bytes()).unwrap(),
            with: |registration| registration,
            folder,
            journal,
        }
    }

    fn csv(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, "id\n1\n").unwrap();
        path
    }

    fn register(&mut self, name: &str, file: &Path) -> Result<DataSet, RegistrationFault> {
        self.register_behind(Isolation::Sandbox, name, file)
    }

    fn register_behind(
        &mut self,
        isolation: Isolation,
        name: &str,
        file: &Path,
    ) -> Result<DataSet, RegistrationFault> {
        let command = answering(self.folder.path(), &description(isolation));
        let behind = Behind {
            policy: &self.policy,
            trainer: &Trainer::new(command),
        };
        let data_sets = DataSets::of(self.folder.path());
        data_sets.register(
            (self.with)(Registration::of(name, file, "now")),
            behind,
            &mut self.journal,
        )
    }
}

#[test]
fn one_file_has_one_name_and_one_budget() {
    let mut steward = Steward::new();
    let file = steward.csv("trial.csv");
    let registered = steward.register("trial", &file).unwrap();
    steward.register("trial", &file).unwrap();
    let fault = steward.register("alias", &file).unwrap_err();
    assert!(matches!(fault, RegistrationFault::SameFile { ref other, .. } if other == "trial"));
    // A copy has the same bytes, which the trainer's answer says here too.
    let copy = steward.csv("copy.csv");
    let fault = steward.register("alias", &copy).unwrap_err();
    assert!(matches!(
        fault,
        RegistrationFault::Journal(JournalFault::RegisteredElsewhere { .. })
    ));
    // The journal remembers it when the description has been deleted.
    let data = steward.folder.path().join("data");
    fs::remove_file(data.join("trial.toml")).unwrap();
    assert!(steward.register("alias", &file).is_err());
    assert!(!data.join("alias.toml").exists());
    assert_eq!(registered.lineage, "trial");
}

#[test]
fn a_file_is_not_registered_from_behind_lower_walls_than_the_policy_demands() {
    let mut steward = Steward::new();
    assert!(steward.policy.floor.isolation > Isolation::Process);
    let file = steward.csv("trial.csv");
    let fault = steward
        .register_behind(Isolation::Process, "trial", &file)
        .unwrap_err();
    assert!(fault.to_string().contains("isolation"), "{fault}");
}

#[test]
fn the_bound_that_others_may_know_is_said_by_the_hospital_and_holds() {
    let mut steward = Steward::new();
    let file = steward.csv("trial.csv");
    // The trainer finds 300 patients in 310 rows.
    let unsaid = steward.register("trial", &file).unwrap();
    assert_eq!((unsaid.patients, unsaid.patients_at_most), (300, None));
    steward.with = |registration| Registration {
        patients_at_most: Some(299),
        ..registration
    };
    let fault = steward.register("trial", &file).unwrap_err();
    assert!(
        matches!(fault, RegistrationFault::TooMany { announced: 299, .. }),
        "{fault}"
    );
    assert!(!fault.to_string().contains("300"), "{fault}");
    steward.with = |registration| Registration {
        patients_at_most: Some(1000),
        patient: Some("id"),
        ..registration
    };
    steward.register("trial", &file).unwrap();
    // It stays when the file is registered again, and so does the patient column.
    steward.with = |registration| registration;
    let again = steward.register("trial", &file).unwrap();
    assert_eq!(again.patients_at_most, Some(1000));
    assert_eq!(again.patient.as_deref(), Some("id"));
}

#[test]
fn patients_and_not_rows_are_held_against_the_policy_once() {
    let mut steward = Steward::new();
    let file = steward.csv("trial.csv");
    steward.policy.floor.min_patients = 301;
    let fault = steward.register("trial", &file).unwrap_err();
    assert!(
        matches!(fault, RegistrationFault::TooSmall { needed: 301, .. }),
        "{fault}"
    );
    steward.policy.floor.min_patients = 300;
    let registered = steward.register("trial", &file).unwrap();
    assert_eq!((registered.rows, registered.min_patients), (310, 300));
}

#[test]
fn a_file_so_long_that_a_trainers_memory_could_count_its_rows_is_registered_for_exact_studies_only()
{
    let mut steward = Steward::new();
    let path = steward.csv("long.csv");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(MOST_BYTES_WITH_NOISE + 1).unwrap();
    steward.register("exact", &path).unwrap();
    steward.with = |registration| Registration {
        patients_at_most: Some(1000),
        ..registration
    };
    let fault = steward.register("exact", &path).unwrap_err();
    assert!(
        matches!(fault, RegistrationFault::TooLong { .. }),
        "{fault}"
    );
    file.set_len(MOST_BYTES_WITH_NOISE).unwrap();
    steward.register("exact", &path).unwrap();
}
