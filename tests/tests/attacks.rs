// SPDX-License-Identifier: Apache-2.0
//! The table of attacks names files and tests that exist, and leaves out no test of a missing defence.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// What stands between backticks in one cell.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn file(name: &str) -> PathBuf {
    let tests = root().join("protocol/tests");
    let of_the_protocol = tests.join(name);
    if name.starts_with("adversary/") || name.starts_with("undefended/") {
        of_the_protocol
    } else {
        root().join(name)
    }
}

/// The tests that a file holds.
fn tests_of(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|_| panic!("no file {}", path.display()));
    let mut names = BTreeSet::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if let Some(rest) = line.strip_prefix("fn ").filter(|_| is_test) {
            names.insert(rest.split('(').next().unwrap().to_owned());
            is_test = false;
        }
    }
    names
}

/// Every row of the tables: its cells. The head of a table stands above the line that rules it off.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = text.lines().chain([""]).collect();
    let is_row = |pair: &&[&str]| matches!(pair, [line, below] if line.starts_with("| ") && !below.starts_with("|--"));
    lines
        .windows(2)
        .filter(is_row)
        .filter_map(|pair| pair.first())
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn every_file_and_test_that_the_table_of_attacks_names_exists() {
    let text = fs::read_to_string(root().join("docs/attacks.md")).unwrap();
    let rows = rows(&text);
    assert!(rows.len() > 30);
    let mut named = 0;
    for row in &rows {
        let [attack, check, tests, undefended] = row.as_slice() else {
            panic!("not four cells: {row:?}")
        };
        let sources: Vec<&str> = quoted(check).filter(|name| name.ends_with(".rs")).collect();
        assert!(
            sources.iter().all(|name| file(name).is_file()),
            "{attack}: {sources:?}"
        );
        for cell in [tests, undefended] {
            let mut known = BTreeSet::new();
            for name in quoted(cell) {
                if name.ends_with(".rs") {
                    known = tests_of(&file(name));
                } else {
                    assert!(known.contains(name), "{attack}: no test `{name}`");
                    named += 1;
                }
            }
        }
        assert!(quoted(tests).count() >= 2, "{attack}: no test");
    }
    assert!(named > 70);
}

#[test]
fn every_test_of_a_missing_defence_stands_in_the_table_of_attacks() {
    let text = fs::read_to_string(root().join("docs/attacks.md")).unwrap();
    let folder = root().join("protocol/tests/undefended");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        for test in tests_of(&entry.unwrap().path()) {
            assert!(text.contains(&format!("`{test}`")), "{test}");
            count += 1;
        }
    }
    assert!(count >= 25);
}

#[test]
fn every_defence_is_taken_away_in_a_test() {
    let text = fs::read_to_string(root().join("protocol/src/defence.rs")).unwrap();
    let (_, list) = text.split_once("pub enum Defence {").unwrap();
    let (list, _) = list.split_once('}').unwrap();
    let folder = root().join("protocol/tests/undefended");
    let tests: String = fs::read_dir(folder)
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let defences: Vec<&str> = list
        .lines()
        .map(|line| line.trim().trim_end_matches(','))
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .collect();
    assert!(defences.len() >= 25);
    for defence in defences {
        assert!(tests.contains(&format!("Defence::{defence}")), "{defence}");
    }
}

#[test]
fn every_file_and_test_that_the_table_of_privacy_attacks_names_exists() {
    let text = fs::read_to_string(root().join("docs/privacy-attacks.md")).unwrap();
    let rows = rows(&text);
    assert!(rows.len() >= 9);
    for row in &rows {
        let [mistake, _, found_by] = row.as_slice() else {
            panic!("not three cells: {row:?}")
        };
        let (mut known, mut named) = (BTreeSet::new(), 0);
        for name in quoted(found_by) {
            if name.ends_with(".rs") {
                known = tests_of(&file(name));
            } else {
                assert!(known.contains(name), "{mistake}: no test `{name}`");
                named += 1;
            }
        }
        assert!(named > 0, "{mistake}: no test");
    }
}

#[test]
fn every_stand_in_for_a_mistake_stands_in_the_table_of_privacy_attacks() {
    use consilium_tests::privacy_audit::local::LocalMutation;
    use consilium_tests::privacy_audit::mutation::Mutation;
    let text = fs::read_to_string(root().join("docs/privacy-attacks.md")).unwrap();
    let rows = rows(&text);
    let shared = [Mutation::None].into_iter().chain(Mutation::MISTAKES);
    let local = [LocalMutation::Honest]
        .into_iter()
        .chain(LocalMutation::MISTAKES);
    let names = shared
        .map(|mutation| format!("`{mutation:?}`"))
        .chain(local.map(|mutation| format!("`{mutation:?}`")));
    for name in names {
        let count = rows.iter().filter(|row| row.get(1) == Some(&name.as_str()));
        assert_eq!(count.count(), 1, "{name}");
    }
}
