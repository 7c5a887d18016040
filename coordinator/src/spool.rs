// SPDX-License-Identifier: Apache-2.0
//! Bytes too large for the database.
//!
//! ```text
//! blobs/sha256/ab/abcd..                          sums and results, named by their SHA-256
//! blobs/uploads/<epoch.round.attempt>/<silo>      a masked vector as it arrives, chunk after chunk
//! blobs/uploads/<epoch.round.attempt>/<silo>+announced    what its silo signed, and the digest of every chunk
//! blobs/uploads/<epoch.round.attempt>/+deals              what silos sealed for each other
//! blobs/uploads/<epoch.round.attempt>/+reveals            what silos revealed, as they signed it
//! ```
//!
//! Masked vectors, deals and reveals belong to their attempt and go with it; nothing is shared with results. Neither they nor sums
//! are ever held in memory as a whole.
//!
//! INVARIANT: what is acknowledged has reached the disk, file and folder.

mod announcement;
mod blob;
mod kept;
mod pieces;
mod upload;

pub use announcement::Announcement;
pub use blob::{BlobReader, BlobWriter};
use consilium_crypto::digest::Digest;
use consilium_crypto::transcript::sha256;
use consilium_protocol::{AttemptId, ChunkSource, Envelope, SiloName};
use kept::Kept;
pub use kept::{AttemptDeals, AttemptReveals};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
pub use upload::{Progress, Upload};

/// The blobs of one coordinator.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    uploads: Mutex<Uploads>,
    deals: Kept,
    reveals: Kept,
    next_temporary: AtomicU64,
}

/// Each locked by itself, so that no silo's chunks wait for another's disk.
type Uploads = BTreeMap<(AttemptId, SiloName), Arc<Mutex<Upload>>>;

/// Why bytes could not be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum SpoolFault {
    /// The disk failed.
    #[error("`{path}` cannot be read or written; check the disk of the coordinator's folder")]
    Disk {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A chunk of a vector whose root the silo has not signed yet.
    #[error("chunk {index} came before the message that signs the root of its upload")]
    NotAnnounced {
        /// Which chunk.
        index: u64,
    },
    /// Another root than the one that the silo signed first.
    #[error("an upload with another root has begun in this attempt")]
    OtherRoot,
    /// A chunk before the one that it follows.
    #[error("chunk {index} came where chunk {expected} was expected")]
    OutOfTurn {
        /// Which chunk.
        index: u64,
        /// Which one is missing.
        expected: u64,
    },
    /// Bytes that are not those of the signed root.
    #[error(
        "chunk {index} is not the one under the signed root: its digest is {received} and not {announced}"
    )]
    OtherChunk {
        /// Which chunk.
        index: u64,
        /// The digest under the signed root.
        announced: Digest,
        /// The digest of what came.
        received: Digest,
    },
    /// Bytes of the signed root that are no packed words.
    #[error("chunk {index} has a bit set where no word is")]
    NotPacked {
        /// Which chunk.
        index: u64,
    },
    /// A blob whose bytes do not hash to its name.
    #[error("the blob `{0}` is damaged; restore the folder from a backup")]
    Damaged(Digest),
}

impl SpoolFault {
    pub(crate) fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { path, source }
    }
}

