// SPDX-License-Identifier: Apache-2.0
//! Notes, checkpoints, cosignatures and trust policies as C2SP writes them.

use std::sync::LazyLock;

use consilium_audit::{
    CheckpointNote, NoteVerifier, SignedNote, TrustPolicy, WitnessSet,
    checkpoint::CheckpointFault,
    note::NoteFault,
    witness::{CosignatureVerifier, QuorumFault, WitnessSetFault},
};
use consilium_crypto::transcript::sha256;
use data_encoding::BASE64;
use proptest::prelude::*;

use crate::support::{Consortium, SILOS, key, signer, trust, witness};

/// The note and the key of the specification's example of a witnessed checkpoint (C2SP tlog-cosignature).
const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
    — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

#[test]
fn the_example_of_the_specification_is_read_and_written_unchanged() {
    let note: SignedNote = EXAMPLE.parse().unwrap();
    assert_eq!(note.to_string(), EXAMPLE);
    assert_eq!(note.signatures().len(), 2);
    assert_eq!(note.signatures()[1].name(), "witness.example.com/w1");
}

#[test]
fn a_signature_in_several_padded_pieces_is_another_spelling_and_refused() {
    let line = EXAMPLE.lines().last().unwrap();
    let (start, payload) = line.rsplit_once(' ').unwrap();
    let bytes = BASE64.decode(payload.as_bytes()).unwrap();
    let pieces = [BASE64.encode(&bytes[..10]), BASE64.encode(&bytes[10..])].concat();
    assert_eq!(BASE64.decode(pieces.as_bytes()).unwrap(), bytes);
    let respelled = EXAMPLE.replace(line, &format!("{start} {pieces}"));
    assert!(matches!(
        respelled.parse::<SignedNote>(),
        Err(NoteFault::Malformed)
    ));
}

#[test]
fn the_verifier_key_of_the_go_checksum_database_is_read() {
    let vkey = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    let verifier = NoteVerifier::from_vkey(vkey).unwrap();
    assert_eq!(
        (verifier.origin(), verifier.to_vkey().as_str()),
        ("sum.golang.org", vkey)
    );
    let wrong_identifier = vkey.replace("033de0ae", "033de0af");
    assert!(matches!(
        NoteVerifier::from_vkey(&wrong_identifier),
        Err(NoteFault::Key { .. })
    ));
    // The type byte is part of the key: a log's key is no witness's key.
    assert!(CosignatureVerifier::from_vkey(vkey).is_err());
}

#[test]
fn a_checkpoint_by_another_key_or_of_another_log_is_refused() {
    let note = CheckpointNote::sign(0, sha256(b""), &signer())
        .unwrap()
        .to_string();
    let log = signer().verifier();
    assert!(CheckpointNote::open(&note, &log).is_ok());
    let other_key = NoteVerifier::new(log.origin(), key(2).verifying_key()).unwrap();
    assert!(matches!(
        CheckpointNote::open(&note, &other_key),
        Err(CheckpointFault::Note(NoteFault::Unsigned { .. }))
    ));
    let other_log = NoteVerifier::new("other.example/log", key(1).verifying_key()).unwrap();
    assert!(CheckpointNote::open(&note, &other_log).is_err());
    let changed = note.replace("\n0\n", "\n1\n");
    assert!(matches!(
        CheckpointNote::open(&changed, &log),
        Err(CheckpointFault::Note(NoteFault::WrongSignature { .. }))
    ));
}

#[test]
fn a_cosigned_checkpoint_counts_each_witness_once() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    let note = consortium.cosign_by(&[0, 2]);
    let policy = trust();
    let names: Vec<_> = policy
        .witnesses
        .count_valid(&note)
        .unwrap()
        .into_iter()
        .collect();
    assert_eq!(names, ["1_UM", "3_UK"]);
    assert!(matches!(
        trust().witnesses.require_quorum(&note),
        Err(QuorumFault::TooFew {
            cosigned: 2,
            quorum: 3,
            ..
        })
    ));
    // The same line again, and lines of strangers, change nothing.
    let line = note.note().signatures()[1].to_string();
    let again = consortium
        .log
        .add_cosignatures(note.size(), &[line.clone(), line])
        .unwrap();
    assert_eq!(again.valid.len(), 2);
    // A note that carries one line twice is refused whole.
    let twice = format!("{note}{}\n", note.note().signatures()[1]);
    let twice = CheckpointNote::open(&twice, &signer().verifier()).unwrap();
    assert!(matches!(
        trust().witnesses.count_valid(&twice),
        Err(NoteFault::RepeatedSignature { .. })
    ));
}

#[test]
fn wrong_cosignatures_are_handed_back_and_never_stored() {
    let mut consortium = Consortium::new();
    let old_head = consortium.cosign();
    consortium.consent("s");
    let head = consortium.log.checkpoint().unwrap();
    let stranger = "— stranger AAAAAAAA".to_owned();
    let of_another_head = old_head.note().signatures()[1].to_string();
    let outcome = consortium
        .log
        .add_cosignatures(
            head.size(),
            &[stranger, of_another_head, "no line".to_owned()],
        )
        .unwrap();
    assert_eq!(
        (
            outcome.valid.len(),
            outcome.refused.len(),
            outcome.reached()
        ),
        (0, 3, false)
    );
    assert_eq!(
        consortium
            .log
            .checkpoint_note(head.size())
            .unwrap()
            .note()
            .signatures()
            .len(),
        1
    );
}

