// SPDX-License-Identifier: Apache-2.0

//! Every policy that the project ships is read, and every example inside it is decided as it says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(
    clippy::disallowed_methods,
    reason = "reads the files that are shipped"
)]

use std::path::{Path, PathBuf};

use consilium_policies::{Approval, NoiseRule, Policy, run_examples};

fn folder(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn read(path: &Path) -> Policy {
    let bytes = std::fs::read(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
    Policy::parse(&bytes).unwrap_or_else(|fault| panic!("{}:\n{fault}", path.display()))
}

#[test]
fn every_shipped_policy_is_read_and_decides_its_examples() {
    let mut read_files = 0;
    for directory in [folder("examples"), folder("../examples/policies")] {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let policy = read(&entry.unwrap().path());
            let outcomes = run_examples(&policy);
            assert!(!outcomes.is_empty(), "`{}` has no example", policy.silo);
            for outcome in outcomes {
                assert!(outcome.passed(), "{outcome}");
            }
            read_files += 1;
        }
    }
    assert_eq!(read_files, 8);
}

#[test]
fn the_four_demonstration_hospitals_share_one_agreement_and_one_budget() {
    for (silo, min_patients) in [("1_UM", 20), ("2_IU", 20), ("3_UK", 20), ("4_Case", 3)] {
        let policy = read(&folder(&format!("../examples/policies/{silo}.toml")));
        assert_eq!(policy.silo, silo);
        assert_eq!(policy.floor.min_patients, min_patients);
        assert_eq!(
            policy.floor.min_patients_reason.is_some(),
            min_patients < 20
        );
        assert_eq!(policy.floor.differential_privacy, NoiseRule::UnlessAgreed);
        let budget = policy.budget("ercp-trial").expect("a budget");
        assert_eq!(
            (budget.epsilon.to_string(), budget.delta.to_string()),
            ("4".to_owned(), "2e-5".to_owned())
        );
        let [grant] = policy.grants.as_slice() else {
            panic!("`{silo}` has one grant")
        };
        assert_eq!(grant.agreement.as_deref(), Some("DUA-2012-0117"));
        assert_eq!(grant.approval, Approval::Automatic);
    }
}
