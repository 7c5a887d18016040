// SPDX-License-Identifier: Apache-2.0
//! Files that are either there whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::LogFault;

/// Puts `bytes` at `path`: temporary file, fsync, rename, fsync of the folder.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), LogFault> {
    replace(path, bytes).map_err(io_fault(path))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(folder)
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The content of a file, `None` when there is none.
pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, LogFault> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(io_fault(path)(fault)),
    }
}

/// The sizes for which `checkpoints/<size>.note` exists, ascending.
pub(super) fn noted_sizes(directory: &Path) -> Result<Vec<u64>, LogFault> {
    let folder = directory.join(CHECKPOINTS);
    let mut sizes = Vec::new();
    let files = match fs::read_dir(&folder) {
        Ok(files) => files,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(sizes),
        Err(fault) => return Err(io_fault(&folder)(fault)),
    };
    for file in files {
        let file = file.map_err(io_fault(&folder))?;
        let name = file.file_name();
        sizes.extend(
            name.to_str()
                .and_then(|name| name.strip_suffix(".note"))
                .and_then(|size| size.parse::<u64>().ok()),
        );
    }
    sizes.sort_unstable();
    Ok(sizes)
}

/// Where the note of a size is.
pub(super) fn note_path(directory: &Path, size: u64) -> PathBuf {
    directory.join(CHECKPOINTS).join(format!("{size}.note"))
}

/// Names the file in a fault.
pub(super) fn io_fault(path: &Path) -> impl FnOnce(io::Error) -> LogFault {
    let path = path.to_owned();
    move |source| LogFault::Io { path, source }
}

pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const CHECKPOINTS: &str = "checkpoints";
pub(super) const ENTRIES: &str = "entries.jsonl";
pub(super) const OBJECTS: &str = "objects/sha256";
pub(super) const TRUST_POLICY: &str = "trust.policy";
pub(super) const WAL: &str = "wal";
