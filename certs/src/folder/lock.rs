// SPDX-License-Identifier: Apache-2.0
//! One process per folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Holds a folder for this process. The operating system lets go of it when the process ends, however
/// it ends, so a lock never has to be removed by hand.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
    path: PathBuf,
}

impl FolderLock {
    /// Takes the lock file `lock` of a folder that exists.
    pub fn acquire(folder: &Path) -> Result<Self, LockFault> {
        let path = folder.join("lock");
        let unavailable = |fault| LockFault::Unavailable {
            path: path.clone(),
            fault,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(unavailable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let process = read_process(&mut file);
                return Err(LockFault::InUse {
                    folder: folder.to_owned(),
                    process,
                });
            }
            Err(TryLockError::Error(fault)) => return Err(unavailable(fault)),
        }
        file.set_len(0).map_err(unavailable)?;
        file.rewind().map_err(unavailable)?;
        writeln!(file, "{}", std::process::id()).map_err(unavailable)?;
        Ok(Self { _file: file, path })
    }

    /// Whether another process holds a folder. Looks only: the folder stays as it is.
    pub fn is_held(folder: &Path) -> bool {
        let Ok(file) = File::open(folder.join("lock")) else {
            return false;
        };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Why a folder could not be taken.
#[derive(Debug, Error)]
pub enum LockFault {
    /// Somebody has it.
    #[error(
        "folder `{}` is in use by {}; stop it first, or name another folder with `--dir`",
        folder.display(),
        process.map_or("another process".to_owned(), |process| format!("process {process}"))
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The holder's process id, if it has written it.
        process: Option<u32>,
    },
    /// The operating system refused.
    #[error("cannot take the lock `{}`", path.display())]
    Unavailable {
        /// The lock file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        fault: io::Error,
    },
}

fn read_process(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_whether_a_folder_is_held_leaves_it_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!FolderLock::is_held(folder.path()));
        assert!(!folder.path().join("lock").exists());
        let lock = FolderLock::acquire(folder.path()).unwrap();
        let holder = std::fs::read(lock.path()).unwrap();
        assert!(FolderLock::is_held(folder.path()));
        assert_eq!(std::fs::read(lock.path()).unwrap(), holder);
        drop(lock);
        assert!(!FolderLock::is_held(folder.path()));
    }

    #[test]
    fn a_folder_is_held_by_one_and_free_again_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::acquire(folder.path()).unwrap();
        let fault = FolderLock::acquire(folder.path()).unwrap_err();
        let said = fault.to_string();
        assert!(
            said.contains(&format!("in use by process {}", std::process::id())),
            "{said}"
        );
        drop(lock);
        FolderLock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn a_missing_folder_is_not_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let fault = FolderLock::acquire(&folder.path().join("missing")).unwrap_err();
        assert!(matches!(fault, LockFault::Unavailable { .. }));
    }
}
