// SPDX-License-Identifier: Apache-2.0
//! Keys on disk.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use consilium_certs::{
    EnrolmentRequest, EnrolmentResponse, IdentityFolder, IdentityFolderFault, Role,
    SecretFileFault, TlsKey,
};

use crate::federation::{Federation, name, now};

#[test]
fn a_silo_finds_its_keys_again() {
    let mut federation = Federation::new(1);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("identity");
    let made =
        IdentityFolder::create(&path, Role::Silo, &name("3_UK"), &mut federation.random).unwrap();
    let read = IdentityFolder::open(&path).unwrap();
    assert_eq!((read.role(), read.name()), (Role::Silo, &name("3_UK")));
    let keys = |folder: &IdentityFolder| {
        let tls = folder.tls_key().unwrap().spki_digest();
        let witness = folder.witness_key().unwrap().verifying_key();
        (folder.identity_key().verifying_key(), witness, tls)
    };
    assert_eq!(keys(&made), keys(&read));
    assert_eq!(made.short_code(), read.short_code());
    assert_ne!(keys(&read).0, keys(&read).1);
    assert!(matches!(
        read.log_key(),
        Err(IdentityFolderFault::NoSuchKey { .. })
    ));
    assert_eq!(
        fs::read_dir(directory.path()).unwrap().count(),
        1,
        "nothing unfinished is left"
    );
}

#[test]
fn every_role_has_its_own_keys_and_no_others() {
    let mut federation = Federation::new(2);
    let directory = tempfile::tempdir().unwrap();
    for role in Role::ALL {
        let path = directory.path().join(role.as_str());
        let folder =
            IdentityFolder::create(&path, role, &name("x"), &mut federation.random).unwrap();
        assert_eq!(folder.witness_key().is_ok(), role == Role::Silo);
        assert_eq!(folder.log_key().is_ok(), role == Role::Coordinator);
        for file in fs::read_dir(&path).unwrap().map(Result::unwrap) {
            let is_key = file
                .path()
                .extension()
                .is_some_and(|extension| extension == "key");
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode == 0o600, is_key, "{}", file.path().display());
        }
    }
}

#[test]
fn a_key_that_others_may_read_stops_the_start() {
    let mut federation = Federation::new(3);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("identity");
    IdentityFolder::create(&path, Role::Silo, &name("3_UK"), &mut federation.random).unwrap();
    for file in ["identity.key", "witness.key"] {
        let file = path.join(file);
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let fault = IdentityFolder::open(&path).unwrap_err();
        let IdentityFolderFault::SecretFile(SecretFileFault::Exposed { path: told, .. }) = &fault
        else {
            panic!("{fault}");
        };
        assert_eq!(told, &file);
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }
    fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(
        IdentityFolder::open(&path),
        Err(IdentityFolderFault::SecretFile(
            SecretFileFault::OpenFolder { .. }
        ))
    ));
}

#[test]
fn keys_are_never_overwritten_and_another_participant_is_refused() {
    let mut federation = Federation::new(4);
    let random = &mut federation.random;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("identity");
    let first = IdentityFolder::open_or_create(&path, Role::Silo, &name("3_UK"), random).unwrap();
    let again = IdentityFolder::open_or_create(&path, Role::Silo, &name("3_UK"), random).unwrap();
    assert_eq!(first.short_code(), again.short_code());
    assert!(matches!(
        IdentityFolder::create(&path, Role::Silo, &name("3_UK"), random),
        Err(IdentityFolderFault::Exists { .. })
    ));
    for (role, text) in [(Role::Silo, "2_IU"), (Role::Officer, "3_UK")] {
        assert!(matches!(
            IdentityFolder::open_or_create(&path, role, &name(text), random),
            Err(IdentityFolderFault::Another { .. })
        ));
    }
}

#[test]
fn a_crash_while_keys_were_made_leaves_nothing_that_hinders_the_next_try() {
    let mut federation = Federation::new(5);
    let directory = tempfile::tempdir().unwrap();
    let unfinished = directory.path().join(".identity.unfinished");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("identity.key"), "half").unwrap();
    let path = directory.path().join("identity");
    IdentityFolder::create(&path, Role::Silo, &name("3_UK"), &mut federation.random).unwrap();
    assert!(!unfinished.exists());
}

#[test]
fn an_enrolled_folder_serves_tls_and_an_unfinished_one_says_so() {
    let mut federation = Federation::new(6);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("identity");
    let folder =
        IdentityFolder::create(&path, Role::Silo, &name("5_OSU"), &mut federation.random).unwrap();
    assert!(!folder.is_certified());
    assert!(matches!(
        folder.tls_identity(),
        Err(IdentityFolderFault::NotCertified { .. })
    ));

    let (invitation, record) = federation.invite(Role::Silo, "5_OSU");
    let tls = folder.tls_key().unwrap();
    let request = EnrolmentRequest::make(&invitation, &folder.enrolment_keys(&tls), now()).unwrap();
    let enrolled = record.accept(&request, now()).unwrap();
    assert_eq!(enrolled.short_code(), folder.short_code());
    let response = EnrolmentResponse::make(&enrolled, &federation.authority, now()).unwrap();
    let trust = response.check(&invitation, &tls, now()).unwrap();
    folder
        .install_certificate(&response.certificate_chain, &trust)
        .unwrap();
    assert!(folder.is_certified());
    assert_eq!(folder.certificate().unwrap().holder, folder.participant());
    assert!(matches!(
        folder.certificate().unwrap().days_left(now()),
        89 | 90
    ));
    assert_eq!(folder.tls_identity().unwrap().trust(), &trust);
}

#[test]
fn a_certificate_for_another_key_is_not_installed() {
    let mut federation = Federation::new(7);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("identity");
    let folder =
        IdentityFolder::create(&path, Role::Silo, &name("5_OSU"), &mut federation.random).unwrap();
    let trust = federation.authority.trust();
    let other = TlsKey::generate()
        .unwrap()
        .certificate_request(&name("5_OSU"))
        .unwrap();
    let issued = federation
        .authority
        .issue_member(&other, Role::Silo, &name("5_OSU"), now())
        .unwrap();
    let fault = folder
        .install_certificate(&issued.chain_pem(), trust)
        .unwrap_err();
    assert!(matches!(fault, IdentityFolderFault::Tls(_)), "{fault}");
    assert!(!folder.is_certified());
}

#[test]
fn the_authority_is_kept_once() {
    let mut federation = Federation::new(8);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("identity");
    let folder =
        IdentityFolder::create(&path, Role::Coordinator, &name("c"), &mut federation.random)
            .unwrap();
    folder.store_authority(&federation.authority).unwrap();
    let read = folder.authority().unwrap();
    assert_eq!(read.spki_digest(), federation.authority.spki_digest());
    let another = Federation::new(9).authority;
    assert!(matches!(
        folder.store_authority(&another),
        Err(IdentityFolderFault::SecretFile(
            SecretFileFault::Exists { .. }
        ))
    ));
    assert_eq!(
        folder.authority().unwrap().spki_digest(),
        federation.authority.spki_digest()
    );
}
