// SPDX-License-Identifier: Apache-2.0
//! The files of one participant. This is the only place of the crate that touches a disk.
//!
//! | file in `identity/` | what | mode |
//! |---|---|---|
//! | `identity.json` | role and name | 0644 |
//! | `identity.key` | Ed25519, signs statements | 0600 |
//! | `witness.key` (silo), `log.key` (coordinator) | Ed25519, signs log heads | 0600 |
//! | `tls.key` | P-256, ends TLS connections | 0600 |
//! | `tls.crt` | the chain to present | 0644 |
//! | `authority.crt` | whom to believe | 0644 |
//! | `authority.key` | the authority's key, where the operator keeps it | 0600 |
//!
//! `roster/<version>.json` holds every roster pinned so far, each with its signatures.

pub mod identity_folder;
pub mod lock;
pub mod roster_folder;
pub mod secret_file;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file that everybody may read, whole or not at all.
pub fn write_public(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, 0o644)
}

/// Puts a file in the place of another, so that a crash leaves the old one or the new one.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = write_temporary(path, bytes, mode)?;
    let renamed = fs::rename(&temporary, path);
    if renamed.is_err() {
        // The first fault is the one worth telling.
        let _ = fs::remove_file(&temporary);
    }
    renamed?;
    sync_parent(path)
}

/// Puts a file where none is; one that is there already stays.
fn place(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = write_temporary(path, bytes, mode)?;
    let linked = fs::hard_link(&temporary, path);
    let removed = fs::remove_file(&temporary);
    linked?;
    removed?;
    sync_parent(path)
}

fn write_temporary(path: &Path, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_string_lossy();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_file_name(format!(".{name}.{}.{count}.new", std::process::id()));
    match fs::remove_file(&temporary) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
        Err(_) | Ok(()) => {}
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    if let Err(fault) = written {
        let _ = fs::remove_file(&temporary);
        return Err(fault);
    }
    Ok(temporary)
}

/// Makes a rename in the folder of `path` outlast a power cut.
fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        Some(_) | None => File::open(".")?.sync_all(),
    }
}
