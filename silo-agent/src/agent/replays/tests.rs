// SPDX-License-Identifier: Apache-2.0
use std::thread;

use consilium_wire::v1::silo_frame;

use super::*;
use crate::coordinator_link::Outgoing;

const ID: AttemptId = AttemptId {
    epoch: 1,
    round: 7,
    attempt: 2,
};

struct Fetching {
    running: RunningReplay,
    source: Fetched,
    outgoing: Outgoing,
}

fn fetching() -> Fetching {
    let (session, outgoing) = Session::new();
    let (parts, answers) = sync_channel(1);
    let source = Fetched {
        id: ID,
        session: session.clone(),
        answers,
        chunks: 1,
        fetched: Cell::new(0),
        crash: None,
    };
    Fetching {
        running: RunningReplay {
            id: ID,
            session,
            parts,
        },
        source,
        outgoing,
    }
}

fn silo() -> SiloName {
    SiloName::parse("3_UK").unwrap()
}

/// What the agent asks, answered by `answer`.
fn answered(
    ask: impl FnOnce(&Fetched) -> io::Result<Vec<u8>> + Send + 'static,
    answer: impl FnOnce(v1::ReplayRequest) -> v1::ReplayPart,
) -> io::Result<Vec<u8>> {
    let Fetching {
        running,
        source,
        mut outgoing,
    } = fetching();
    let asking = thread::spawn(move || ask(&source));
    let frame = outgoing.uploads.blocking_recv().unwrap().frame;
    let Some(silo_frame::Frame::ReplayRequest(request)) = frame else {
        unreachable!("{frame:?}")
    };
    running.answered(answer(request));
    asking.join().unwrap()
}

#[test]
fn a_part_is_what_answers_the_question() {
    let chunk = answered(
        |source| source.chunk(&silo(), 4),
        |request| {
            assert_eq!((request.silo.as_str(), request.index), ("3_UK", Some(4)));
            request.answered(Answer::Data(b"chunk".to_vec()))
        },
    );
    assert_eq!(chunk.unwrap(), b"chunk");
}

#[test]
fn a_refusal_an_empty_answer_and_the_answer_to_another_question_are_faults() {
    let ask = |source: &Fetched| source.sum_chunk(0);
    let refused = answered(ask, |request| {
        request.answered(Answer::Refused("too late".to_owned()))
    });
    assert!(refused.unwrap_err().to_string().contains("too late"));
    let empty = answered(ask, |request| v1::ReplayPart {
        answer: None,
        ..request.answered(Answer::Data(Vec::new()))
    });
    assert!(empty.unwrap_err().to_string().contains("empty"));
    let other = answered(ask, |request| v1::ReplayPart {
        silo: "3_UK".to_owned(),
        ..request.answered(Answer::Data(Vec::new()))
    });
    assert!(other.unwrap_err().to_string().contains("another question"));
}

#[test]
fn a_list_of_digests_has_no_half_of_one() {
    let short = answered(
        |source| source.chunk_digests(&silo()).map(|_| Vec::new()),
        |request| request.answered(Answer::Data(vec![0; 63])),
    );
    assert!(short.unwrap_err().to_string().contains("within one"));
}

#[test]
fn whoever_waits_for_a_part_gives_up_with_the_session_and_unasked_parts_do_not_gather() {
    let Fetching {
        running,
        source,
        outgoing: _outgoing,
    } = fetching();
    let part = v1::ReplayRequest::new(ID, None, Some(9)).answered(Answer::Data(vec![0; 9]));
    for _ in 0..9 {
        running.answered(part.clone());
    }
    assert_eq!(source.answers.try_iter().count(), 1);
    let elsewhere = AttemptId { round: 8, ..ID };
    running
        .answered(v1::ReplayRequest::new(elsewhere, None, Some(9)).answered(Answer::Data(vec![])));
    assert_eq!(source.answers.try_iter().count(), 0);
    drop(running);
    assert!(
        source
            .sum_chunk(0)
            .unwrap_err()
            .to_string()
            .contains("is over")
    );
}
