// SPDX-License-Identifier: Apache-2.0
//! Programs we did not write read the log. Set `CONSILIUM_FOREIGN_PYTHON` to a Python that has `pymerkle` and
//! `aics-tlog` (see `.ci/verifiers/README.md`); without it these say that they were skipped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{Consortium, copy};

/// Runs a script on a folder; `None` without the Python for it.
fn exit_status(script: &str, folder: &Path) -> Option<i32> {
    let Some(python) = std::env::var_os("CONSILIUM_FOREIGN_PYTHON") else {
        eprintln!("SKIPPED: CONSILIUM_FOREIGN_PYTHON is not set, {script} did not read a log");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../.ci/verifiers")
        .join(script);
    let output = Command::new(python)
        .arg(script)
        .arg(folder)
        .output()
        .unwrap();
    eprint!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.status.code()
}

fn long_log() -> Consortium {
    let mut consortium = Consortium::new();
    consortium.study("s", 0..40);
    assert!(consortium.log.size() > 300);
    consortium
}

fn replace(path: PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&path).unwrap();
    let changed = text.replacen(from, to, 1);
    assert_ne!(text, changed);
    fs::write(path, changed).unwrap();
}

#[test]
fn pymerkle_computes_every_signed_root_from_the_entries_alone() {
    let consortium = long_log();
    let Some(status) = exit_status("pymerkle_check.py", consortium.path()) else {
        return;
    };
    assert_eq!(status, 0);

    let changed = copy(consortium.path());
    replace(changed.path().join("entries.jsonl"), "2_IU", "2_XX");
    assert_eq!(exit_status("pymerkle_check.py", changed.path()), Some(1));
}

#[test]
fn aics_tlog_accepts_signatures_quorum_and_tiles_and_refuses_changed_ones() {
    let consortium = long_log();
    let Some(status) = exit_status("aics_check.py", consortium.path()) else {
        return;
    };
    assert_eq!(status, 0);

    let changed = copy(consortium.path());
    let tile = changed.path().join("tile/0/000");
    let mut bytes = fs::read(&tile).unwrap();
    bytes[100] ^= 1;
    fs::write(&tile, bytes).unwrap();
    assert_eq!(exit_status("aics_check.py", changed.path()), Some(1));

    // Two of four cosignatures taken away from every head leave no quorum of three.
    let changed = copy(consortium.path());
    let notes = fs::read_dir(changed.path().join("checkpoints")).unwrap();
    let notes = notes.map(|note| note.unwrap().path());
    for path in notes.chain([changed.path().join("checkpoint")]) {
        let note = fs::read_to_string(&path).unwrap();
        let kept: String = note
            .split_inclusive('\n')
            .filter(|line| !line.contains("2_IU") && !line.contains("3_UK"))
            .collect();
        fs::write(path, kept).unwrap();
    }
    assert_eq!(exit_status("aics_check.py", changed.path()), Some(1));
}
