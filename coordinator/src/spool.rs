// SPDX-License-Identifier: Apache-2.0
//! Bytes too large for the database, named by their SHA-256.
//!
//! ```text
//! blobs/sha256/ab/abcd..                                sums and results
//! blobs/uploads/<epoch.round.attempt>/<silo>            one line per chunk of a masked vector
//! blobs/uploads/<epoch.round.attempt>/+chunks/abcd..    the chunks of all silos
//! ```
//!
//! Masked vectors belong to their attempt and go with it; nothing is shared with results.
//!
//! INVARIANT: what is acknowledged has reached the disk, file and folder.

use consilium_crypto::digest::Digest;
use consilium_crypto::transcript::sha256;
use consilium_protocol::ChunkSource;
use consilium_protocol::{AttemptId, SiloName};
use consilium_protocol::{chunk_digest, upload_root};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The blobs of one coordinator.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    uploads: Mutex<BTreeMap<(AttemptId, SiloName), Upload>>,
    next_temporary: AtomicU64,
}

/// The chunks of one masked vector that are on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upload {
    chunks: BTreeMap<u64, Chunk>,
    /// Whether the file of lines ends within a line, which was never acknowledged.
    torn: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chunk {
    blob: Digest,
    digest: Digest,
    length: u64,
}

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
    /// Other bytes than before at the same place.
    #[error("`{silo}` sent two different chunks {index} of attempt {id}")]
    OtherChunk {
        /// Which attempt.
        id: AttemptId,
        /// Which silo.
        silo: SiloName,
        /// Which chunk.
        index: u64,
    },
    /// A blob whose bytes do not hash to its name.
    #[error("the blob `{0}` is damaged; restore the folder from a backup")]
    Damaged(Digest),
}

impl Spool {
    /// Opens the folder, and makes it when it is missing.
    pub fn open(folder: &Path) -> Result<Self, SpoolFault> {
        for part in ["sha256", "uploads"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(|source| SpoolFault::Disk { path, source })?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            uploads: Mutex::default(),
            next_temporary: AtomicU64::new(0),
        })
    }

    /// Keeps bytes and names them.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, SpoolFault> {
        let digest = sha256(bytes);
        let path = self.path_of(&digest);
        self.write_once(&path, bytes)
            .map_err(|source| SpoolFault::Disk { path, source })?;
        Ok(digest)
    }

    /// The bytes of this name.
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>, SpoolFault> {
        read_checked(self.path_of(digest), digest)
    }

    /// Keeps a chunk of a silo's upload and says how many are there now. A repeat of the same bytes changes nothing;
    /// other bytes are refused.
    pub fn add_chunk(
        &self,
        id: AttemptId,
        silo: &SiloName,
        index: u64,
        bytes: &[u8],
    ) -> Result<u64, SpoolFault> {
        let digest = chunk_digest(bytes);
        let known = self.with_upload(id, silo, |upload| {
            let known = upload.chunks.get(&index).map(|known| known.digest);
            (known.map(|digest| (digest, upload.count())), upload.torn)
        })?;
        let (known, torn) = known;
        match known {
            Some((known, count)) if known == digest => return Ok(count),
            Some(_) => {
                return Err(SpoolFault::OtherChunk {
                    id,
                    silo: silo.clone(),
                    index,
                });
            }
            None => {}
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let chunk = Chunk {
            blob: sha256(bytes),
            digest,
            length,
        };
        let path = self.chunk_path(id, &chunk.blob);
        self.write_once(&path, bytes)
            .map_err(|source| SpoolFault::Disk { path, source })?;
        // A torn line is ended first, so that it cannot swallow the new one.
        let end = if torn { "\n" } else { "" };
        let line = format!("{end}{index} {length} {} {digest}\n", chunk.blob);
        let path = self.lines_path(id, silo);
        append(&path, &line).map_err(|source| SpoolFault::Disk { path, source })?;
        self.with_upload(id, silo, |upload| {
            upload.chunks.insert(index, chunk);
            upload.torn = false;
            upload.count()
        })
    }

    /// What is on the disk of a silo's upload.
    pub fn upload(&self, id: AttemptId, silo: &SiloName) -> Result<Upload, SpoolFault> {
        self.with_upload(id, silo, |upload| upload.clone())
    }

    /// Looks at an upload, reading its file the first time.
    fn with_upload<T>(
        &self,
        id: AttemptId,
        silo: &SiloName,
        look: impl FnOnce(&mut Upload) -> T,
    ) -> Result<T, SpoolFault> {
        let mut uploads = self.lock();
        let upload = match uploads.entry((id, silo.clone())) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let path = self.lines_path(id, silo);
                let upload =
                    read_upload(&path).map_err(|source| SpoolFault::Disk { path, source })?;
                unknown.insert(upload)
            }
        };
        Ok(look(upload))
    }

    /// The chunks of one attempt, for the unmasking.
    #[must_use]
    pub fn chunks_of(self: &Arc<Self>, id: AttemptId) -> AttemptChunks {
        AttemptChunks {
            spool: Arc::clone(self),
            id,
        }
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
            fs::remove_dir_all(attempt.path()).map_err(disk)?;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(AttemptId, SiloName), Upload>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a blob lies.
    #[must_use]
    pub fn path_of(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        let shelf = name.get(..2).unwrap_or_default();
        self.folder.join("sha256").join(shelf).join(&name)
    }

    /// Where a chunk of an upload lies.
    #[must_use]
    pub fn chunk_path(&self, id: AttemptId, blob: &Digest) -> PathBuf {
        // No silo has a `+` in its name.
        self.attempt_folder(id)
            .join("+chunks")
            .join(blob.to_string())
    }

    fn lines_path(&self, id: AttemptId, silo: &SiloName) -> PathBuf {
        self.attempt_folder(id).join(silo.as_str())
    }

    fn attempt_folder(&self, id: AttemptId) -> PathBuf {
        self.folder.join("uploads").join(id.to_string())
    }

    fn write_once(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if path.exists() {
            return Ok(());
        }
        let shelf = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        make_folder(shelf)?;
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = shelf.join(format!(".{}.{number}", std::process::id()));
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(shelf)?.sync_all()
    }
}