impl Spool {
    /// Opens the folder, and makes it when it is missing.
    pub fn open(folder: &Path) -> Result<Self, SpoolFault> {
        for part in ["sha256", "uploads"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(SpoolFault::disk(&path))?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            uploads: Mutex::default(),
            deals: Kept::default(),
            reveals: Kept::default(),
            next_temporary: AtomicU64::new(0),
        })
    }

    /// Keeps bytes and names them.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, SpoolFault> {
        let digest = sha256(bytes);
        let path = self.path_of(&digest);
        self.write_once(&path, &[bytes])
            .map_err(SpoolFault::disk(&path))?;
        Ok(digest)
    }

    /// The bytes of this name, which are few.
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>, SpoolFault> {
        let path = self.path_of(digest);
        let bytes = fs::read(&path).map_err(SpoolFault::disk(&path))?;
        if sha256(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(SpoolFault::Damaged(*digest))
        }
    }

    /// Begins a blob that is written piece by piece.
    pub fn writer(&self) -> Result<BlobWriter<'_>, SpoolFault> {
        BlobWriter::new(self)
    }

    /// Opens a blob that is read piece by piece.
    pub fn reader(&self, digest: &Digest) -> Result<BlobReader, SpoolFault> {
        BlobReader::open(self.path_of(digest), *digest)
    }

    /// Begins a silo's upload, or finds it as far as it has come.
    ///
    /// # Errors
    /// [`SpoolFault::OtherRoot`] when an upload with another root has begun.
    pub fn announce(
        &self,
        id: AttemptId,
        silo: &SiloName,
        announcement: &Announcement,
        digests: &[Digest],
    ) -> Result<Progress, SpoolFault> {
        let path = self.announced_path(id, silo);
        if !path.exists() {
            let header = announcement.header();
            let digests: Vec<u8> = digests
                .iter()
                .flat_map(|digest| *digest.as_bytes())
                .collect();
            self.write_once(&path, &[&header, &digests])
                .map_err(SpoolFault::disk(&path))?;
        }
        let upload = self.upload(id, silo)?;
        let upload = upload.ok_or(SpoolFault::NotAnnounced { index: 0 })?;
        // One attempt is in flight at a time: what is known of earlier ones is on the disk.
        self.lock().retain(|(known, _), _| *known == id);
        let mut upload = upload.lock().unwrap_or_else(PoisonError::into_inner);
        if upload.root() != announcement.root {
            return Err(SpoolFault::OtherRoot);
        }
        upload.sync()
    }

    /// Writes the next chunk of a silo's upload, and does not wait for the disk. A repeat changes nothing.
    ///
    /// # Errors
    /// [`SpoolFault`] when it is not the next one or not what the silo signed.
    pub fn append(
        &self,
        id: AttemptId,
        silo: &SiloName,
        index: u64,
        bytes: &[u8],
        is_packed: impl FnOnce(&[u8]) -> bool,
    ) -> Result<(), SpoolFault> {
        let upload = self.upload(id, silo)?;
        let upload = upload.ok_or(SpoolFault::NotAnnounced { index })?;
        let mut upload = upload.lock().unwrap_or_else(PoisonError::into_inner);
        upload.append(index, bytes, is_packed)
    }

    /// Waits until everything that was appended to an upload is on the disk.
    pub fn sync(&self, id: AttemptId, silo: &SiloName) -> Result<Option<Progress>, SpoolFault> {
        match self.upload(id, silo)? {
            Some(upload) => {
                let mut upload = upload.lock().unwrap_or_else(PoisonError::into_inner);
                upload.sync().map(Some)
            }
            None => Ok(None),
        }
    }

    /// How far a silo's upload has come, if it has begun.
    pub fn progress(&self, id: AttemptId, silo: &SiloName) -> Result<Option<Progress>, SpoolFault> {
        let upload = self.upload(id, silo)?;
        Ok(upload.map(|upload| {
            let upload = upload.lock().unwrap_or_else(PoisonError::into_inner);
            upload.progress()
        }))
    }

    /// The message in which a silo signed the root of its upload, and the digests under that root.
    pub fn announced(
        &self,
        id: AttemptId,
        silo: &SiloName,
    ) -> Result<Option<(Envelope, Vec<Digest>)>, SpoolFault> {
        let Some(upload) = self.upload(id, silo)? else {
            return Ok(None);
        };
        let upload = upload.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = upload
            .digests()
            .map_err(SpoolFault::disk(&self.announced_path(id, silo)))?;
        let (digests, _) = bytes.as_chunks::<32>();
        let digests = digests.iter().copied().map(Digest::from_bytes).collect();
        Ok(Some((upload.signed().clone(), digests)))
    }

    /// Reads everything of an upload again: whether it still is what the silo signed.
    pub fn is_undamaged(&self, id: AttemptId, silo: &SiloName) -> Result<bool, SpoolFault> {
        let path = self.announced_path(id, silo);
        let again = Upload::open(self.upload_path(id, silo), &path)?;
        Ok(again.is_some_and(|upload| upload.progress().is_complete()))
    }

    /// An upload, whose chunks are counted the first time that it is asked for.
    fn upload(
        &self,
        id: AttemptId,
        silo: &SiloName,
    ) -> Result<Option<Arc<Mutex<Upload>>>, SpoolFault> {
        let key = (id, silo.clone());
        if let Some(known) = self.lock().get(&key) {
            return Ok(Some(Arc::clone(known)));
        }
        let announced = self.announced_path(id, silo);
        let Some(upload) = Upload::open(self.upload_path(id, silo), &announced)? else {
            return Ok(None);
        };
        // Whoever was quicker has the one that counts.
        let mut uploads = self.lock();
        let upload = uploads
            .entry(key)
            .or_insert_with(|| Arc::new(Mutex::new(upload)));
        Ok(Some(Arc::clone(upload)))
    }

    /// The chunks of one attempt, for the unmasking.
    #[must_use]
    pub fn chunks_of(self: &Arc<Self>, id: AttemptId) -> AttemptChunks {
        AttemptChunks {
            spool: Arc::clone(self),
            id,
        }
    }

    /// Reads `length` bytes of a blob from `offset` on. Whoever asks knows their digest.
    pub fn piece(
        &self,
        digest: &Digest,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, SpoolFault> {
        let path = self.path_of(digest);
        let mut bytes = vec![0; length];
        File::open(&path)
            .and_then(|file| file.read_exact_at(&mut bytes, offset))
            .map_err(SpoolFault::disk(&path))?;
        Ok(bytes)
    }

    /// Deletes masked vectors that are older than `age`, but not those of the attempt in flight.
    pub fn forget_uploads(
        &self,
        age: Duration,
        in_flight: Option<AttemptId>,
    ) -> Result<(), SpoolFault> {
        let spared = in_flight.map(|id| id.to_string());
        let folder = self.folder.join("uploads");
        let disk = |source| SpoolFault::Disk {
            path: folder.clone(),
            source,
        };
        let limit = SystemTime::now()
            .checked_sub(age)
            .unwrap_or(SystemTime::UNIX_EPOCH);
        for attempt in fs::read_dir(&folder).map_err(disk)? {
            let attempt = attempt.map_err(disk)?;
            let name = attempt.file_name();
            let modified = attempt.metadata().and_then(|data| data.modified());
            if spared.as_deref().is_some_and(|spared| name == spared)
                || modified.map_err(disk)? > limit
            {
                continue;
            }
            self.lock()
                .retain(|(id, _), _| name != id.to_string().as_str());
            for kept in [&self.deals, &self.reveals] {
                kept.close_if(|id| name == id.to_string().as_str());
            }
            fs::remove_dir_all(attempt.path()).map_err(disk)?;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Uploads> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a blob lies.
    #[must_use]
    pub fn path_of(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        let shelf = name.get(..2).unwrap_or_default();
        self.folder.join("sha256").join(shelf).join(&name)
    }

    /// Where the masked vector of a silo lies.
    #[must_use]
    pub fn upload_path(&self, id: AttemptId, silo: &SiloName) -> PathBuf {
        self.attempt_folder(id).join(silo.as_str())
    }

    fn announced_path(&self, id: AttemptId, silo: &SiloName) -> PathBuf {
        // No silo has a `+` in its name.
        self.attempt_folder(id).join(format!("{silo}+announced"))
    }

    fn attempt_folder(&self, id: AttemptId) -> PathBuf {
        self.folder.join("uploads").join(id.to_string())
    }

    /// A file beside which nothing has this name yet.
    fn temporary(&self, folder: &Path) -> PathBuf {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        folder.join(format!(".{}.{number}", std::process::id()))
    }

    fn write_once(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        if path.exists() {
            return Ok(());
        }
        let shelf = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        make_folder(shelf)?;
        let temporary = self.temporary(shelf);
        let mut file = File::create(&temporary)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(shelf)?.sync_all()
    }
}

/// The uploads of one attempt.
#[derive(Clone, Debug)]
pub struct AttemptChunks {
    spool: Arc<Spool>,
    id: AttemptId,
}

impl AttemptChunks {
    /// The announced digests of all chunks of a silo's upload, one after another.
    pub fn digests(&self, silo: &SiloName) -> io::Result<Vec<u8>> {
        let upload = self
            .spool
            .upload(self.id, silo)
            .map_err(io::Error::other)?
            .ok_or(io::ErrorKind::NotFound)?;
        let upload = upload.lock().unwrap_or_else(PoisonError::into_inner);
        upload.digests()
    }
}

impl ChunkSource for AttemptChunks {
    fn chunk(&self, silo: &SiloName, index: u64) -> io::Result<Vec<u8>> {
        let upload = self
            .spool
            .upload(self.id, silo)
            .map_err(io::Error::other)?
            .ok_or(io::ErrorKind::NotFound)?;
        let upload = upload.lock().unwrap_or_else(PoisonError::into_inner);
        upload.chunk(index)
    }
}

/// Makes a folder and those above it, so that they are still there after a loss of power.
fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_folder(above)?;
        fs::create_dir_all(path)?;
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
