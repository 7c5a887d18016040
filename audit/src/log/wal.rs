// SPDX-License-Identifier: Apache-2.0
//! The write-ahead log: what is acknowledged and not yet under a checkpoint.
//!
//! One frame per acknowledgement: length, CRC-32, payload (place of the first line, then the lines). A frame that a
//! power cut left incomplete was never acknowledged, and can only be the last one. A broken frame with a whole one
//! behind it is not a torn tail but damage.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{LogFault, files::io_fault};

/// The open file, locked against a second process.
pub(super) struct WriteAheadLog {
    file: File,
    path: PathBuf,
}

/// What the file held when it was opened.
pub(super) struct Replay {
    /// Place of the first line, and the lines, of every whole frame.
    pub(super) frames: Vec<(u64, Vec<Vec<u8>>)>,
    /// The length up to which the frames are whole.
    pub(super) whole: u64,
    /// Bytes of an incomplete frame behind that.
    pub(super) torn: u64,
}

impl WriteAheadLog {
    /// Opens the file, makes it if need be, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, LogFault> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io_fault(path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self {
                file,
                path: path.to_owned(),
            }),
            Err(TryLockError::WouldBlock) => Err(LogFault::InUse {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(fault)) => Err(io_fault(path)(fault)),
        }
    }

    /// Reads all frames.
    pub(super) fn replay(&mut self) -> Result<Replay, LogFault> {
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(0))
            .map_err(io_fault(&self.path))?;
        self.file
            .read_to_end(&mut bytes)
            .map_err(io_fault(&self.path))?;
        let (mut frames, mut rest) = (Vec::new(), bytes.as_slice());
        while let Some((frame, behind)) = split_frame(rest) {
            frames.push(parse_payload(frame).ok_or_else(|| self.damaged("a frame without lines"))?);
            rest = behind;
        }
        if behind_broken(rest).is_some_and(|behind| split_frame(behind).is_some()) {
            return Err(self.damaged("a broken frame before a whole one"));
        }
        Ok(Replay {
            frames,
            whole: length(bytes.len() - rest.len()),
            torn: length(rest.len()),
        })
    }

    /// Appends a frame and returns once it cannot be lost.
    pub(super) fn append(&mut self, first: u64, lines: &[Vec<u8>]) -> Result<(), LogFault> {
        let mut payload = first.to_le_bytes().to_vec();
        for line in lines {
            payload.extend_from_slice(line);
            payload.push(b'\n');
        }
        let size = u32::try_from(payload.len())
            .ok()
            .filter(|size| *size <= LARGEST_FRAME)
            .ok_or(LogFault::BatchTooLarge {
                bytes: payload.len(),
            })?;
        let mut frame = Vec::with_capacity(payload.len() + 8);
        frame.extend_from_slice(&size.to_le_bytes());
        frame.extend_from_slice(&crc32(&payload).to_le_bytes());
        frame.extend_from_slice(&payload);
        self.file
            .seek(SeekFrom::End(0))
            .and_then(|_| self.file.write_all(&frame))
            .and_then(|()| self.file.sync_data())
            .map_err(io_fault(&self.path))
    }

    /// Cuts the file off.
    pub(super) fn truncate(&mut self, length: u64) -> Result<(), LogFault> {
        self.file
            .set_len(length)
            .and_then(|()| self.file.sync_data())
            .map_err(io_fault(&self.path))
    }

    fn damaged(&self, what: &str) -> LogFault {
        LogFault::Damaged {
            what: format!("`{}` holds {what}", self.path.display()),
        }
    }
}

/// The payload of the first frame, and what comes behind it; `None` when the first frame is not whole.
fn split_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    let (payload, behind) = rest.split_at_checked(size)?;
    (size > 0 && crc32(payload) == u32::from_le_bytes(*sum)).then_some((payload, behind))
}

/// What comes behind a broken frame, if its length can be believed.
fn behind_broken(bytes: &[u8]) -> Option<&[u8]> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let size = usize::try_from(u32::from_le_bytes(*size))
        .ok()
        .filter(|size| *size > 0)?;
    rest.get(4..)?.get(size..)
}

fn parse_payload(payload: &[u8]) -> Option<(u64, Vec<Vec<u8>>)> {
    let (first, lines) = payload.split_first_chunk::<8>()?;
    let lines = lines.strip_suffix(b"\n")?;
    Some((
        u64::from_le_bytes(*first),
        lines
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect(),
    ))
}

/// CRC-32 as in Ethernet and zip (reflected, polynomial 0xEDB88320).
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = !0_u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                (sum >> 1) ^ 0xEDB8_8320
            } else {
                sum >> 1
            };
        }
    }
    !sum
}

fn length(bytes: usize) -> u64 {
    bytes as u64 // usize is at most 64 bits wide on every supported target
}

const LARGEST_FRAME: u32 = 1 << 28;

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(folder: &tempfile::TempDir) -> WriteAheadLog {
        WriteAheadLog::open(&folder.path().join("wal")).unwrap()
    }

    #[test]
    fn the_checksum_is_that_of_its_standard() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn frames_come_back_and_a_cut_at_any_byte_loses_only_the_last() {
        let folder = tempfile::tempdir().unwrap();
        opened(&folder)
            .append(0, &[b"one".to_vec(), b"two".to_vec()])
            .unwrap();
        let first_frame = opened(&folder).replay().unwrap().whole;
        opened(&folder).append(2, &[b"three".to_vec()]).unwrap();
        let whole = opened(&folder).replay().unwrap();
        assert_eq!(
            whole.frames,
            [
                (0, vec![b"one".to_vec(), b"two".to_vec()]),
                (2, vec![b"three".to_vec()])
            ]
        );
        assert_eq!(whole.torn, 0);
        for cut in (first_frame..whole.whole).rev() {
            opened(&folder).truncate(cut).unwrap();
            let replay = opened(&folder).replay().unwrap();
            assert_eq!(
                (replay.frames.len(), replay.whole, replay.torn),
                (1, first_frame, cut - first_frame)
            );
        }
    }

    #[test]
    fn zeroes_that_a_file_system_put_behind_the_end_are_a_torn_tail() {
        let folder = tempfile::tempdir().unwrap();
        opened(&folder).append(0, &[b"one".to_vec()]).unwrap();
        let whole = opened(&folder).replay().unwrap().whole;
        opened(&folder).truncate(whole + 4096).unwrap();
        assert_eq!(opened(&folder).replay().unwrap().torn, 4096);
    }

    #[test]
    fn a_broken_frame_before_a_whole_one_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        opened(&folder).append(0, &[b"one".to_vec()]).unwrap();
        opened(&folder).append(1, &[b"two".to_vec()]).unwrap();
        let path = folder.path().join("wal");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[17] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(
            opened(&folder).replay(),
            Err(LogFault::Damaged { .. })
        ));
    }

    #[test]
    fn a_second_process_is_turned_away() {
        let folder = tempfile::tempdir().unwrap();
        let _first = opened(&folder);
        assert!(matches!(
            WriteAheadLog::open(&folder.path().join("wal")),
            Err(LogFault::InUse { .. })
        ));
    }
}
