// SPDX-License-Identifier: Apache-2.0
//! Files that only their owner may read.
//!
//! They are written whole or not at all with mode 0600. A file that others may read or write is
//! refused, with the command that mends it: its content is to be taken as known.

use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use consilium_crypto::secret::Secret;
use thiserror::Error;
use zeroize::Zeroize;

/// Writes a secret, in the place of whatever was there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), SecretFileFault> {
    super::replace(path, bytes, 0o600).map_err(|fault| unavailable(path, "write", fault))
}

/// Writes a secret where no file is yet.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), SecretFileFault> {
    super::place(path, bytes, 0o600).map_err(|fault| match fault.kind() {
        io::ErrorKind::AlreadyExists => SecretFileFault::Exists {
            path: path.to_owned(),
        },
        _ => unavailable(path, "write", fault),
    })
}

/// Reads a secret, if nobody else can.
pub fn read(path: &Path) -> Result<Secret<Vec<u8>>, SecretFileFault> {
    let mut file = File::open(path).map_err(|fault| match fault.kind() {
        io::ErrorKind::NotFound => SecretFileFault::Missing {
            path: path.to_owned(),
        },
        _ => unavailable(path, "read", fault),
    })?;
    // SECURITY: the open file is examined, not the path, which might name another file by then.
    let facts = file
        .metadata()
        .map_err(|fault| unavailable(path, "read", fault))?;
    if !facts.is_file() {
        return Err(SecretFileFault::NotAFile {
            path: path.to_owned(),
        });
    }
    if facts.mode() & 0o077 != 0 {
        return Err(SecretFileFault::Exposed {
            path: path.to_owned(),
            mode: facts.mode() & 0o777,
        });
    }
    let length = usize::try_from(facts.len()).unwrap_or(usize::MAX);
    if length > LONGEST_SECRET {
        return Err(SecretFileFault::TooLong {
            path: path.to_owned(),
        });
    }
    // Room for all of it and a byte more: growing would leave copies behind.
    let mut bytes = Vec::with_capacity(length + 1);
    let limit = u64::try_from(length).unwrap_or(u64::MAX);
    let read = file.by_ref().take(limit).read_to_end(&mut bytes);
    match read {
        Ok(_) => Ok(Secret::new(bytes)),
        Err(fault) => {
            bytes.zeroize();
            Err(unavailable(path, "read", fault))
        }
    }
}

/// Makes a folder, and those it is in, that only the owner may look into. One that exists is checked.
pub fn create_folder(path: &Path) -> Result<(), SecretFileFault> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|fault| unavailable(path, "create", fault))?;
    check_folder(path)
}

/// Refuses a folder in which others could replace files.
pub fn check_folder(path: &Path) -> Result<(), SecretFileFault> {
    let facts = path
        .metadata()
        .map_err(|fault| unavailable(path, "read", fault))?;
    if facts.mode() & 0o022 != 0 {
        return Err(SecretFileFault::OpenFolder {
            path: path.to_owned(),
            mode: facts.mode() & 0o777,
        });
    }
    Ok(())
}

/// Why a secret was not read or written.
#[derive(Debug, Error)]
pub enum SecretFileFault {
    /// Others may read or write it.
    #[error(
        "`{}` has mode {mode:03o}, so others may have read it; run `chmod 600 {}` and replace the secret if they could have",
        path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others may put files there.
    #[error("others may write in `{}` (mode {mode:03o}); run `chmod 700 {}`", path.display(), path.display())]
    OpenFolder {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not there.
    #[error("`{}` does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is there, and must not be overwritten.
    #[error("`{}` exists already and is not overwritten; move it away first", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A folder, pipe or device.
    #[error("`{}` is not a regular file", path.display())]
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// Too long to be a secret of ours.
    #[error("`{}` is too long to be a secret of this software", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Unavailable {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system says.
        #[source]
        fault: io::Error,
    },
}

fn unavailable(path: &Path, action: &'static str, fault: io::Error) -> SecretFileFault {
    SecretFileFault::Unavailable {
        path: path.to_owned(),
        action,
        fault,
    }
}

const LONGEST_SECRET: usize = 64 << 20;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_written_for_its_owner_only_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed");
        write(&path, b"first").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().expose(), b"second");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_with_the_command_that_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        write(&path, b"seed").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o644, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let said = read(&path).unwrap_err().to_string();
            assert!(
                said.contains(&format!("chmod 600 {}", path.display())),
                "{said}"
            );
            assert!(said.contains(&format!("{mode:o}")), "{said}");
        }
    }

    #[test]
    fn a_new_secret_never_replaces_an_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed");
        write_new(&path, b"first").unwrap();
        assert!(matches!(
            write_new(&path, b"second"),
            Err(SecretFileFault::Exists { .. })
        ));
        assert_eq!(read(&path).unwrap().expose(), b"first");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_or_nothing_at_all_is_not_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            read(folder.path()),
            Err(SecretFileFault::NotAFile { .. })
        ));
        let missing = folder.path().join("missing");
        assert!(matches!(
            read(&missing),
            Err(SecretFileFault::Missing { .. })
        ));
    }

    #[test]
    fn a_folder_that_others_may_write_in_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a").join("b");
        create_folder(&inner).unwrap();
        assert_eq!(inner.metadata().unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&inner, Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(
            create_folder(&inner),
            Err(SecretFileFault::OpenFolder { .. })
        ));
    }
}
