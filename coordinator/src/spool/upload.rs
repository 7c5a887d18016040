// SPDX-License-Identifier: Apache-2.0
//! One masked vector on its way in: a file that grows chunk by chunk, each checked against its announced digest.
//!
//! How far it has come is nowhere written down: after a restart the chunks that are there whole are counted by their
//! digests, so that neither a torn write nor a lost one is taken for a chunk.

use super::SpoolFault;
use super::announcement::{Announcement, digest_at};
use consilium_crypto::digest::Digest;
use consilium_protocol::{Envelope, chunk_digest};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A masked vector that is being received. Nothing of it is in memory, and no file stays open: there may be hundreds.
#[derive(Debug)]
pub struct Upload {
    announcement: Announcement,
    /// The file that holds the digests, and where they begin.
    announced: (PathBuf, u64),
    path: PathBuf,
    /// Whether the file of chunks is there under its name, for good.
    created: bool,
    /// Chunks that were written.
    written: u64,
    /// Chunks that are on the disk.
    held: u64,
}

/// How far an upload has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The root that the silo signed.
    pub root: Digest,
    /// Chunks that are on the disk, from the first one on.
    pub held: u64,
    /// Chunks that there will be.
    pub count: u64,
    /// Bytes that are on the disk.
    pub bytes: u64,
}

impl Progress {
    /// Whether all of it is there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.held == self.count
    }
}

impl Upload {
    /// Opens what there is of an upload; `None` when it was never announced. Changes nothing: another process may be
    /// receiving it.
    pub(super) fn open(path: PathBuf, announced: &Path) -> Result<Option<Self>, SpoolFault> {
        let mut file = match File::open(announced) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(SpoolFault::disk(announced)(fault)),
        };
        let (announcement, start) =
            Announcement::read(&mut file).map_err(SpoolFault::disk(announced))?;
        let data = match File::open(&path) {
            Ok(file) => Some(file),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => None,
            Err(fault) => return Err(SpoolFault::disk(&path)(fault)),
        };
        let mut upload = Self {
            announcement,
            announced: (announced.to_owned(), start),
            path,
            created: false,
            written: 0,
            held: 0,
        };
        if let Some(data) = data {
            upload.count(&data, &file)?;
        }
        Ok(Some(upload))
    }

    /// Counts the chunks that are there whole.
    fn count(&mut self, data: &File, announced: &File) -> Result<(), SpoolFault> {
        let mut chunk = Vec::new();
        let there = data.metadata().map_err(SpoolFault::disk(&self.path))?.len();
        while self.written < self.announcement.count() {
            let (start, length) = self.announcement.place(self.written);
            let bytes = u64::try_from(length).unwrap_or(u64::MAX);
            if start.checked_add(bytes).is_none_or(|end| end > there) {
                break;
            }
            chunk.resize(length, 0);
            match data.read_exact_at(&mut chunk, start) {
                Ok(()) => {}
                Err(fault) if fault.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(fault) => return Err(SpoolFault::disk(&self.path)(fault)),
            }
            let digest = digest_at(announced, self.announced.1, self.written)
                .map_err(SpoolFault::disk(&self.announced.0))?;
            if chunk_digest(&chunk) != digest {
                break;
            }
            self.written += 1;
        }
        // On the disk they are only once somebody has waited for it; what was acknowledged is.
        self.held = self.written;
        Ok(())
    }

    pub(super) fn root(&self) -> Digest {
        self.announcement.root
    }

    pub(super) fn signed(&self) -> &Envelope {
        &self.announcement.signed
    }

    /// Writes the next chunk. The digest is looked at first: what is not under the signed root is nothing that the silo
    /// said.
    pub(super) fn append(
        &mut self,
        index: u64,
        bytes: &[u8],
        is_packed: impl FnOnce(&[u8]) -> bool,
    ) -> Result<(), SpoolFault> {
        if index > self.written || index >= self.announcement.count() {
            return Err(SpoolFault::OutOfTurn {
                index,
                expected: self.written,
            });
        }
        let (announced, received) = (self.digest(index)?, chunk_digest(bytes));
        if announced != received {
            return Err(SpoolFault::OtherChunk {
                index,
                announced,
                received,
            });
        }
        if index < self.written {
            return Ok(());
        }
        if !is_packed(bytes) {
            return Err(SpoolFault::NotPacked { index });
        }
        let (start, _) = self.announcement.place(index);
        self.writable()
            .and_then(|file| file.write_all_at(bytes, start))
            .map_err(SpoolFault::disk(&self.path))?;
        self.written += 1;
        Ok(())
    }

    /// Waits for the disk.
    pub(super) fn sync(&mut self) -> Result<Progress, SpoolFault> {
        if self.held < self.written || (!self.created && self.written > 0) {
            self.writable()
                .and_then(|file| file.sync_data())
                .map_err(SpoolFault::disk(&self.path))?;
            self.held = self.written;
        }
        Ok(self.progress())
    }

    pub(super) fn progress(&self) -> Progress {
        let (bytes, _) = self.announcement.place(self.held);
        Progress {
            root: self.announcement.root,
            held: self.held,
            count: self.announcement.count(),
            bytes,
        }
    }

    /// The bytes of a chunk that is on the disk.
    pub(super) fn chunk(&self, index: u64) -> io::Result<Vec<u8>> {
        if index >= self.held {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (start, length) = self.announcement.place(index);
        let mut bytes = vec![0; length];
        File::open(&self.path)?.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }

    /// The announced digests of all chunks, one after another.
    pub(super) fn digests(&self) -> io::Result<Vec<u8>> {
        let (path, start) = &self.announced;
        let length = self.announcement.count().saturating_mul(32);
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        File::open(path)?.read_exact_at(&mut bytes, *start)?;
        Ok(bytes)
    }

    fn digest(&self, index: u64) -> Result<Digest, SpoolFault> {
        let (path, start) = &self.announced;
        File::open(path)
            .and_then(|file| digest_at(&file, *start, index))
            .map_err(SpoolFault::disk(path))
    }

    /// The file to write to, made durable with its name when it is new.
    fn writable(&mut self) -> io::Result<File> {
        let file = OpenOptions::new()
            .write(true)
            .create(!self.created)
            .truncate(false)
            .open(&self.path)?;
        if !self.created {
            let folder = self.path.parent().ok_or(io::ErrorKind::InvalidInput)?;
            File::open(folder)?.sync_all()?;
            self.created = true;
        }
        Ok(file)
    }
}
