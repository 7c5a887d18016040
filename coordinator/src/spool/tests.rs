// SPDX-License-Identifier: Apache-2.0
use super::*;
use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;
use consilium_protocol::{Envelope, Sender, chunk_digest, upload_root};
use std::fs::OpenOptions;

const ID: AttemptId = AttemptId {
    epoch: 1,
    round: 7,
    attempt: 2,
};

const CHUNKS: [&[u8]; 3] = [b"one1", b"two2", b"3"];

fn silo(name: &str) -> SiloName {
    SiloName::parse(name).unwrap()
}

fn spool(folder: &tempfile::TempDir) -> Arc<Spool> {
    Arc::new(Spool::open(&folder.path().join("blobs")).unwrap())
}

fn digests(chunks: &[&[u8]]) -> Vec<Digest> {
    chunks.iter().map(|bytes| chunk_digest(bytes)).collect()
}

fn announce(spool: &Spool, id: AttemptId, name: &str, chunks: &[&[u8]]) -> Result<u64, SpoolFault> {
    let key = SigningKey::from_seed(&Secret::new([1; 32]));
    let announcement = Announcement {
        root: upload_root(&digests(chunks)),
        chunk_bytes: u64::try_from(chunks[0].len()).unwrap(),
        length: chunks.iter().map(|chunk| chunk.len()).sum::<usize>() as u64,
        signed: Envelope {
            sender: Sender::Silo(silo(name)),
            body: b"the root".to_vec(),
            signature: key.sign(consilium_crypto::label::Label::SiloMessage, &[b"the root"]),
        },
    };
    let progress = spool.announce(id, &silo(name), &announcement, &digests(chunks))?;
    Ok(progress.held)
}

fn append(spool: &Spool, index: usize) -> Result<(), SpoolFault> {
    let place = u64::try_from(index).unwrap();
    spool.append(ID, &silo("3_UK"), place, CHUNKS[index], |_| true)
}

fn held(spool: &Spool) -> u64 {
    let progress = spool.progress(ID, &silo("3_UK")).unwrap();
    progress.map_or(0, |progress| progress.held)
}

#[test]
fn bytes_come_back_under_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(&folder);
    let name = spool.put(b"masked").unwrap();
    assert_eq!(spool.put(b"masked").unwrap(), name);
    assert_eq!(spool.get(&name).unwrap(), b"masked");
    assert!(matches!(
        spool.get(&sha256(b"never")),
        Err(SpoolFault::Disk { .. })
    ));
}

#[test]
fn a_damaged_blob_is_not_handed_out() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(&folder);
    let name = spool.put(b"masked").unwrap();
    fs::write(spool.path_of(&name), b"mashed").unwrap();
    assert!(matches!(spool.get(&name), Err(SpoolFault::Damaged(_))));
    // Read in pieces, it ends before its last one.
    let mut reader = spool.reader(&name).unwrap();
    assert_eq!(reader.next(4).unwrap().unwrap(), b"mash");
    assert!(matches!(reader.next(4), Err(SpoolFault::Damaged(_))));
}

#[test]
fn a_blob_in_pieces_has_the_name_of_the_whole_and_an_unfinished_one_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(&folder);
    let shelves = || {
        fs::read_dir(folder.path().join("blobs/sha256"))
            .unwrap()
            .count()
    };
    let mut unfinished = spool.writer().unwrap();
    unfinished.write(b"mas").unwrap();
    drop(unfinished);
    assert_eq!(shelves(), 0);
    let mut writer = spool.writer().unwrap();
    for piece in [&b"mas"[..], b"", b"ked"] {
        writer.write(piece).unwrap();
    }
    let name = writer.finish().unwrap();
    assert_eq!((name, shelves()), (sha256(b"masked"), 1));
    let mut reader = spool.reader(&name).unwrap();
    assert_eq!(reader.left(), 6);
    assert_eq!(reader.next(5).unwrap().unwrap(), b"maske");
    assert_eq!(reader.next(5).unwrap().unwrap(), b"d");
    assert_eq!(reader.next(5).unwrap(), None);
}

#[test]
fn an_upload_goes_on_after_a_restart_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let before = spool(&folder);
    assert!(matches!(
        append(&before, 0),
        Err(SpoolFault::NotAnnounced { index: 0 })
    ));
    assert_eq!(announce(&before, ID, "3_UK", &CHUNKS).unwrap(), 0);
    append(&before, 0).unwrap();
    append(&before, 1).unwrap();
    assert_eq!(held(&before), 0, "nobody has waited for the disk");
    before.sync(ID, &silo("3_UK")).unwrap();
    assert_eq!(held(&before), 2);

    let after = spool(&folder);
    assert_eq!(announce(&after, ID, "3_UK", &CHUNKS).unwrap(), 2);
    append(&after, 2).unwrap();
    let progress = after.sync(ID, &silo("3_UK")).unwrap().unwrap();
    assert!(progress.is_complete() && after.is_undamaged(ID, &silo("3_UK")).unwrap());
    assert_eq!(progress.root, upload_root(&digests(&CHUNKS)));
    assert_eq!(progress.bytes, 9);
    let chunks = after.chunks_of(ID);
    for (index, chunk) in (0..).zip(CHUNKS) {
        assert_eq!(chunks.chunk(&silo("3_UK"), index).unwrap(), chunk);
    }
    assert!(chunks.chunk(&silo("3_UK"), 3).is_err());
    assert!(chunks.chunk(&silo("1_UM"), 0).is_err());
}