impl Upload {
    /// How many chunks are there.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(self.chunks.len()).unwrap_or(u64::MAX)
    }

    /// Bytes of all chunks.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.chunks.values().map(|chunk| chunk.length).sum()
    }

    /// The Merkle root over the chunks, when exactly `count` are there.
    #[must_use]
    pub fn root(&self, count: u64) -> Option<Digest> {
        let last = count.checked_sub(1)?;
        if self.count() != count || !self.chunks.contains_key(&last) {
            return None;
        }
        let digests: Vec<Digest> = self.chunks.values().map(|chunk| chunk.digest).collect();
        Some(upload_root(&digests))
    }

    /// The names of the chunks' blobs, in order.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> + '_ {
        self.chunks.values().map(|chunk| chunk.blob)
    }

    fn read(text: &str) -> Self {
        let chunks = text.lines().filter_map(|line| {
            let mut fields = line.split(' ');
            let index = fields.next()?.parse().ok()?;
            let length = fields.next()?.parse().ok()?;
            let blob = fields.next()?.parse().ok()?;
            let digest = fields.next()?.parse().ok()?;
            Some((
                index,
                Chunk {
                    blob,
                    digest,
                    length,
                },
            ))
        });
        Self {
            chunks: chunks.collect(),
            torn: false,
        }
    }
}

/// The uploads of one attempt.
#[derive(Clone, Debug)]
pub struct AttemptChunks {
    spool: Arc<Spool>,
    id: AttemptId,
}

impl ChunkSource for AttemptChunks {
    fn chunk(&self, silo: &SiloName, index: u64) -> io::Result<Vec<u8>> {
        let blob = self
            .spool
            .with_upload(self.id, silo, |upload| {
                upload.chunks.get(&index).map(|chunk| chunk.blob)
            })
            .map_err(io::Error::other)?
            .ok_or(io::ErrorKind::NotFound)?;
        let path = self.spool.chunk_path(self.id, &blob);
        read_checked(path, &blob).map_err(io::Error::other)
    }
}

fn read_checked(path: PathBuf, digest: &Digest) -> Result<Vec<u8>, SpoolFault> {
    let bytes = fs::read(&path).map_err(|source| SpoolFault::Disk { path, source })?;
    if sha256(&bytes) == *digest {
        Ok(bytes)
    } else {
        Err(SpoolFault::Damaged(*digest))
    }
}

/// Reads the lines of an upload's file, and changes nothing: another process may be writing it.
fn read_upload(path: &Path) -> io::Result<Upload> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Upload::default()),
        Err(fault) => return Err(fault),
    };
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    Ok(Upload {
        torn: whole < text.len(),
        ..Upload::read(text.get(..whole).unwrap_or_default())
    })
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let is_new = !path.exists();
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_data()?;
    match path.parent().filter(|_| is_new) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
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
mod tests {
    use super::*;

    const ID: AttemptId = AttemptId {
        epoch: 1,
        round: 7,
        attempt: 2,
    };

    fn silo(name: &str) -> SiloName {
        SiloName::parse(name).unwrap()
    }

    fn spool(folder: &tempfile::TempDir) -> Arc<Spool> {
        Arc::new(Spool::open(&folder.path().join("blobs")).unwrap())
    }

