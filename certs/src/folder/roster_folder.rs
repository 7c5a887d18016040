// SPDX-License-Identifier: Apache-2.0
//! The rosters that a participant has pinned.
//!
//! Version 1 is pinned when it is first seen and never replaced; each later version has to follow the
//! one before. Opening the folder verifies the whole chain again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use consilium_crypto::signing::VerifyingKey;
use thiserror::Error;

use super::secret_file::{self, SecretFileFault};
use super::write_public;
use crate::roster::signed::{SignedRoster, VerifiedRoster};
use crate::roster::{Roster, RosterFault};

/// The folder `roster/` of a participant.
#[derive(Debug)]
pub struct RosterFolder {
    path: PathBuf,
    pinned: Vec<SignedRoster>,
    current: Option<VerifiedRoster>,
}

impl RosterFolder {
    /// Opens the folder, making it if need be, and verifies what is in it.
    pub fn open(path: &Path) -> Result<Self, RosterFolderFault> {
        secret_file::create_folder(path)?;
        let mut folder = Self {
            path: path.to_owned(),
            pinned: Vec::new(),
            current: None,
        };
        while let Some(signed) = folder.read_next()? {
            let verified = folder
                .verify(&signed)
                .map_err(|fault| folder.damaged(fault))?;
            folder.pinned.push(signed);
            folder.current = Some(verified);
        }
        Ok(folder)
    }

    /// The roster in force; `None` before the first is pinned.
    pub fn current(&self) -> Option<&VerifiedRoster> {
        self.current.as_ref()
    }

    /// A pinned version with its signatures, to show to others.
    pub fn signed(&self, version: u64) -> Option<&SignedRoster> {
        let index = usize::try_from(version.checked_sub(1)?).ok()?;
        self.pinned.get(index)
    }

    /// The newest pinned version with its signatures.
    pub fn newest(&self) -> Option<&SignedRoster> {
        self.pinned.last()
    }

    /// Pins a roster: the founding one if there is none yet, otherwise the successor of the one in
    /// force. Pinning the one in force again changes nothing.
    pub fn pin(&mut self, signed: &SignedRoster) -> Result<&VerifiedRoster, RosterFolderFault> {
        let is_repeat = self
            .newest()
            .is_some_and(|newest| newest.roster == signed.roster);
        if !is_repeat {
            let verified = self.verify(signed)?;
            let mut text = serde_json::to_vec_pretty(signed)
                .map_err(|fault| RosterFault::Malformed { fault })?;
            text.push(b'\n');
            let file = self.file(verified.version());
            write_public(&file, &text)
                .map_err(|fault| RosterFolderFault::Unavailable { path: file, fault })?;
            self.pinned.push(signed.clone());
            self.current = Some(verified);
        }
        self.current.as_ref().ok_or(RosterFolderFault::Empty)
    }

    /// Pins the founding roster only if it names the coordinator key of our invitation.
    pub fn pin_founding(
        &mut self,
        signed: &SignedRoster,
        coordinator_key: &VerifyingKey,
    ) -> Result<&VerifiedRoster, RosterFolderFault> {
        let verified = signed.verify_founding()?;
        if verified.coordinator().key != *coordinator_key {
            return Err(RosterFolderFault::AnotherCoordinator);
        }
        self.pin(signed)
    }

    /// Pins every version that a coordinator has published and that is newer than the one in force, oldest first.
    pub fn pin_published(
        &mut self,
        published: &[SignedRoster],
        coordinator_key: &VerifyingKey,
    ) -> Result<(), RosterFolderFault> {
        for signed in published {
            let version = Roster::parse(&signed.roster)?.version();
            match self.current().map(|current| current.version()) {
                None => self.pin_founding(signed, coordinator_key).map(|_| ())?,
                Some(current) if version > current => self.pin(signed).map(|_| ())?,
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn verify(&self, signed: &SignedRoster) -> Result<VerifiedRoster, RosterFault> {
        match &self.current {
            None => signed.verify_founding(),
            Some(current) => signed.verify_successor(current),
        }
    }

    fn read_next(&self) -> Result<Option<SignedRoster>, RosterFolderFault> {
        let path = self.next_file();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(RosterFolderFault::Unavailable { path, fault }),
        };
        let signed = serde_json::from_slice(&text)
            .map_err(|fault| self.damaged(RosterFault::Malformed { fault }))?;
        Ok(Some(signed))
    }

    fn damaged(&self, fault: RosterFault) -> RosterFolderFault {
        let path = self.next_file();
        RosterFolderFault::Damaged { path, fault }
    }

    /// The file of the version after the one in force.
    fn next_file(&self) -> PathBuf {
        let version = self
            .current
            .as_ref()
            .map_or(1, |current| current.version() + 1);
        self.file(version)
    }

    fn file(&self, version: u64) -> PathBuf {
        self.path.join(format!("{version}.json"))
    }
}

/// Why a roster was not pinned.
#[derive(Debug, Error)]
pub enum RosterFolderFault {
    /// The roster is not well formed or not agreed.
    #[error(transparent)]
    Roster(#[from] RosterFault),
    /// A pinned roster that does not verify any more.
    #[error(
        "the pinned roster `{}` was changed or damaged; bring back a copy, or remove it on a member's machine: the next start fetches and verifies it again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: RosterFault,
    },
    /// The roster names another coordinator than the invitation did.
    #[error(
        "the roster names another coordinator key than the invitation; tell the other officers"
    )]
    AnotherCoordinator,
    /// Nothing is pinned.
    #[error("no roster is pinned; sign and fetch the founding roster first")]
    Empty,
    /// The folder was refused.
    #[error(transparent)]
    Folder(#[from] SecretFileFault),
    /// The operating system refused.
    #[error("cannot use `{}`", path.display())]
    Unavailable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        fault: io::Error,
    },
}
