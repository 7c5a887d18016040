// SPDX-License-Identifier: Apache-2.0
//! What silos sent of one kind in one attempt, one silo's pieces after another's in one file: deals, reveals.
//!
//! ```text
//! length of the name | name | number of pieces | where each of them ends | pieces      numbers of 4 bytes
//! ```
//!
//! COST: it grows with the square of the silos; of each silo's pieces only their place is in memory.

use consilium_protocol::SiloName;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The pieces of one kind and attempt.
#[derive(Debug)]
pub(super) struct Pieces {
    file: File,
    /// Where the next silo's go.
    end: u64,
    /// The last ones of each silo: some that nobody counted before a crash may stand before them.
    places: BTreeMap<SiloName, Place>,
}

/// Where the table of a silo's pieces begins, and how many there are.
#[derive(Clone, Copy, Debug)]
struct Place {
    table: u64,
    count: u32,
}

impl Pieces {
    /// Opens the file, and makes it when it is missing. What a crash left half written at its end is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).read(true).write(true);
        let file = options.open(path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        let length = file.metadata()?.len();
        let mut pieces = Self {
            file,
            end: 0,
            places: BTreeMap::new(),
        };
        while let Some((silo, place, end)) = pieces.read_place(length)? {
            pieces.places.insert(silo, place);
            pieces.end = end;
        }
        pieces.file.set_len(pieces.end)?;
        Ok(pieces)
    }

    /// Writes a silo's pieces and waits for the disk.
    pub(super) fn keep(&mut self, silo: &SiloName, pieces: &[Vec<u8>]) -> io::Result<()> {
        let name = silo.as_str().as_bytes();
        let mut bytes = number(name.len())?.to_le_bytes().to_vec();
        bytes.extend_from_slice(name);
        let count = number(pieces.len())?;
        bytes.extend_from_slice(&count.to_le_bytes());
        let table = self.end + length_of(&bytes)?;
        let mut end = 0;
        for piece in pieces {
            end += piece.len();
            bytes.extend_from_slice(&number(end)?.to_le_bytes());
        }
        for piece in pieces {
            bytes.extend_from_slice(piece);
        }
        self.file.write_all_at(&bytes, self.end)?;
        self.file.sync_data()?;
        self.end += length_of(&bytes)?;
        self.places.insert(silo.clone(), Place { table, count });
        Ok(())
    }

    /// One piece of a silo.
    pub(super) fn read(&self, silo: &SiloName, position: usize) -> io::Result<Vec<u8>> {
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        let Place { table, count } = *self.places.get(silo).ok_or_else(not_found)?;
        let position = number(position)?;
        if position >= count {
            return Err(not_found());
        }
        let start = match position.checked_sub(1) {
            Some(before) => self.number_at(table + 4 * u64::from(before))?,
            None => 0,
        };
        let end = self.number_at(table + 4 * u64::from(position))?;
        let length = end.checked_sub(start).ok_or_else(not_found)?;
        let first = table + 4 * u64::from(count) + u64::from(start);
        // The file may have been damaged since its places were read.
        if first + u64::from(length) > self.end {
            return Err(not_found());
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, first)?;
        Ok(bytes)
    }

    /// The next silo's pieces in a file of `length` bytes, and where they end; `None` where none are whole.
    fn read_place(&self, length: u64) -> io::Result<Option<(SiloName, Place, u64)>> {
        // The longest that a name can be.
        const NAME_BYTES: u32 = 64;
        let fits = |at: u64, bytes: u64| at.checked_add(bytes).is_some_and(|end| end <= length);
        if !fits(self.end, 4) {
            return Ok(None);
        }
        let name_bytes = self.number_at(self.end)?;
        let count_at = self.end + 4 + u64::from(name_bytes);
        if name_bytes > NAME_BYTES || !fits(count_at, 4) {
            return Ok(None);
        }
        let mut name = vec![0; usize::try_from(name_bytes).unwrap_or(0)];
        self.file.read_exact_at(&mut name, self.end + 4)?;
        let name = String::from_utf8(name).ok();
        let Some(silo) = name.and_then(|name| SiloName::parse(&name).ok()) else {
            return Ok(None);
        };
        let (table, count) = (count_at + 4, self.number_at(count_at)?);
        let data = table + 4 * u64::from(count);
        if count == 0 || !fits(table, data - table) {
            return Ok(None);
        }
        let mut last = 0;
        for at in 0..u64::from(count) {
            let end = self.number_at(table + 4 * at)?;
            if end < last {
                return Ok(None);
            }
            last = end;
        }
        let end = data + u64::from(last);
        Ok(fits(data, u64::from(last)).then_some((silo, Place { table, count }, end)))
    }

    fn number_at(&self, at: u64) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(u32::from_le_bytes(bytes))
    }
}

fn number(value: usize) -> io::Result<u32> {
    u32::try_from(value).map_err(io::Error::other)
}

fn length_of(bytes: &[u8]) -> io::Result<u64> {
    u64::try_from(bytes.len()).map_err(io::Error::other)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    fn silo(name: &str) -> SiloName {
        SiloName::parse(name).unwrap()
    }

    fn deal(tag: u8) -> Vec<Vec<u8>> {
        vec![vec![tag; 5], vec![tag + 1; 3], Vec::new()]
    }

    fn is_there(deals: &Pieces, dealer: &str, tag: u8) -> bool {
        (0..3).all(|at| deals.read(&silo(dealer), at).unwrap() == deal(tag)[at])
    }

    #[test]
    fn deals_are_read_by_dealer_and_position_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deals");
        let mut deals = Pieces::open(&path).unwrap();
        deals.keep(&silo("3_UK"), &deal(10)).unwrap();
        deals.keep(&silo("1_UM"), &deal(20)).unwrap();
        for deals in [deals, Pieces::open(&path).unwrap()] {
            assert!(is_there(&deals, "3_UK", 10) && is_there(&deals, "1_UM", 20));
            let unknown = deals.read(&silo("2_IU"), 0).unwrap_err();
            assert_eq!(unknown.kind(), io::ErrorKind::NotFound);
            let beyond = deals.read(&silo("1_UM"), 3).unwrap_err();
            assert_eq!(beyond.kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn the_deal_that_was_kept_last_is_the_one_that_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deals");
        let mut deals = Pieces::open(&path).unwrap();
        for tag in [10, 20] {
            deals.keep(&silo("3_UK"), &deal(tag)).unwrap();
        }
        assert!(is_there(&deals, "3_UK", 20));
        assert!(is_there(&Pieces::open(&path).unwrap(), "3_UK", 20));
    }

    #[test]
    fn a_deal_that_a_crash_cut_anywhere_leaves_those_before_it_and_room_for_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deals");
        let mut deals = Pieces::open(&path).unwrap();
        deals.keep(&silo("3_UK"), &deal(10)).unwrap();
        let first = deals.end;
        deals.keep(&silo("1_UM"), &deal(20)).unwrap();
        let whole = fs::read(&path).unwrap();
        let first = usize::try_from(first).unwrap();
        for cut in first..whole.len() {
            // Cut short, or with its length on the disk and its bytes not.
            for tail in [0, whole.len() - cut] {
                fs::write(&path, [&whole[..cut], &vec![0; tail]].concat()).unwrap();
                let mut deals = Pieces::open(&path).unwrap();
                assert!(is_there(&deals, "3_UK", 10), "{cut}");
                deals.keep(&silo("2_IU"), &deal(30)).unwrap();
                let again = Pieces::open(&path).unwrap();
                assert!(is_there(&again, "3_UK", 10) && is_there(&again, "2_IU", 30));
            }
        }
    }
}
