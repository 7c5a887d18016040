// SPDX-License-Identifier: Apache-2.0
use consilium_policies::Isolation;

use super::*;
use crate::trainer::tests::{answering, description};

struct Steward {
    folder: tempfile::TempDir,
    journal: Journal,
    policy: Policy,
}

impl Steward {
    fn new() -> Steward {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal.sqlite")).unwrap();
        let text = include_str!("../../../policies/examples/small-hospital.toml");
        Steward {
            policy: Policy::parse(text.as_bytes()).unwrap(),
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
        data_sets.register(name, file, behind, &mut self.journal, None, "now")
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
    assert_eq!(registered.patients_at_most, 512);
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
fn an_announcement_tells_little_about_the_rows() {
    for (rows, announced) in [(0, 64), (3, 64), (64, 64), (65, 128), (413, 512)] {
        assert_eq!(rounded_up(rows), announced);
    }
    assert_eq!(rounded_up(u64::MAX), u64::MAX);
}