    #[test]
    fn bytes_come_back_under_their_name() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(&folder);
        let name = spool.put(b"masked").unwrap();
        assert_eq!(spool.put(b"masked").unwrap(), name);
        assert_eq!(spool.get(&name).unwrap(), b"masked");
        assert!(matches!(
            spool.get(&sha256(b"never")),
            Err(SpoolFault::Disk { .. })
        ));
    }

    #[test]
    fn a_damaged_blob_is_not_handed_out() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(&folder);
        let name = spool.put(b"masked").unwrap();
        fs::write(spool.path_of(&name), b"mashed").unwrap();
        assert!(matches!(spool.get(&name), Err(SpoolFault::Damaged(_))));
    }

    #[test]
    fn an_upload_survives_a_restart_and_has_the_root_that_the_silo_signs() {
        let folder = tempfile::tempdir().unwrap();
        let chunks: [&[u8]; 3] = [b"one", b"two", b"three"];
        let before = spool(&folder);
        for index in [2_u64, 0] {
            let bytes = chunks[usize::try_from(index).unwrap()];
            before.add_chunk(ID, &silo("3_UK"), index, bytes).unwrap();
        }
        assert_eq!(before.upload(ID, &silo("3_UK")).unwrap().root(3), None);

        let after = spool(&folder);
        after.add_chunk(ID, &silo("3_UK"), 1, chunks[1]).unwrap();
        let upload = after.upload(ID, &silo("3_UK")).unwrap();
        let digests: Vec<Digest> = chunks.iter().map(|bytes| chunk_digest(bytes)).collect();
        assert_eq!(upload.root(3), Some(upload_root(&digests)));
        assert_eq!((upload.count(), upload.length()), (3, 11));
        assert_eq!(
            after.chunks_of(ID).chunk(&silo("3_UK"), 2).unwrap(),
            b"three"
        );
        assert!(after.chunks_of(ID).chunk(&silo("1_UM"), 0).is_err());
    }

    #[test]
    fn a_repeated_chunk_is_harmless_and_a_different_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(&folder);
        assert_eq!(spool.add_chunk(ID, &silo("3_UK"), 0, b"one").unwrap(), 1);
        assert_eq!(spool.add_chunk(ID, &silo("3_UK"), 0, b"one").unwrap(), 1);
        let other = spool.add_chunk(ID, &silo("3_UK"), 0, b"two");
        assert!(matches!(
            other,
            Err(SpoolFault::OtherChunk { index: 0, .. })
        ));
        assert_eq!(spool.upload(ID, &silo("3_UK")).unwrap().count(), 1);
    }

    #[test]
    fn a_torn_line_is_a_chunk_that_was_never_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let before = spool(&folder);
        before.add_chunk(ID, &silo("3_UK"), 0, b"one").unwrap();
        let path = before.lines_path(ID, &silo("3_UK"));
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"1 3 abcd").unwrap();

        let after = spool(&folder);
        assert_eq!(after.upload(ID, &silo("3_UK")).unwrap().count(), 1);
        after.add_chunk(ID, &silo("3_UK"), 1, b"two").unwrap();
        assert_eq!(spool(&folder).upload(ID, &silo("3_UK")).unwrap().count(), 2);
    }

    #[test]
    fn old_uploads_are_forgotten_and_results_of_the_same_bytes_stay() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(&folder);
        let result = spool.put(b"one").unwrap();
        spool.add_chunk(ID, &silo("3_UK"), 0, b"one").unwrap();
        let day = Duration::from_secs(86_400);
        spool.forget_uploads(day, None).unwrap();
        assert_eq!(spool.upload(ID, &silo("3_UK")).unwrap().count(), 1);
        spool.forget_uploads(Duration::ZERO, None).unwrap();
        assert_eq!(spool.upload(ID, &silo("3_UK")).unwrap().count(), 0);
        assert!(spool.chunks_of(ID).chunk(&silo("3_UK"), 0).is_err());
        assert_eq!(spool.get(&result).unwrap(), b"one");
    }

    #[test]
    fn the_attempt_in_flight_keeps_its_uploads_however_old() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(&folder);
        let other = AttemptId { attempt: 3, ..ID };
        for id in [ID, other] {
            spool.add_chunk(id, &silo("3_UK"), 0, b"one").unwrap();
        }
        spool.forget_uploads(Duration::ZERO, Some(ID)).unwrap();
        assert_eq!(spool.chunks_of(ID).chunk(&silo("3_UK"), 0).unwrap(), b"one");
        assert!(spool.chunks_of(other).chunk(&silo("3_UK"), 0).is_err());
    }
}
