// SPDX-License-Identifier: Apache-2.0
//! Programs we did not write read the log. Set `CONSILIUM_FOREIGN_PYTHON` to a Python that has `pymerkle`
//! (see `.ci/verifiers/README.md`); without it this says that it was skipped.

use std::{fs, path::Path, process::Command};

use crate::support::{Consortium, copy};

#[test]
fn pymerkle_computes_the_signed_root_from_the_entries_alone() {
    let Ok(python) = std::env::var("CONSILIUM_FOREIGN_PYTHON") else {
        eprintln!("SKIPPED: CONSILIUM_FOREIGN_PYTHON is not set, pymerkle did not read a log");
        return;
    };
    let mut consortium = Consortium::new();
    consortium.study("s", 0..40);
    assert!(consortium.log.size() > 300);
    let check = |folder: &Path| {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/verifiers/pymerkle_check.py");
        Command::new(&python)
            .arg(script)
            .arg(folder)
            .output()
            .unwrap()
    };
    let output = check(consortium.path());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let changed = copy(consortium.path());
    let path = changed.path().join("entries.jsonl");
    let text = fs::read_to_string(&path)
        .unwrap()
        .replacen("2_IU", "2_XX", 1);
    fs::write(path, text).unwrap();
    assert_eq!(check(changed.path()).status.code(), Some(1));
}
