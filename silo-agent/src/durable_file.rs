// SPDX-License-Identifier: Apache-2.0
//! Files that are either whole or absent after a crash, and secrets that nobody else can read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why a file of the silo's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// The operating system refused.
    #[error("`{}` cannot be {action}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file that is not what the journal says.
    #[error("`{}` is not the vector that the journal names", .0.display())]
    OtherVector(PathBuf),
    /// A thread of an agent that has ended.
    #[error("the agent has ended: `{}` is not written any more", .0.display())]
    Closed(PathBuf),
    /// A thread of an attempt that is over.
    #[error("the attempt is over: `{}` was erased", .0.display())]
    Erased(PathBuf),
    /// A secret that others can read.
    #[error("`{}` can be read by others (mode {mode:03o}): run `chmod 600 {}`", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl FileFault {
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> FileFault {
        let path = path.to_owned();
        move |source| FileFault::Io {
            path,
            action,
            source,
        }
    }
}

/// Writes the file whole: beside it first, then fsync, rename, fsync of the folder.
pub(crate) fn write(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), FileFault> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&beside)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    written.map_err(FileFault::io(path, "written"))?;
    sync_folder_of(path)
}

/// Writes a secret whole, readable by its owner alone.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), FileFault> {
    write(path, 0o600, bytes)
}

/// Opens a secret after checking that its owner alone can read it.
pub(crate) fn open_secret(path: &Path) -> Result<File, FileFault> {
    let file = File::open(path).map_err(FileFault::io(path, "opened"))?;
    let mode = file
        .metadata()
        .map_err(FileFault::io(path, "inspected"))?
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileFault::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(file)
}

/// Makes an empty file that its owner alone can read, if it is not there; refuses one that others can read.
pub(crate) fn private_file(path: &Path) -> Result<(), FileFault> {
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Ok(_) => sync_folder_of(path),
        Err(exists) if exists.kind() == io::ErrorKind::AlreadyExists => {
            open_secret(path).map(|_| ())
        }
        Err(fault) => Err(FileFault::io(path, "created")(fault)),
    }
}

/// Makes a folder that its owner alone can enter, if it is not there.
pub(crate) fn private_folder(path: &Path) -> Result<(), FileFault> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(FileFault::io(path, "created"))
}

/// Overwrites and removes a file that holds a secret. An absent file is no fault.
pub(crate) fn erase(path: &Path) -> Result<(), FileFault> {
    let erased = (|| {
        let mut file = match OpenOptions::new().write(true).open(path) {
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let mut left = file.metadata()?.len();
        let zeros = [0; 8192];
        while left > 0 {
            let piece = usize::try_from(left)
                .unwrap_or(zeros.len())
                .min(zeros.len());
            file.write_all(zeros.get(..piece).unwrap_or(&zeros))?;
            left = left.saturating_sub(u64::try_from(piece).unwrap_or(u64::MAX));
        }
        file.sync_all()?;
        fs::remove_file(path)
    })();
    erased.map_err(FileFault::io(path, "erased"))?;
    sync_folder_of(path)
}

/// Makes the names in the folder of `path` durable.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), FileFault> {
    // The folder of a bare name is the one that the process is in.
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    File::open(folder)
        .and_then(|opened| opened.sync_all())
        .map_err(FileFault::io(folder, "made durable"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_lies_in_the_folder_of_the_process() {
        sync_folder_of(Path::new("ledger.jsonl")).unwrap();
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_fix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_secret(&path, b"seed").unwrap();
        assert!(open_secret(&path).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let fault = open_secret(&path).unwrap_err().to_string();
        assert!(
            fault.contains("chmod 600") && fault.contains("640"),
            "{fault}"
        );
    }

    #[test]
    fn an_erased_file_is_gone_and_erasing_twice_is_harmless() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_secret(&path, &[7; 20_000]).unwrap();
        erase(&path).unwrap();
        assert!(!path.exists());
        erase(&path).unwrap();
    }
}
