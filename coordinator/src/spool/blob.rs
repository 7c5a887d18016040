// SPDX-License-Identifier: Apache-2.0
//! Blobs too large for memory: written and read piece by piece, under the SHA-256 of the whole.

use super::{Spool, SpoolFault, make_folder};
use consilium_crypto::digest::Digest;
use consilium_crypto::transcript::Sha256Stream;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// A blob that is being written. Dropped before its end, it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter<'spool> {
    spool: &'spool Spool,
    path: PathBuf,
    file: File,
    hash: Sha256Stream,
}

impl<'spool> BlobWriter<'spool> {
    pub(super) fn new(spool: &'spool Spool) -> Result<Self, SpoolFault> {
        let shelf = spool.folder.join("sha256");
        let path = spool.temporary(&shelf);
        let file = File::create(&path).map_err(SpoolFault::disk(&path))?;
        Ok(Self {
            spool,
            path,
            file,
            hash: Sha256Stream::default(),
        })
    }

    /// Adds a piece.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), SpoolFault> {
        self.hash.update(piece);
        self.file
            .write_all(piece)
            .map_err(SpoolFault::disk(&self.path))
    }

    /// Makes the blob durable and names it.
    pub fn finish(self) -> Result<Digest, SpoolFault> {
        let digest = self.hash.clone().finish();
        let named = self.spool.path_of(&digest);
        let kept = (|| {
            self.file.sync_all()?;
            let shelf = named.parent().ok_or(io::ErrorKind::InvalidInput)?;
            make_folder(shelf)?;
            fs::rename(&self.path, &named)?;
            File::open(shelf)?.sync_all()
        })();
        kept.map_err(SpoolFault::disk(&named))?;
        Ok(digest)
    }
}

impl Drop for BlobWriter<'_> {
    fn drop(&mut self) {
        // Under its own name the blob stays; under the temporary one there is nothing then.
        fs::remove_file(&self.path).ok();
    }
}

/// A blob that is being read. Its last piece comes only if the whole is what its name says.
#[derive(Debug)]
pub struct BlobReader {
    path: PathBuf,
    file: File,
    name: Digest,
    left: u64,
    hash: Sha256Stream,
}

impl BlobReader {
    pub(super) fn open(path: PathBuf, name: Digest) -> Result<Self, SpoolFault> {
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (left, file) = opened.map_err(SpoolFault::disk(&path))?;
        Ok(Self {
            path,
            file,
            name,
            left,
            hash: Sha256Stream::default(),
        })
    }

    /// Bytes that have not been read.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next `most` bytes, or what is left of them; `None` at the end.
    ///
    /// # Errors
    /// [`SpoolFault::Damaged`] in place of the last piece when the bytes do not hash to the name.
    pub fn next(&mut self, most: usize) -> Result<Option<Vec<u8>>, SpoolFault> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(most);
        if length == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; length];
        self.file
            .read_exact(&mut piece)
            .map_err(SpoolFault::disk(&self.path))?;
        self.hash.update(&piece);
        self.left -= u64::try_from(length).unwrap_or(self.left);
        if self.left == 0 && self.hash.clone().finish() != self.name {
            return Err(SpoolFault::Damaged(self.name));
        }
        Ok(Some(piece))
    }
}
