// SPDX-License-Identifier: Apache-2.0
//! Proofs over trees of every small size, true and false.

use consilium_crypto::Digest;
use consilium_crypto::merkle::{
    consistency_proof, inclusion_proof, inclusion_proofs, leaf_hash, node_hash, path_length, root,
    verify_consistency, verify_inclusion,
};
use proptest::prelude::*;

const LARGEST: u64 = 40;

fn leaves(count: u64) -> Vec<Digest> {
    (0..count)
        .map(|leaf| leaf_hash(&leaf.to_le_bytes()))
        .collect()
}

fn flipped(digest: &Digest) -> Digest {
    let mut bytes = *digest.as_bytes();
    bytes[13] ^= 0x20;
    Digest::from_bytes(bytes)
}

#[test]
fn every_leaf_of_every_tree_is_proved_at_its_own_place_only() {
    for size in 1..=LARGEST {
        let leaves = leaves(size);
        let root = root(&leaves);
        for (index, leaf) in (0..).zip(&leaves) {
            let proof = inclusion_proof(&leaves, index);
            for claimed in 0..size + 2 {
                let accepted = verify_inclusion(leaf, claimed, size, &proof, &root);
                assert_eq!(
                    accepted,
                    claimed == index,
                    "leaf {index} of {size} at {claimed}"
                );
            }
            assert!(!verify_inclusion(
                &flipped(leaf),
                index,
                size,
                &proof,
                &root
            ));
            assert!(!verify_inclusion(
                leaf,
                index,
                size,
                &proof,
                &flipped(&root)
            ));
        }
    }
}

#[test]
fn all_proofs_at_once_are_those_of_each_leaf() {
    for size in 0..=LARGEST {
        let leaves = leaves(size);
        let (all_root, proofs) = inclusion_proofs(&leaves);
        assert_eq!(all_root, root(&leaves));
        let each: Vec<_> = (0..size)
            .map(|index| inclusion_proof(&leaves, index))
            .collect();
        assert_eq!(proofs, each);
        let lengths: Vec<_> = (0..size).map(|index| path_length(index, size)).collect();
        assert_eq!(lengths, each.iter().map(Vec::len).collect::<Vec<_>>());
        assert_eq!(path_length(size, size), 0);
    }
}

#[test]
fn an_altered_shortened_or_lengthened_inclusion_proof_is_refused() {
    for size in 1..=LARGEST {
        let leaves = leaves(size);
        let root = root(&leaves);
        for (index, leaf) in (0..).zip(&leaves) {
            let proof = inclusion_proof(&leaves, index);
            let refused = |proof: &[Digest]| !verify_inclusion(leaf, index, size, proof, &root);
            for position in 0..proof.len() {
                let mut altered = proof.clone();
                altered[position] = flipped(&altered[position]);
                assert!(refused(&altered));
                let mut shortened = proof.clone();
                shortened.remove(position);
                assert!(refused(&shortened));
            }
            assert!(refused(&[proof.as_slice(), &[root]].concat()));
        }
    }
}

#[test]
fn every_prefix_of_every_tree_is_proved_and_nothing_else() {
    for new_size in 1..=LARGEST {
        let leaves = leaves(new_size);
        let new_root = root(&leaves);
        for old_size in 0..=new_size {
            let old_root = root(&leaves[..usize::try_from(old_size).unwrap()]);
            let proof = consistency_proof(&leaves, old_size);
            assert!(verify_consistency(
                old_size, &old_root, new_size, &new_root, &proof
            ));
            assert!(!verify_consistency(
                old_size,
                &flipped(&old_root),
                new_size,
                &new_root,
                &proof
            ));
            let false_root = flipped(&new_root);
            if old_size > 0 {
                assert!(!verify_consistency(
                    old_size,
                    &old_root,
                    new_size,
                    &false_root,
                    &proof
                ));
            }
            for position in 0..proof.len() {
                let mut altered = proof.clone();
                altered[position] = flipped(&altered[position]);
                assert!(!verify_consistency(
                    old_size, &old_root, new_size, &new_root, &altered
                ));
                let mut shortened = proof.clone();
                shortened.remove(position);
                assert!(!verify_consistency(
                    old_size, &old_root, new_size, &new_root, &shortened
                ));
            }
            let lengthened = [proof.as_slice(), &[new_root]].concat();
            assert!(!verify_consistency(
                old_size,
                &old_root,
                new_size,
                &new_root,
                &lengthened
            ));
        }
    }
}

#[test]
fn a_rewritten_history_is_not_consistent() {
    for old_size in 1..20 {
        let honest = leaves(old_size);
        let mut rewritten = leaves(LARGEST);
        rewritten[0] = leaf_hash(b"never happened");
        let proof = consistency_proof(&rewritten, old_size);
        assert!(!verify_consistency(
            old_size,
            &root(&honest),
            LARGEST,
            &root(&rewritten),
            &proof
        ));
    }
}

#[test]
fn nonsense_is_answered_and_not_believed() {
    let leaves = leaves(5);
    let root = root(&leaves);
    assert!(inclusion_proof(&leaves, 5).is_empty());
    assert!(inclusion_proof(&[], 0).is_empty());
    assert!(inclusion_proof(&leaves, u64::MAX).is_empty());
    assert!(consistency_proof(&leaves, 6).is_empty());
    assert!(consistency_proof(&leaves, u64::MAX).is_empty());
    assert!(!verify_inclusion(&root, 0, 0, &[], &root));
    assert!(!verify_inclusion(&root, u64::MAX, u64::MAX, &leaves, &root));
    assert!(!verify_consistency(6, &root, 5, &root, &[]));
    assert!(!verify_consistency(0, &root, 5, &root, &[]));
}

#[test]
fn leaves_and_inner_nodes_are_hashed_apart() {
    let (left, right) = (leaf_hash(b"left"), leaf_hash(b"right"));
    let both = [left.as_bytes().as_slice(), right.as_bytes()].concat();
    assert_ne!(node_hash(&left, &right), leaf_hash(&both));
}

proptest! {
    #[test]
    fn random_proofs_never_pass(
        index: u64,
        size: u64,
        proof in proptest::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        let proof: Vec<Digest> = proof.into_iter().map(Digest::from_bytes).collect();
        let [leaf, root] = [leaf_hash(b"leaf"), leaf_hash(b"root")];
        prop_assert!(!verify_inclusion(&leaf, index, size, &proof, &root));
        prop_assert!(!verify_consistency(index, &leaf, size, &root, &proof) );
    }
}
