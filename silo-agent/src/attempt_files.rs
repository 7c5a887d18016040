// SPDX-License-Identifier: Apache-2.0
//! What one attempt keeps outside the journal and outside backups: `attempts/`.
//!
//! - `instance`: names this installation; a folder restored elsewhere without it sits running attempts out;
//! - `reached`: how far the journal has gone; an older copy of the journal has not;
//! - `<attempt>/secrets.<step>`: the attempt's keys and shares as of one step of the journal;
//! - `<attempt>/input`: the clipped, quantised and noised vector;
//! - `<attempt>/masked`: the same vector under its masks, packed, as it leaves.
//!
//! Threads write here while the agent goes on; [`AttemptFiles::close`] ends that before another agent opens the folder.
//!
//! Secrets are written before the journal's step that refers to them and older ones are erased after it, so that
//! the journal's step and the secrets always match: a journal restored from a backup finds none.

mod input;
mod reached;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use consilium_crypto::digest::Digest;
use consilium_crypto::secret::Secret;
use consilium_protocol::AttemptId;

use crate::durable_file::{self, FileFault};
use crate::randomness;
pub(crate) use input::{InputReader, InputWriter};
pub(crate) use reached::Reached;

/// The folder `attempts/` of one silo.
#[derive(Clone, Debug)]
pub(crate) struct AttemptFiles {
    folder: PathBuf,
    instance: Digest,
    closed: Arc<RwLock<bool>>,
}

impl AttemptFiles {
    /// Opens the folder, and names the installation if it has no name yet.
    pub(crate) fn open(folder: &Path) -> Result<AttemptFiles, FileFault> {
        durable_file::private_folder(folder)?;
        let path = folder.join("instance");
        if !path.exists() {
            durable_file::write_secret(&path, randomness::digest().as_bytes())?;
        }
        let mut bytes = [0; 32];
        durable_file::open_secret(&path)?
            .read_exact(&mut bytes)
            .map_err(FileFault::io(&path, "read"))?;
        Ok(AttemptFiles {
            folder: folder.to_owned(),
            instance: Digest::from_bytes(bytes),
            closed: Arc::default(),
        })
    }

    /// Ends the writing of every thread that holds these files. When this returns, none of them writes any more.
    pub(crate) fn close(&self) {
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Holds [`close`](Self::close) up until one write is done.
    fn writing(&self, path: &Path) -> Result<RwLockReadGuard<'_, bool>, FileFault> {
        let closed = self.closed.read().unwrap_or_else(PoisonError::into_inner);
        if *closed {
            return Err(FileFault::Closed(path.to_owned()));
        }
        Ok(closed)
    }