#[test]
fn a_torn_or_damaged_chunk_is_one_that_never_came() {
    let folder = tempfile::tempdir().unwrap();
    let path = spool(&folder).upload_path(ID, &silo("3_UK"));
    for (damaged, whole) in [
        (&b"one1tw"[..], 1),
        (b"one1twoX3", 1),
        (b"onX1two23", 0),
        (b"", 0),
    ] {
        announce(&spool(&folder), ID, "3_UK", &CHUNKS).unwrap();
        fs::write(&path, damaged).unwrap();
        let after = spool(&folder);
        assert!(!after.is_undamaged(ID, &silo("3_UK")).unwrap());
        assert_eq!(announce(&after, ID, "3_UK", &CHUNKS).unwrap(), whole);
        for index in usize::try_from(whole).unwrap()..3 {
            append(&after, index).unwrap();
        }
        assert!(
            after
                .sync(ID, &silo("3_UK"))
                .unwrap()
                .unwrap()
                .is_complete()
        );
        assert_eq!(fs::read(&path).unwrap(), b"one1two23");
    }
}

#[test]
fn a_repeated_chunk_is_harmless_and_a_different_or_early_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(&folder);
    announce(&spool, ID, "3_UK", &CHUNKS).unwrap();
    append(&spool, 0).unwrap();
    append(&spool, 0).unwrap();
    let other = spool.append(ID, &silo("3_UK"), 0, b"two2", |_| true);
    assert!(matches!(
        other,
        Err(SpoolFault::OtherChunk { index: 0, .. })
    ));
    let other = spool.append(ID, &silo("3_UK"), 1, b"one1", |_| true);
    assert!(matches!(
        other,
        Err(SpoolFault::OtherChunk { index: 1, .. })
    ));
    let early = append(&spool, 2);
    assert!(matches!(
        early,
        Err(SpoolFault::OutOfTurn {
            index: 2,
            expected: 1
        })
    ));
    let unpacked = spool.append(ID, &silo("3_UK"), 1, CHUNKS[1], |_| false);
    assert!(matches!(unpacked, Err(SpoolFault::NotPacked { index: 1 })));
    spool.sync(ID, &silo("3_UK")).unwrap();
    assert_eq!(held(&spool), 1);
}

#[test]
fn one_silo_has_one_root_in_an_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(&folder);
    announce(&spool, ID, "3_UK", &CHUNKS).unwrap();
    append(&spool, 0).unwrap();
    let other = announce(&spool, ID, "3_UK", &[b"two2", b"one1", b"3"]);
    assert!(matches!(other, Err(SpoolFault::OtherRoot)));
    assert_eq!(announce(&spool, ID, "3_UK", &CHUNKS).unwrap(), 1);
}

#[test]
fn old_uploads_are_forgotten_and_results_of_the_same_bytes_stay() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(&folder);
    let result = spool.put(CHUNKS[0]).unwrap();
    announce(&spool, ID, "3_UK", &CHUNKS).unwrap();
    append(&spool, 0).unwrap();
    spool.sync(ID, &silo("3_UK")).unwrap();
    let day = Duration::from_secs(86_400);
    spool.forget_uploads(day, None).unwrap();
    assert_eq!(held(&spool), 1);
    spool.forget_uploads(Duration::ZERO, None).unwrap();
    assert_eq!(held(&spool), 0);
    assert!(spool.chunks_of(ID).chunk(&silo("3_UK"), 0).is_err());
    assert_eq!(spool.get(&result).unwrap(), CHUNKS[0]);
}

#[test]
fn the_attempt_in_flight_keeps_its_uploads_however_old() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(&folder);
    let other = AttemptId { attempt: 3, ..ID };
    for id in [ID, other] {
        announce(&spool, id, "3_UK", &CHUNKS).unwrap();
        spool
            .append(id, &silo("3_UK"), 0, CHUNKS[0], |_| true)
            .unwrap();
        spool.sync(id, &silo("3_UK")).unwrap();
    }
    spool.forget_uploads(Duration::ZERO, Some(ID)).unwrap();
    assert_eq!(
        spool.chunks_of(ID).chunk(&silo("3_UK"), 0).unwrap(),
        CHUNKS[0]
    );
    assert!(spool.chunks_of(other).chunk(&silo("3_UK"), 0).is_err());
}

#[test]
fn bytes_behind_what_is_held_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let before = spool(&folder);
    announce(&before, ID, "3_UK", &CHUNKS).unwrap();
    append(&before, 0).unwrap();
    before.sync(ID, &silo("3_UK")).unwrap();
    let path = before.upload_path(ID, &silo("3_UK"));
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"two").unwrap();
    assert_eq!(announce(&spool(&folder), ID, "3_UK", &CHUNKS).unwrap(), 1);
}
