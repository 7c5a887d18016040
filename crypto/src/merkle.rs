// SPDX-License-Identifier: Apache-2.0
//! Merkle trees, inclusion proofs and consistency proofs of [RFC 6962], section 2.1.
//!
//! Trees are given by their leaf hashes, left to right. The functions that verify take proofs from
//! strangers: any input is answered, none makes them panic.
//!
//! [RFC 6962]: https://www.rfc-editor.org/rfc/rfc6962#section-2.1

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::transcript::sha256;

/// The hash of one leaf's content.
pub fn leaf_hash(content: &[u8]) -> Digest {
    let mut sha256 = Sha256::new();
    sha256.update([0]);
    sha256.update(content);
    Digest::from_bytes(sha256.finalize().into())
}

/// The hash of an inner node over its two children.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut sha256 = Sha256::new();
    sha256.update([1]);
    sha256.update(left.as_bytes());
    sha256.update(right.as_bytes());
    Digest::from_bytes(sha256.finalize().into())
}

/// The root of a tree (MTH). The empty tree's root is the hash of nothing.
pub fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(largest_power_below(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// The audit path of leaf `index` (PATH), nearest sibling first. Empty when there is no such leaf;
/// nothing accepts that as a proof.
pub fn inclusion_proof(leaves: &[Digest], index: u64) -> Vec<Digest> {
    let mut proof = Vec::new();
    if let Ok(index) = usize::try_from(index)
        && index < leaves.len()
    {
        push_inclusion(leaves, index, &mut proof);
    }
    proof
}

fn push_inclusion(leaves: &[Digest], index: usize, proof: &mut Vec<Digest>) {
    if leaves.len() <= 1 {
        return;
    }
    let split = largest_power_below(leaves.len());
    let (left, right) = leaves.split_at(split);
    if index < split {
        push_inclusion(left, index, proof);
        proof.push(root(right));
    } else {
        push_inclusion(right, index - split, proof);
        proof.push(root(left));
    }
}

/// The root, and the audit path of every leaf. COST: each node is hashed once.
pub fn inclusion_proofs(leaves: &[Digest]) -> (Digest, Vec<Vec<Digest>>) {
    let mut proofs = vec![Vec::new(); leaves.len()];
    let root = extend_proofs(leaves, &mut proofs);
    (root, proofs)
}

/// Appends to the proof of each leaf what it needs of this tree, and gives the tree's root.
fn extend_proofs(leaves: &[Digest], proofs: &mut [Vec<Digest>]) -> Digest {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        _ => {
            let split = largest_power_below(leaves.len());
            let (left, right) = leaves.split_at(split);
            let (left_proofs, right_proofs) = proofs.split_at_mut(split);
            let left = extend_proofs(left, left_proofs);
            let right = extend_proofs(right, right_proofs);
            for proof in left_proofs {
                proof.push(right);
            }
            for proof in right_proofs {
                proof.push(left);
            }
            node_hash(&left, &right)
        }
    }
}

/// How many nodes the audit path of leaf `index` has in a tree of `size` leaves; none when there is no such leaf.
pub fn path_length(index: u64, size: u64) -> usize {
    if index >= size {
        return 0;
    }
    let (mut node, mut last, mut length) = (index, size - 1, 0);
    while last > 0 {
        // A last node without a sibling stands a level higher as it is.
        if node & 1 == 1 || node < last {
            length += 1;
        }
        node >>= 1;
        last >>= 1;
    }
    length
}

/// Whether `proof` shows that `leaf` (a leaf hash) stands at `index` in the tree of `size` leaves with
/// this root.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> bool {
    if index >= size {
        return false;
    }
    // The walk of RFC 9162, section 2.1.3.2.
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// The proof that the tree of the first `old` leaves is a prefix of this one (PROOF). Empty when
/// `old` is zero, the whole tree, or beyond it.
pub fn consistency_proof(leaves: &[Digest], old: u64) -> Vec<Digest> {
    let mut proof = Vec::new();
    if let Ok(old) = usize::try_from(old)
        && 0 < old
        && old < leaves.len()
    {
        push_consistency(leaves, old, true, &mut proof);
    }
    proof
}

fn push_consistency(leaves: &[Digest], old: usize, whole: bool, proof: &mut Vec<Digest>) {
    if old == leaves.len() {
        // The old root itself is known to the verifier and is left out.
        if !whole {
            proof.push(root(leaves));
        }
        return;
    }
    let split = largest_power_below(leaves.len());
    let (left, right) = leaves.split_at(split);
    if old <= split {
        push_consistency(left, old, whole, proof);
        proof.push(root(right));
    } else {
        push_consistency(right, old - split, false, proof);
        proof.push(root(left));
    }
}

/// Whether `proof` shows that the tree of `old_size` leaves is a prefix of the tree of `new_size`. Every
/// tree extends the empty one, whose root must then be the empty tree's, and the proof empty.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Digest,
    new_size: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> bool {
    if old_size > new_size {
        return false;
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    if old_size == 0 {
        return proof.is_empty() && *old_root == sha256(&[]);
    }
    // The walk of RFC 9162, section 2.1.4.2. A complete old tree is itself the first node.
    let (first, rest) = if old_size.is_power_of_two() {
        (*old_root, proof)
    } else {
        match proof.split_first() {
            Some((first, rest)) => (*first, rest),
            None => return false,
        }
    };
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

/// The largest power of two smaller than `count`, for a count of at least two.
fn largest_power_below(count: usize) -> usize {
    1 << (count - 1).ilog2()
}