    /// The same for a file that was begun before: what was erased meanwhile is not written any further.
    fn writing_on(&self, path: &Path) -> Result<RwLockReadGuard<'_, bool>, FileFault> {
        let closed = self.writing(path)?;
        if !path.exists() {
            return Err(FileFault::Erased(path.to_owned()));
        }
        Ok(closed)
    }

    /// This installation's name.
    pub(crate) fn instance(&self) -> Digest {
        self.instance
    }

    /// Writes the secrets that belong to one step of the journal.
    pub(crate) fn write_secrets(
        &self,
        id: AttemptId,
        step: u64,
        secrets: &Secret<Vec<u8>>,
    ) -> Result<(), FileFault> {
        durable_file::private_folder(&self.of(id))?;
        durable_file::write_secret(&self.secrets_path(id, step), secrets.expose())
    }

    /// Makes the secrets of one step those of a later one as well.
    pub(crate) fn carry_secrets(&self, id: AttemptId, from: u64, to: u64) -> Result<(), FileFault> {
        let path = self.secrets_path(id, to);
        match fs::hard_link(self.secrets_path(id, from), &path) {
            // Left by a step that a crash kept out of the journal.
            Err(exists) if exists.kind() == std::io::ErrorKind::AlreadyExists => {}
            linked => linked.map_err(FileFault::io(&path, "written"))?,
        }
        durable_file::sync_folder_of(&path)
    }

    /// Reads the secrets of one step; `None` when they are not on this machine.
    pub(crate) fn read_secrets(
        &self,
        id: AttemptId,
        step: u64,
    ) -> Result<Option<Secret<Vec<u8>>>, FileFault> {
        let path = self.secrets_path(id, step);
        if !path.exists() {
            return Ok(None);
        }
        read_whole(&path).map(Some)
    }

    /// Erases the secrets of every step but one, in every attempt; `None` erases all of them.
    pub(crate) fn keep_only_secrets(
        &self,
        kept: Option<(AttemptId, u64)>,
    ) -> Result<(), FileFault> {
        let kept = kept.map(|(id, step)| self.secrets_path(id, step));
        let kept_inode = kept.as_deref().map(inode).transpose()?;
        for path in self.files_of_all_attempts()? {
            let is_secret = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("secrets."));
            if !is_secret || Some(&path) == kept.as_ref() {
                continue;
            }
            // Under another name these may be the kept secrets themselves, which must not be overwritten.
            if Some(inode(&path)?) == kept_inode {
                fs::remove_file(&path).map_err(FileFault::io(&path, "erased"))?;
                durable_file::sync_folder_of(&path)?;
            } else {
                durable_file::erase(&path)?;
            }
        }
        Ok(())
    }

    /// Begins to store the vector that will be masked.
    pub(crate) fn store_input(&self, id: AttemptId) -> Result<InputWriter, FileFault> {
        durable_file::private_folder(&self.of(id))?;
        InputWriter::create(self, self.of(id).join("input"))
    }

    /// Names the vector that is stored, if one is.
    pub(crate) fn stored_input(&self, id: AttemptId) -> Result<Option<Digest>, FileFault> {
        let path = self.of(id).join("input");
        if !path.exists() {
            return Ok(None);
        }
        input::name_of(&path).map(Some)
    }

    /// Reads the stored vector, if it is still the one that was named, and of that many fields.
    ///
    /// SECURITY: masks are spent on one vector; a file that was changed or exchanged is never masked.
    pub(crate) fn read_input(
        &self,
        id: AttemptId,
        named: &Digest,
        fields: u64,
    ) -> Result<InputReader, FileFault> {
        InputReader::open(self.of(id).join("input"), named, fields)
    }

    /// Starts the spool of the masked vector.
    pub(crate) fn spool_masked(&self, id: AttemptId) -> Result<MaskedSpool, FileFault> {
        let path = self.of(id).join("masked");
        let _writing = self.writing(&path)?;
        durable_file::private_folder(&self.of(id))?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(FileFault::io(&path, "created"))?;
        Ok(MaskedSpool {
            files: self.clone(),
            file,
            path,
            length: 0,
        })
    }

    /// Reads one piece of the spooled masked vector.
    pub(crate) fn read_masked(
        &self,
        id: AttemptId,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, FileFault> {
        let path = self.of(id).join("masked");
        let mut bytes = vec![0; length];
        File::open(&path)
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(offset))?;
                file.read_exact(&mut bytes)
            })
            .map_err(FileFault::io(&path, "read"))?;
        Ok(bytes)
    }

    /// Erases everything that one attempt left.
    pub(crate) fn erase(&self, id: AttemptId) -> Result<(), FileFault> {
        self.erase_folder(&self.of(id))
    }

    /// Erases everything that every attempt but the named one left.
    pub(crate) fn erase_all_but(&self, kept: Option<AttemptId>) -> Result<(), FileFault> {
        let kept = kept.map(|id| self.of(id));
        for folder in self.attempt_folders()? {
            if Some(&folder) != kept.as_ref() {
                self.erase_folder(&folder)?;
            }
        }
        Ok(())
    }

    fn erase_folder(&self, folder: &Path) -> Result<(), FileFault> {
        // A thread that still works for an attempt that is over neither writes nor renames meanwhile.
        let _erasing = self.closed.write().unwrap_or_else(PoisonError::into_inner);
        if !folder.exists() {
            return Ok(());
        }
        for path in entries(folder)? {
            durable_file::erase(&path)?;
        }
        fs::remove_dir(folder).map_err(FileFault::io(folder, "removed"))
    }

    fn attempt_folders(&self) -> Result<Vec<PathBuf>, FileFault> {
        Ok(entries(&self.folder)?
            .into_iter()
            .filter(|path| path.is_dir())
            .collect())
    }

    fn files_of_all_attempts(&self) -> Result<Vec<PathBuf>, FileFault> {
        let mut files = Vec::new();
        for folder in self.attempt_folders()? {
            files.extend(entries(&folder)?);
        }
        Ok(files)
    }

    fn of(&self, id: AttemptId) -> PathBuf {
        self.folder
            .join(format!("{}-{}-{}", id.epoch, id.round, id.attempt))
    }

    fn secrets_path(&self, id: AttemptId, step: u64) -> PathBuf {
        self.of(id).join(format!("secrets.{step}"))
    }
}

/// The masked vector while it is being written.
#[derive(Debug)]
pub(crate) struct MaskedSpool {
    files: AttemptFiles,
    file: File,
    path: PathBuf,
    length: u64,
}

