// SPDX-License-Identifier: Apache-2.0
//! What stays pinned.

use std::fs;

use consilium_certs::{RosterFault, RosterFolder, RosterFolderFault, SignedRoster};

use crate::federation::{Federation, key};

fn successor(federation: &Federation, folder: &RosterFolder, signers: &[usize]) -> SignedRoster {
    let current = folder.current().unwrap();
    let mut parts = current.to_parts();
    parts.researchers.clear();
    federation.signed_by(&current.succeed(parts).unwrap(), signers)
}

#[test]
fn a_chain_of_rosters_survives_a_restart() {
    let federation = Federation::new(1);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("roster");
    let mut folder = RosterFolder::open(&path).unwrap();
    assert!(folder.current().is_none());
    let (first, _) = federation.founded();
    folder.pin(&first).unwrap();
    folder.pin(&first).unwrap();
    let second = successor(&federation, &folder, &[0, 1, 2]);
    folder.pin(&second).unwrap();

    let folder = RosterFolder::open(&path).unwrap();
    assert_eq!(folder.current().unwrap().version(), 2);
    assert_eq!(folder.signed(1), Some(&first));
    assert_eq!(folder.newest(), Some(&second));
    assert_eq!(folder.signed(0), None);
    assert_eq!(folder.signed(3), None);
}

#[test]
fn a_pinned_founding_roster_is_not_replaced_by_another() {
    let federation = Federation::new(2);
    let directory = tempfile::tempdir().unwrap();
    let mut folder = RosterFolder::open(directory.path()).unwrap();
    folder.pin(&federation.founded().0).unwrap();
    let other = Federation::new(3).founded().0;
    let fault = folder.pin(&other).unwrap_err();
    assert!(matches!(
        fault,
        RosterFolderFault::Roster(RosterFault::NotSuccessor { .. })
    ));
    assert_eq!(
        folder.current().unwrap().root(),
        federation.founding().root()
    );
}

#[test]
fn a_roster_without_quorum_is_not_pinned_nor_written() {
    let federation = Federation::new(4);
    let directory = tempfile::tempdir().unwrap();
    let mut folder = RosterFolder::open(directory.path()).unwrap();
    folder.pin(&federation.founded().0).unwrap();
    let lacking = successor(&federation, &folder, &[0, 1]);
    assert!(folder.pin(&lacking).is_err());
    assert!(!directory.path().join("2.json").exists());
    assert_eq!(folder.current().unwrap().version(), 1);
}

#[test]
fn a_roster_file_altered_on_disk_stops_the_start() {
    let federation = Federation::new(5);
    let directory = tempfile::tempdir().unwrap();
    RosterFolder::open(directory.path())
        .unwrap()
        .pin(&federation.founded().0)
        .unwrap();
    let file = directory.path().join("1.json");
    let text = fs::read_to_string(&file)
        .unwrap()
        .replacen("3_UK", "3_UX", 1);
    fs::write(&file, text).unwrap();
    assert!(RosterFolder::open(directory.path()).is_err());
}

#[test]
fn a_founding_roster_with_another_coordinator_than_the_invitation_is_not_pinned() {
    let mut federation = Federation::new(6);
    let directory = tempfile::tempdir().unwrap();
    let mut folder = RosterFolder::open(directory.path()).unwrap();
    let (first, _) = federation.founded();
    let other = key(&mut federation.random).verifying_key();
    let fault = folder.pin_founding(&first, &other).unwrap_err();
    assert!(matches!(fault, RosterFolderFault::AnotherCoordinator));
    assert!(folder.current().is_none());
    let invited_by = federation.coordinator.verifying_key();
    folder.pin_founding(&first, &invited_by).unwrap();
}
