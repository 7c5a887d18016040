// SPDX-License-Identifier: Apache-2.0
//! What is known of a masked vector before its first byte: written once, and kept as long as the vector.

use consilium_crypto::digest::Digest;
use consilium_protocol::Envelope;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// What a silo signed of its upload, and how the upload is cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The Merkle root over the digests of its chunks.
    pub root: Digest,
    /// Bytes of every chunk but the last.
    pub chunk_bytes: u64,
    /// Bytes of all chunks.
    pub length: u64,
    /// The message in which the silo signs root and length.
    pub signed: Envelope,
}

impl Announcement {
    /// How many chunks there will be.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.length.div_ceil(self.chunk_bytes.max(1))
    }

    /// Where chunk `index` begins and how many bytes it has.
    pub(super) fn place(&self, index: u64) -> (u64, usize) {
        let start = index.saturating_mul(self.chunk_bytes).min(self.length);
        let length = (self.length - start).min(self.chunk_bytes);
        (start, usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// The file up to the digests: the length of the rest in four bytes, little-endian, then the rest.
    pub(super) fn header(&self) -> Vec<u8> {
        let body = postcard::to_allocvec(self).unwrap_or_default();
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        [&length.to_le_bytes()[..], &body].concat()
    }

    /// Reads the file's header; says where the digests begin.
    pub(super) fn read(file: &mut File) -> io::Result<(Self, u64)> {
        let mut length = [0; 4];
        file.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        let mut body = Vec::new();
        file.take(u64::from(length)).read_to_end(&mut body)?;
        let announcement: Self = postcard::from_bytes(&body).map_err(io::Error::other)?;
        let start = 4 + u64::from(length);
        // What is allocated later follows from the counts here, so they must be those of this very file.
        let digests = announcement.count().checked_mul(32);
        let end = digests.and_then(|digests| digests.checked_add(start));
        let held = file.metadata()?.len();
        if announcement.chunk_bytes == 0 || end.is_none_or(|end| end > held) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((announcement, start))
    }
}

/// The announced digest of chunk `index`, in a file whose digests begin at `start`.
pub(super) fn digest_at(file: &File, start: u64, index: u64) -> io::Result<Digest> {
    let mut bytes = [0; 32];
    let offset = index.saturating_mul(32).saturating_add(start);
    file.read_exact_at(&mut bytes, offset)?;
    Ok(Digest::from_bytes(bytes))
}
