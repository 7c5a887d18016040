// SPDX-License-Identifier: Apache-2.0
//! Masked vectors, deals and the sum as files of a temporary folder, written and read piece by piece.

use super::accounts::thread_seconds;
use consilium_protocol::{ChunkSource, DealSource, Envelope, RoundPlan, SiloName, SumSink};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file of one silo's masked vector.
pub(super) fn upload_path(folder: &Path, silo: &SiloName) -> PathBuf {
    folder.join(format!("{silo}.upload"))
}

/// Writes what a silo revealed: evidence, which nobody reads in a round without lies.
pub(super) fn keep_reveal(folder: &Path, silo: &SiloName, reveal: &Envelope) -> io::Result<()> {
    let bytes = postcard::to_allocvec(reveal).map_err(io::Error::other)?;
    fs::write(folder.join(format!("{silo}.reveal")), bytes)
}

/// The file of the packed sum.
pub(super) fn sum_path(folder: &Path) -> PathBuf {
    folder.join("sum")
}

/// Where a chunk of a packed vector lies in its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    chunk_bytes: u64,
    whole: u64,
}

impl Layout {
    pub(super) fn new(plan: &RoundPlan) -> Self {
        let bits = u64::from(plan.vector.word_bits);
        Self {
            chunk_bytes: u64::from(plan.chunk_fields) * bits / 8,
            whole: plan.packed_length(),
        }
    }

    pub(super) fn write(self, file: &File, index: u64, chunk: &[u8]) -> io::Result<()> {
        file.write_all_at(chunk, index * self.chunk_bytes)
    }

    pub(super) fn read(self, file: &File, index: u64) -> io::Result<Vec<u8>> {
        let start = index * self.chunk_bytes;
        let length = self.whole.saturating_sub(start).min(self.chunk_bytes);
        let mut chunk = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut chunk, start)?;
        Ok(chunk)
    }
}

/// The uploads of all silos, as the coordinator reads them.
pub(super) struct Uploads {
    folder: PathBuf,
    layout: Layout,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    files: BTreeMap<SiloName, File>,
    seconds: f64,
}

impl Uploads {
    pub(super) fn new(folder: &Path, plan: &RoundPlan) -> Self {
        Self {
            folder: folder.to_owned(),
            layout: Layout::new(plan),
            open: Mutex::default(),
        }
    }

    /// The processor time that reading has taken since this was last asked.
    pub(super) fn take_seconds(&self) -> f64 {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut open.seconds)
    }
}

impl ChunkSource for Uploads {
    fn chunk(&self, silo: &SiloName, index: u64) -> io::Result<Vec<u8>> {
        let start = thread_seconds();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match open.files.remove(silo) {
            Some(file) => file,
            None => File::open(upload_path(&self.folder, silo))?,
        };
        let chunk = self.layout.read(&file, index);
        open.files.insert(silo.clone(), file);
        open.seconds += thread_seconds() - start;
        chunk
    }
}

/// What silos sealed for each other, deal after deal.
pub(super) struct Deals {
    file: File,
    length: u64,
    /// Where each ciphertext of a deal begins, and where the last one ends.
    places: BTreeMap<SiloName, Vec<u64>>,
}

impl Deals {
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join("deals");
        let mut options = File::options();
        let file = options.create(true).truncate(true).read(true).write(true);
        Ok(Self {
            file: file.open(path)?,
            length: 0,
            places: BTreeMap::new(),
        })
    }

    pub(super) fn keep(&mut self, dealer: SiloName, ciphertexts: &[Vec<u8>]) -> io::Result<()> {
        let mut places = vec![self.length];
        let mut end = self.length;
        for ciphertext in ciphertexts {
            end += u64::try_from(ciphertext.len()).map_err(io::Error::other)?;
            places.push(end);
        }
        self.file
            .write_all_at(&ciphertexts.concat(), self.length)
            .inspect(|()| self.length = end)?;
        self.places.insert(dealer, places);
        Ok(())
    }
}

impl DealSource for Deals {
    fn sealed_for(&self, position: usize, dealers: &[SiloName]) -> io::Result<Vec<Vec<u8>>> {
        let read = |dealer: &SiloName| {
            let places = self.places.get(dealer).and_then(|all| all.get(position..));
            let Some([start, end, ..]) = places else {
                return Err(io::ErrorKind::NotFound.into());
            };
            let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
            self.file.read_exact_at(&mut bytes, *start)?;
            Ok(bytes)
        };
        dealers.iter().map(read).collect()
    }
}

/// The file of the sum while it is being computed.
pub(super) struct SumFile {
    file: File,
    layout: Layout,
    seconds: f64,
}

impl SumFile {
    pub(super) fn create(folder: &Path, plan: &RoundPlan) -> io::Result<Self> {
        Ok(Self {
            file: File::create(sum_path(folder))?,
            layout: Layout::new(plan),
            seconds: 0.0,
        })
    }

    /// The processor time that writing has taken.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds
    }
}

impl SumSink for SumFile {
    fn take(&mut self, index: u64, packed: Vec<u8>) -> io::Result<()> {
        let start = thread_seconds();
        let written = self.layout.write(&self.file, index, &packed);
        self.seconds += thread_seconds() - start;
        written
    }
}
