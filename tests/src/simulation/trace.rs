// SPDX-License-Identifier: Apache-2.0
//! The whole history of a world as lines, and one digest over all of them.

use consilium_crypto::digest::Digest;
use consilium_crypto::transcript::sha256;

/// Every line so far, hashed one into the next.
#[derive(Debug)]
pub(crate) struct Trace {
    digest: Digest,
    kept: Option<Vec<String>>,
}

impl Trace {
    /// Keeps the lines themselves only when somebody wants to read them.
    pub(crate) fn new(keep: bool) -> Self {
        Self {
            digest: sha256(&[]),
            kept: keep.then(Vec::new),
        }
    }

    pub(crate) fn push(&mut self, line: String) {
        let mut bytes = self.digest.as_bytes().to_vec();
        bytes.extend_from_slice(line.as_bytes());
        self.digest = sha256(&bytes);
        if let Some(kept) = &mut self.kept {
            kept.push(line);
        }
    }

    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.kept.unwrap_or_default()
    }
}
