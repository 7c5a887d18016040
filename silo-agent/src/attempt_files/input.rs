// SPDX-License-Identifier: Apache-2.0
//! The vector of one attempt before its masks: eight bytes a field, little-endian, written and read in pieces.
//!
//! Its name is the Merkle root over the digests of its pieces. Whoever reads it checks the whole first and every piece
//! again when it is used, so that what was checked is what is masked, although one piece alone is in memory.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::merkle;
use consilium_crypto::secret::Secret;
use consilium_crypto::transcript::bulk_hash;
use consilium_protocol::CHUNK_FIELDS;

use super::AttemptFiles;
use crate::durable_file::{self, FileFault};

/// The vector while it is being written. Dropped before its end, it leaves nothing.
#[derive(Debug)]
pub(crate) struct InputWriter {
    files: AttemptFiles,
    file: File,
    /// Where it grows, and where it lies once it is whole.
    beside: PathBuf,
    path: PathBuf,
    piece: Vec<u8>,
    leaves: Vec<Digest>,
}

impl InputWriter {
    pub(super) fn create(files: &AttemptFiles, path: PathBuf) -> Result<InputWriter, FileFault> {
        let _writing = files.writing(&path)?;
        let mut beside = path.clone().into_os_string();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .map_err(FileFault::io(&beside, "created"))?;
        Ok(InputWriter {
            files: files.clone(),
            file,
            beside,
            path,
            piece: Vec::with_capacity(PIECE_BYTES),
            leaves: Vec::new(),
        })
    }

    /// Appends fields.
    pub(crate) fn push(&mut self, fields: &[i64]) -> Result<(), FileFault> {
        for field in fields {
            self.piece.extend_from_slice(&field.to_le_bytes());
            if self.piece.len() == PIECE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Makes the vector durable and names it.
    pub(crate) fn finish(mut self) -> Result<Digest, FileFault> {
        if !self.piece.is_empty() {
            self.flush()?;
        }
        let _writing = self.files.writing_on(&self.beside)?;
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.beside, &self.path))
            .map_err(FileFault::io(&self.path, "written"))?;
        durable_file::sync_folder_of(&self.path)?;
        Ok(merkle::root(&self.leaves))
    }

    fn flush(&mut self) -> Result<(), FileFault> {
        let _writing = self.files.writing_on(&self.beside)?;
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let piece = Secret::new(piece);
        self.leaves.push(leaf(piece.expose()));
        self.file
            .write_all(piece.expose())
            .map_err(FileFault::io(&self.beside, "written"))
    }
}

impl Drop for InputWriter {
    fn drop(&mut self) {
        drop(Secret::new(std::mem::take(&mut self.piece)));
        let _writing = self.files.closed.read();
        // Nothing lies there any more once it has its name. What cannot be erased now goes with the attempt.
        let _ = durable_file::erase(&self.beside);
    }
}

/// The stored vector, read from its beginning.
#[derive(Debug)]
pub(crate) struct InputReader {
    file: File,
    path: PathBuf,
    leaves: std::vec::IntoIter<Digest>,
}

impl InputReader {
    pub(super) fn open(
        path: PathBuf,
        named: &Digest,
        fields: u64,
    ) -> Result<InputReader, FileFault> {
        let mut file = durable_file::open_secret(&path)?;
        let length = file.metadata().map_err(FileFault::io(&path, "inspected"))?;
        if Some(length.len()) != fields.checked_mul(8) {
            return Err(FileFault::OtherVector(path));
        }
        let leaves = leaves(&mut file, &path)?;
        if merkle::root(&leaves) != *named {
            return Err(FileFault::OtherVector(path));
        }
        file.seek(SeekFrom::Start(0))
            .map_err(FileFault::io(&path, "read"))?;
        Ok(InputReader {
            file,
            path,
            leaves: leaves.into_iter(),
        })
    }

    /// The fields of the next piece; none at the end. Every piece but the last has as many as a chunk of an upload.
    pub(crate) fn next_piece(&mut self) -> Result<Vec<i64>, FileFault> {
        let Some(expected) = self.leaves.next() else {
            return Ok(Vec::new());
        };
        let piece = read_piece(&mut self.file, &self.path)?;
        // SECURITY: the file may have been changed since the whole of it was looked at.
        if leaf(piece.expose()) != expected {
            return Err(FileFault::OtherVector(self.path.clone()));
        }
        let (fields, _) = piece.expose().as_chunks::<8>();
        Ok(fields
            .iter()
            .map(|field| i64::from_le_bytes(*field))
            .collect())
    }
}

/// Names the vector that lies there.
pub(super) fn name_of(path: &Path) -> Result<Digest, FileFault> {
    let mut file = durable_file::open_secret(path)?;
    Ok(merkle::root(&leaves(&mut file, path)?))
}

fn leaves(file: &mut File, path: &Path) -> Result<Vec<Digest>, FileFault> {
    let mut leaves = Vec::new();
    loop {
        let piece = read_piece(file, path)?;
        if piece.expose().is_empty() {
            return Ok(leaves);
        }
        leaves.push(leaf(piece.expose()));
    }
}

fn leaf(piece: &[u8]) -> Digest {
    merkle::leaf_hash(bulk_hash(Label::VectorInput, piece).as_bytes())
}

fn read_piece(file: &mut File, path: &Path) -> Result<Secret<Vec<u8>>, FileFault> {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let read = file.take(PIECE_BYTES as u64).read_to_end(&mut piece);
    let piece = Secret::new(piece);
    read.map_err(FileFault::io(path, "read"))?;
    Ok(piece)
}

/// As many fields as a chunk of an upload has.
const PIECE_BYTES: usize = 8 * CHUNK_FIELDS as usize;