impl MaskedSpool {
    /// Appends one packed chunk.
    pub(crate) fn append(&mut self, chunk: &[u8]) -> Result<(), FileFault> {
        let _writing = self.files.writing_on(&self.path)?;
        self.file
            .write_all(chunk)
            .map_err(FileFault::io(&self.path, "written"))?;
        self.length = self
            .length
            .saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Makes the spool durable and gives its length in bytes.
    pub(crate) fn finish(self) -> Result<u64, FileFault> {
        let _writing = self.files.writing_on(&self.path)?;
        self.file
            .sync_all()
            .map_err(FileFault::io(&self.path, "made durable"))?;
        durable_file::sync_folder_of(&self.path)?;
        Ok(self.length)
    }
}

/// Room for the whole file at once: a growing buffer would leave copies of the vector behind.
fn read_whole(path: &Path) -> Result<Secret<Vec<u8>>, FileFault> {
    let mut file = durable_file::open_secret(path)?;
    let length = file
        .metadata()
        .map_err(FileFault::io(path, "inspected"))?
        .len();
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(1));
    file.read_to_end(&mut bytes)
        .map_err(FileFault::io(path, "read"))?;
    Ok(Secret::new(bytes))
}

/// The device and the number of a file: what two names of one file share.
fn inode(path: &Path) -> Result<(u64, u64), FileFault> {
    let metadata = fs::metadata(path).map_err(FileFault::io(path, "inspected"))?;
    Ok((metadata.dev(), metadata.ino()))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, FileFault> {
    let fault = || FileFault::io(folder, "listed");
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(fault())? {
        paths.push(entry.map_err(fault())?.path());
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn write_input(
        files: &AttemptFiles,
        id: AttemptId,
        fields: &[i64],
    ) -> Result<Digest, FileFault> {
        let mut writer = files.store_input(id)?;
        writer.push(fields)?;
        writer.finish()
    }

    const ID: AttemptId = AttemptId {
        epoch: 1,
        round: 4,
        attempt: 2,
    };

    #[test]
    fn secrets_of_another_step_are_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let files = AttemptFiles::open(folder.path()).unwrap();
        files
            .write_secrets(ID, 5, &Secret::new(vec![1, 2, 3]))
            .unwrap();
        files.carry_secrets(ID, 5, 6).unwrap();
        files.carry_secrets(ID, 5, 6).unwrap();
        files.keep_only_secrets(Some((ID, 6))).unwrap();
        assert!(files.read_secrets(ID, 5).unwrap().is_none());
        assert_eq!(
            files.read_secrets(ID, 6).unwrap().unwrap().expose(),
            &vec![1, 2, 3]
        );
        files.keep_only_secrets(None).unwrap();
        assert!(files.read_secrets(ID, 6).unwrap().is_none());
    }

    #[test]
    fn secrets_that_were_superseded_are_overwritten_before_they_go() {
        let folder = tempfile::tempdir().unwrap();
        let files = AttemptFiles::open(folder.path()).unwrap();
        files
            .write_secrets(ID, 5, &Secret::new(vec![1; 9_000]))
            .unwrap();
        // Another name of the file shows what becomes of its bytes.
        let witness = folder.path().join("witness");
        fs::hard_link(files.secrets_path(ID, 5), &witness).unwrap();
        files
            .write_secrets(ID, 6, &Secret::new(vec![2; 10]))
            .unwrap();
        files.keep_only_secrets(Some((ID, 6))).unwrap();
        assert!(!files.secrets_path(ID, 5).exists());
        assert_eq!(fs::read(&witness).unwrap(), vec![0; 9_000]);
        assert_eq!(
            files.read_secrets(ID, 6).unwrap().unwrap().expose(),
            &vec![2; 10]
        );
    }

    #[test]
    fn the_instance_keeps_its_name_and_a_new_folder_has_another() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = AttemptFiles::open(one.path()).unwrap().instance();
        assert_eq!(first, AttemptFiles::open(one.path()).unwrap().instance());
        assert_ne!(first, AttemptFiles::open(two.path()).unwrap().instance());
    }

    #[test]
    fn vectors_come_back_as_they_were_stored_and_go_when_erased() {
        let folder = tempfile::tempdir().unwrap();
        let files = AttemptFiles::open(folder.path()).unwrap();
        assert!(files.stored_input(ID).unwrap().is_none());
        let digest = write_input(&files, ID, &[1, -2, i64::MIN]).unwrap();
        assert_eq!(files.stored_input(ID).unwrap(), Some(digest));
        let mut reader = files.read_input(ID, &digest, 3).unwrap();
        assert_eq!(reader.next_piece().unwrap(), [1, -2, i64::MIN]);
        assert!(reader.next_piece().unwrap().is_empty());
        let mut spool = files.spool_masked(ID).unwrap();
        spool.append(b"abc").unwrap();
        spool.append(b"def").unwrap();
        assert_eq!(spool.finish().unwrap(), 6);
        assert_eq!(files.read_masked(ID, 2, 3).unwrap(), b"cde");
        files.erase_all_but(Some(ID)).unwrap();
        assert!(files.read_input(ID, &digest, 3).is_ok());
        files.erase(ID).unwrap();
        assert!(files.read_input(ID, &digest, 3).is_err());
    }

    #[test]
    fn a_vector_that_is_longer_or_another_than_the_journal_names_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let files = AttemptFiles::open(folder.path()).unwrap();
        let digest = write_input(&files, ID, &[1, 2, 3]).unwrap();
        assert!(files.read_input(ID, &digest, 2).is_err());
        let longer = write_input(&files, ID, &[1, 2, 3, 4]).unwrap();
        assert!(files.read_input(ID, &digest, 3).is_err());
        assert!(files.read_input(ID, &longer, 3).is_err());
        assert!(files.read_input(ID, &longer, 4).is_ok());
    }

    #[test]
    fn a_vector_of_several_pieces_has_one_name_however_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let files = AttemptFiles::open(folder.path()).unwrap();
        let size = usize::try_from(consilium_protocol::CHUNK_FIELDS).unwrap();
        let fields: Vec<i64> = (0..).take(2 * size + 3).collect();
        let digest = write_input(&files, ID, &fields).unwrap();
        let mut writer = files.store_input(ID).unwrap();
        for part in fields.chunks(1000) {
            writer.push(part).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), digest);
        assert_eq!(files.stored_input(ID).unwrap(), Some(digest));
        let count = u64::try_from(fields.len()).unwrap();
        let mut reader = files.read_input(ID, &digest, count).unwrap();
        for piece in fields.chunks(size) {
            assert_eq!(reader.next_piece().unwrap(), piece);
        }
        assert!(reader.next_piece().unwrap().is_empty());
    }

    #[test]
    fn a_piece_that_changes_after_the_whole_was_checked_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let files = AttemptFiles::open(folder.path()).unwrap();
        let size = usize::try_from(consilium_protocol::CHUNK_FIELDS).unwrap();
        let digest = write_input(&files, ID, &vec![7; size + 1]).unwrap();
        let count = u64::try_from(size + 1).unwrap();
        let mut reader = files.read_input(ID, &digest, count).unwrap();
        assert_eq!(reader.next_piece().unwrap().len(), size);
        let path = files.of(ID).join("input");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(reader.next_piece().is_err());
    }

    #[test]
    fn a_vector_that_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let files = AttemptFiles::open(folder.path()).unwrap();
        let mut writer = files.store_input(ID).unwrap();
        writer.push(&[1, 2, 3]).unwrap();
        drop(writer);
        assert!(entries(&files.of(ID)).unwrap().is_empty());
        assert!(files.stored_input(ID).unwrap().is_none());
    }

    #[test]
    fn threads_of_an_attempt_that_was_erased_write_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let files = AttemptFiles::open(folder.path()).unwrap();
        let mut spool = files.spool_masked(ID).unwrap();
        spool.append(b"abc").unwrap();
        let mut input = files.store_input(ID).unwrap();
        input.push(&[1, 2]).unwrap();
        files.erase(ID).unwrap();
        assert!(matches!(spool.append(b"def"), Err(FileFault::Erased(_))));
        assert!(matches!(spool.finish(), Err(FileFault::Erased(_))));
        assert!(matches!(input.finish(), Err(FileFault::Erased(_))));
        assert!(!files.of(ID).exists());
    }

    #[test]
    fn threads_of_an_agent_that_has_ended_write_nothing_under_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let ended = AttemptFiles::open(folder.path()).unwrap();
        let digest = write_input(&ended, ID, &[1]).unwrap();
        let mut spool = ended.clone().spool_masked(ID).unwrap();
        spool.append(b"abc").unwrap();
        ended.close();
        assert!(matches!(spool.append(b"def"), Err(FileFault::Closed(_))));
        assert!(spool.finish().is_err());
        assert!(write_input(&ended.clone(), ID, &[2]).is_err());
        assert!(ended.clone().spool_masked(ID).is_err());
        let next = AttemptFiles::open(folder.path()).unwrap();
        assert_eq!(next.stored_input(ID).unwrap(), Some(digest));
        assert!(write_input(&next, ID, &[2]).is_ok());
    }
}
