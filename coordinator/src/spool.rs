// SPDX-License-Identifier: Apache-2.0
//! Bytes too large for the database, named by their SHA-256.
//!
//! ```text
//! blobs/sha256/ab/abcd..                      the bytes
//! blobs/uploads/<epoch.round.attempt>/<silo>  one line per chunk of a masked vector
//! ```
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
        let path = self.path_of(digest);
        let bytes = fs::read(&path).map_err(|source| SpoolFault::Disk { path, source })?;
        if sha256(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(SpoolFault::Damaged(*digest))
        }
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
            upload
                .chunks
                .get(&index)
                .map(|known| (known.digest, upload.count()))
        })?;
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
            blob: self.put(bytes)?,
            digest,
            length,
        };
        let path = self.upload_path(id, silo);
        append_line(
            &path,
            &format!("{index} {length} {} {digest}\n", chunk.blob),
        )
        .map_err(|source| SpoolFault::Disk { path, source })?;
        self.with_upload(id, silo, |upload| {
            upload.chunks.insert(index, chunk);
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
                let path = self.upload_path(id, silo);
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

    /// Deletes masked vectors that are older than `age`.
    pub fn forget_uploads(&self, age: Duration) -> Result<(), SpoolFault> {
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
            if attempt
                .metadata()
                .and_then(|data| data.modified())
                .map_err(disk)?
                > limit
            {
                continue;
            }
            for silo in fs::read_dir(attempt.path()).map_err(disk)? {
                let text = fs::read_to_string(silo.map_err(disk)?.path()).map_err(disk)?;
                for chunk in Upload::read(&text).chunks.values() {
                    fs::remove_file(self.path_of(&chunk.blob)).ok();
                }
            }
            fs::remove_dir_all(attempt.path()).map_err(disk)?;
        }
        self.lock().clear();
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

    fn upload_path(&self, id: AttemptId, silo: &SiloName) -> PathBuf {
        self.folder
            .join("uploads")
            .join(id.to_string())
            .join(silo.as_str())
    }

    fn write_once(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if path.exists() {
            return Ok(());
        }
        let shelf = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let new_shelf = !shelf.exists();
        fs::create_dir_all(shelf)?;
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = shelf.join(format!(".{}.{number}", std::process::id()));
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(shelf)?.sync_all()?;
        if new_shelf && let Some(above) = shelf.parent() {
            File::open(above)?.sync_all()?;
        }
        Ok(())
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
            .map_err(io::Error::other)?;
        self.spool
            .get(&blob.ok_or(io::ErrorKind::NotFound)?)
            .map_err(io::Error::other)
    }
}

/// Reads the lines of an upload's file. A torn last line was never acknowledged and is cut off.
fn read_upload(path: &Path) -> io::Result<Upload> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Upload::default()),
        Err(fault) => return Err(fault),
    };
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    if whole < text.len() {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(u64::try_from(whole).unwrap_or(0))?;
        file.sync_all()?;
    }
    Ok(Upload::read(text.get(..whole).unwrap_or_default()))
}

fn append_line(path: &Path, line: &str) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let is_new = !path.exists();
    if is_new {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_data()?;
    if is_new {
        File::open(folder)?.sync_all()?;
        if let Some(above) = folder.parent() {
            File::open(above)?.sync_all()?;
        }
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
        let path = before.upload_path(ID, &silo("3_UK"));
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"1 3 abcd").unwrap();

        let after = spool(&folder);
        assert_eq!(after.upload(ID, &silo("3_UK")).unwrap().count(), 1);
        after.add_chunk(ID, &silo("3_UK"), 1, b"two").unwrap();
        assert_eq!(spool(&folder).upload(ID, &silo("3_UK")).unwrap().count(), 2);
    }

    #[test]
    fn old_uploads_are_forgotten_with_their_blobs_and_results_stay() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(&folder);
        let result = spool.put(b"result").unwrap();
        spool.add_chunk(ID, &silo("3_UK"), 0, b"one").unwrap();
        spool.forget_uploads(Duration::from_secs(3600)).unwrap();
        assert_eq!(spool.upload(ID, &silo("3_UK")).unwrap().count(), 1);
        spool.forget_uploads(Duration::ZERO).unwrap();
        assert_eq!(spool.upload(ID, &silo("3_UK")).unwrap().count(), 0);
        assert!(spool.get(&sha256(b"one")).is_err());
        assert_eq!(spool.get(&result).unwrap(), b"result");
    }
}