#[test]
fn beside_a_valid_cosignature_its_witness_gets_no_other_line_into_the_log() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    let head = consortium.cosign_by(&[0, 1, 2]);
    let valid = head.note().signatures()[1].clone();
    let line_of = |bytes: &[u8]| format!("— {} {}", valid.name(), BASE64.encode(bytes));
    let own = BASE64
        .decode(valid.to_string().rsplit(' ').next().unwrap().as_bytes())
        .unwrap();
    let other_key = [&[0xAA; 4], &own[4..]].concat();
    let longer = [own.as_slice(), &[0]].concat();
    let junk: Vec<String> = (0..3)
        .map(|key_id| line_of(&vec![key_id; 90_000]))
        .collect();
    let lines = [vec![line_of(&other_key), line_of(&longer)], junk].concat();
    let outcome = consortium
        .log
        .add_cosignatures(head.size(), &lines)
        .unwrap();
    assert_eq!((outcome.valid.len(), outcome.refused.len()), (3, 5));
    let stored = consortium.log.checkpoint_note(head.size()).unwrap();
    assert_eq!(stored, head);
}

#[test]
fn a_later_cosignature_of_one_head_by_the_same_witness_changes_nothing() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    let head = consortium.cosign_by(&[0, 1, 2]);
    let again = consortium.witnesses[0]
        .cosign(&head.to_string(), head.size(), &[], 1_795_493_222)
        .unwrap()
        .to_string();
    assert_ne!(again, head.note().signatures()[1].to_string());
    let outcome = consortium
        .log
        .add_cosignatures(head.size(), &[again])
        .unwrap();
    assert_eq!((outcome.valid.len(), outcome.refused.len()), (3, 0));
    let stored = consortium.log.checkpoint_note(head.size()).unwrap();
    assert_eq!(stored, head);
}

#[test]
fn a_trust_policy_is_read_as_it_is_written() {
    let policy = trust();
    assert_eq!(policy.to_string().parse::<TrustPolicy>().unwrap(), policy);
    let alone = TrustPolicy::new(signer().verifier(), WitnessSet::none());
    assert_eq!(alone.to_string().parse::<TrustPolicy>().unwrap(), alone);
    let commented = format!(
        "# of the roster\n\n  {}",
        policy
            .to_string()
            .replace("group members 3", "group\tmembers  3")
    );
    assert_eq!(commented.parse::<TrustPolicy>().unwrap(), policy);
    let all = policy
        .to_string()
        .replace("group members 3", "group members all");
    assert_eq!(all.parse::<TrustPolicy>().unwrap().witnesses.quorum(), 4);
}

#[test]
fn a_trust_policy_that_could_be_misread_is_refused() {
    let policy = trust().to_string();
    let broken = [
        policy.replace("quorum members", ""),
        policy.replace("quorum members", "quorum others"),
        policy.replace("group members 3", "group members 5"),
        policy.replace("group members 3", "group members 0"),
        policy.replace("group members 3", "group members three"),
        policy.replace("log ", "ledger "),
        policy.replace(&signer().verifier().to_vkey(), "x"),
        format!("{policy}log {}\n", signer().verifier().to_vkey()),
        policy.replace(
            &witness(1).verifier().to_vkey(),
            &witness(0).verifier().to_vkey(),
        ),
        policy.replace(" 4_Case\nquorum", "\nquorum"),
    ];
    for text in broken {
        assert_ne!(text, policy);
        assert!(text.parse::<TrustPolicy>().is_err(), "{text}");
    }
}

#[test]
fn one_key_under_two_names_is_refused() {
    let keys = |second: u8| {
        [
            ("a".to_owned(), key(1).verifying_key()),
            ("b".to_owned(), key(second).verifying_key()),
        ]
    };
    assert!(WitnessSet::new(keys(2), 2).is_ok());
    assert!(matches!(
        WitnessSet::new(keys(1), 2),
        Err(WitnessSetFault::Repeated { .. })
    ));
    for quorum in [0, 3] {
        assert!(matches!(
            WitnessSet::new(keys(2), quorum),
            Err(WitnessSetFault::Quorum { .. })
        ));
    }
    let spaced = [("a b".to_owned(), key(1).verifying_key())];
    assert!(matches!(
        WitnessSet::new(spaced, 1),
        Err(WitnessSetFault::Name(_))
    ));
}

proptest! {
    #[test]
    fn arbitrary_text_is_refused_or_read_unchanged(text in "(.|\n|— [a-z]{1,4} [A-Za-z0-9+/=]{0,12}){0,80}") {
        if let Ok(note) = text.parse::<SignedNote>() {
            prop_assert_eq!(note.to_string(), text);
        }
    }

    #[test]
    fn a_checkpoint_with_any_byte_changed_is_refused(at in 0_usize..200, flip in 1_u8..=255) {
        static NOTE: LazyLock<String> = LazyLock::new(|| Consortium::new().cosign().to_string());
        let mut bytes = NOTE.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        let believed = String::from_utf8(bytes).ok().and_then(|text| {
            let note = CheckpointNote::open(&text, &signer().verifier()).ok()?;
            let valid = trust().witnesses.count_valid(&note).map_or(0, |names| names.len());
            (valid == SILOS.len()).then_some(())
        });
        prop_assert!(believed.is_none());
    }
}
