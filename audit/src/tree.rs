// SPDX-License-Identifier: Apache-2.0
//! The hash tree of [RFC 6962](https://www.rfc-editor.org/rfc/rfc6962#section-2.1), every complete subtree kept, so
//! that a root or a proof costs a number of hashes that grows with the logarithm of the size.
//!
//! `consilium_crypto::merkle` computes the same from a list of leaves; the tests hold the two against each other.

use consilium_crypto::{digest::Digest, merkle::node_hash, transcript::sha256};

/// A tree that only grows.
#[derive(Clone, Debug)]
pub struct HashTree {
    /// `levels[k][i]` is the root of leaves `i * 2^k .. (i + 1) * 2^k`.
    levels: Vec<Vec<Digest>>,
}

impl HashTree {
    /// The empty tree.
    pub fn new() -> Self {
        Self {
            levels: vec![Vec::new()],
        }
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.leaves().len() as u64 // usize is at most 64 bits wide on every supported target
    }

    /// The leaf hashes.
    pub fn leaves(&self) -> &[Digest] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    /// Appends the hash of a leaf.
    pub fn push(&mut self, leaf_hash: Digest) {
        let mut node = leaf_hash;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(nodes) = self.levels.get_mut(level) else {
                return;
            };
            nodes.push(node);
            let [.., left, right] = nodes.as_slice() else {
                return;
            };
            if nodes.len() % 2 == 1 {
                return;
            }
            node = node_hash(left, right);
        }
    }

    /// The root over the first `size` leaves.
    pub fn root(&self, size: u64) -> Option<Digest> {
        match size {
            0 => Some(sha256(b"")),
            size if size <= self.size() => self.range(0, size),
            _ => None,
        }
    }

    /// The path from the leaf at `index` to the root over the first `size` leaves.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Option<Vec<Digest>> {
        if index >= size || size > self.size() {
            return None;
        }
        let (mut start, mut end, mut path) = (0, size, Vec::new());
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                path.push(self.range(middle, end)?);
                end = middle;
            } else {
                path.push(self.range(start, middle)?);
                start = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// The proof that the first `old` leaves are the beginning of the first `new`. Empty when the sizes agree or
    /// `old` is zero.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Option<Vec<Digest>> {
        if old > new || new > self.size() {
            return None;
        }
        if old == 0 || old == new {
            return Some(Vec::new());
        }
        let (mut start, mut end, mut path, mut known) = (0, new, Vec::new(), true);
        // `old` walks down the tree; `known` says that the verifier holds this subtree's root already.
        while old != end {
            let middle = start + split(end - start);
            if old <= middle {
                path.push(self.range(middle, end)?);
                end = middle;
            } else {
                path.push(self.range(start, middle)?);
                start = middle;
                known = false;
            }
        }
        if !known {
            path.push(self.range(start, end)?);
        }
        path.reverse();
        Some(path)
    }

    /// The root of the complete subtree of `2^level` leaves at `index`.
    pub(crate) fn node(&self, level: usize, index: usize) -> Option<Digest> {
        self.levels.get(level)?.get(index).copied()
    }

    /// The root over leaves `start .. end`, where `start` is where a subtree of that width may begin.
    fn range(&self, start: u64, end: u64) -> Option<Digest> {
        let width = end - start;
        if width.is_power_of_two() {
            let level = width.trailing_zeros();
            return self.node(
                usize::try_from(level).ok()?,
                usize::try_from(start >> level).ok()?,
            );
        }
        let middle = start + split(width);
        Some(node_hash(
            &self.range(start, middle)?,
            &self.range(middle, end)?,
        ))
    }
}

impl Default for HashTree {
    fn default() -> Self {
        Self::new()
    }
}

/// The largest power of two below `width`, which is at least two.
fn split(width: u64) -> u64 {
    1 << (63 - (width - 1).leading_zeros())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use consilium_crypto::merkle;

    use super::*;

    #[test]
    fn every_root_and_proof_up_to_forty_leaves_is_that_of_the_list() {
        let mut tree = HashTree::new();
        let mut leaves = Vec::new();
        for count in 0..=40_u64 {
            assert_eq!(tree.root(count), Some(merkle::root(&leaves)));
            for index in 0..count {
                let path = tree.inclusion_proof(index, count).unwrap();
                assert_eq!(path, merkle::inclusion_proof(&leaves, index));
            }
            for old in 1..=count {
                let path = tree.consistency_proof(old, count).unwrap();
                let (old_root, root) = (tree.root(old).unwrap(), tree.root(count).unwrap());
                assert!(merkle::verify_consistency(
                    old, &old_root, count, &root, &path
                ));
            }
            let leaf = merkle::leaf_hash(&count.to_le_bytes());
            tree.push(leaf);
            leaves.push(leaf);
        }
        assert_eq!(
            (
                tree.root(42),
                tree.inclusion_proof(5, 5),
                tree.consistency_proof(3, 2)
            ),
            (None, None, None)
        );
    }
}
