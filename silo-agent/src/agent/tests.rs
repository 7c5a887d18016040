// SPDX-License-Identifier: Apache-2.0
//! Attacks of a lying coordinator on a real agent: each fails, and the agent goes on.

mod batches;
mod evaluation;
mod failing;
mod hospital;
mod labels;
mod leftovers;
mod refused;
mod unfit;

use std::fs;
use std::path::PathBuf;

use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;
use consilium_protocol::{SiloMessage, peek_plan};
use consilium_wire::limits::STUDY_BYTES;
use consilium_wire::v1::{self, coordinator_frame};

use super::*;
use crate::journal::StudyState;
use crate::test_federation;
use frames::MOST_OPEN_STUDIES;
use hospital::{Hospital, OWN, POLICY, open, trainer, try_open};

fn declined(hospital: &Hospital) -> Vec<(&str, &str)> {
    hospital
        .said
        .iter()
        .filter_map(|frame| match frame {
            silo_frame::Frame::Declined(declined) => {
                Some((declined.study_id.as_str(), declined.reason.as_str()))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn a_round_runs_from_open_to_release_and_its_release_is_journalled() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    hospital.open(&study, 1, &[]);
    hospital.finish(&study);
    let record = hospital.agent.journal.study(&study).unwrap().unwrap();
    assert!(record.complete);
    assert_eq!(record.rounds_done, 1);
    let newest = hospital.agent.journal.newest_release().unwrap();
    assert_eq!(newest, record.last_release);
    assert!(hospital.asked().ends_with('3'));
    assert!(declined(&hospital).is_empty());
}

#[test]
fn a_silo_signs_that_it_verified_a_sum_once_it_has_and_not_because_a_study_is_over() {
    use consilium_audit::acceptance::AcceptedRelease;
    use consilium_audit::entry::AttemptReference;
    use consilium_audit::witness::CosignatureVerifier;
    let accepted = |hospital: &Hospital| -> Vec<v1::ReleaseAccepted> {
        let said = hospital.said.iter();
        said.filter_map(|frame| match frame {
            silo_frame::Frame::ReleaseAccepted(accepted) => Some(accepted.clone()),
            _ => None,
        })
        .collect()
    };
    // The coordinator says that the study is complete, and shows no release.
    let mut deceived = Hospital::new();
    let study = deceived.consented("ages");
    deceived.open(&study, 1, &[]);
    deceived.advance_to(&study, "Release");
    deceived.frame(coordinator_frame::Frame::Ended(v1::StudyEnded {
        study_id: study,
        outcome: v1::StudyState::Completed.into(),
    }));
    deceived.settle();
    assert_eq!(accepted(&deceived), []);

    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    hospital.open(&study, 1, &[]);
    hospital.finish(&study);
    let (id, sum) = hospital.agent.journal.newest_release().unwrap().unwrap();
    let release = AcceptedRelease {
        origin: &hospital.federation.roster.coordinator().log_origin,
        attempt: AttemptReference {
            epoch: id.epoch,
            round: id.round,
            attempt: id.attempt,
        },
        sum: &sum,
    };
    let name = hospital.agent.name.as_str();
    let member = hospital.federation.roster.member(name).unwrap();
    let witness = CosignatureVerifier::new(name, member.witness).unwrap();
    let [signed] = &accepted(&hospital)[..] else {
        panic!("{:?}", hospital.said)
    };
    let signature = signed.signature.as_slice().try_into().unwrap();
    assert!(release.is_signed_by(&witness, &signature));
}

#[test]
fn a_message_labelled_with_another_study_trains_nothing_and_changes_nothing() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    // The attacker's own study, which nobody signed: refused here, but known by its name.
    let forger = SigningKey::from_seed(&Secret::new([66; 32]));
    let forged = hospital.offer("everything about one patient", &forger);
    let record = hospital.agent.journal.study(&forged).unwrap().unwrap();
    assert_eq!(record.state.word(), "refused");

    hospital.open(&study, 1, &[]);
    hospital.advance(&study);
    while let Some(delivery) = hospital.to_agent.front().cloned() {
        let before = (hospital.agent.machine.snapshot(), hospital.asked());
        hospital.deliver(&forged, &delivery);
        let after = (hospital.agent.machine.snapshot(), hospital.asked());
        assert!(before == after, "{:?}", delivery.envelope.peek_name());
        hospital.advance(&study);
    }
    assert!(
        hospital
            .agent
            .journal
            .study(&study)
            .unwrap()
            .unwrap()
            .complete
    );
    let forged = hospital.agent.journal.study(&forged).unwrap().unwrap();
    assert_eq!((forged.rounds_done, forged.model), (0, None));
}

#[test]
fn a_trainer_is_not_started_for_a_plan_that_does_not_follow_or_a_study_that_is_over() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    hospital.open(&study, 1, &[]);
    let plan = peek_plan(hospital.to_agent.front().unwrap()).unwrap();
    assert!(hospital.agent.training_order(&study, &plan).is_ok());
    let mut longer = plan.clone();
    longer.vector.dimension += 1;
    assert!(hospital.agent.training_order(&study, &longer).is_err());
    hospital.advance_to(&study, "DealBook");
    let ended = StudyState::Ended {
        outcome: "cancelled".to_owned(),
    };
    hospital.agent.journal.record_state(&study, &ended).unwrap();
    let deals = hospital.to_agent.pop_front().unwrap();
    hospital.deliver(&study, &deals);
    assert_eq!(hospital.agent.machine.attempt(), None);
    assert!(!hospital.asked().contains('3'));
}

#[test]
fn a_stored_vector_that_was_exchanged_is_not_masked() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    hospital.open(&study, 1, &[]);
    hospital.advance_to(&study, "CohortFreeze");
    let id = hospital.agent.machine.attempt().unwrap();
    let stored = hospital.silo().attempts().join("1-1-1").join("input");
    let mut other = fs::read(&stored).unwrap();
    other[0] ^= 1;
    let written: Vec<i64> = other
        .as_chunks::<8>()
        .0
        .iter()
        .map(|field| i64::from_le_bytes(*field))
        .collect();
    let mut exchanged = hospital.agent.files.store_input(id).unwrap();
    exchanged.push(&written).unwrap();
    exchanged.finish().unwrap();
    let freeze = hospital.to_agent.pop_front().unwrap();
    hospital.deliver(&study, &freeze);
    hospital.results(1);
    assert_eq!(hospital.agent.machine.attempt(), None);
    assert!(hospital.outgoing.uploads.try_recv().is_err());
}

#[test]
fn a_study_that_has_had_its_rounds_gets_no_further_one() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    hospital.open(&study, 1, &[]);
    hospital.finish(&study);
    let proof = hospital.release_proof();
    hospital.open(&study, 2, &[proof]);
    let opened = hospital.to_agent.pop_front().unwrap();
    hospital.deliver(&study, &opened);
    hospital.settle();
    assert_eq!(hospital.agent.machine.attempt(), None);
    assert_eq!(declined(&hospital), [(study.as_str(), "complete")]);
}

#[test]
fn another_studys_round_needs_the_last_release_in_the_cosigned_log() {
    let mut hospital = Hospital::new();
    let first = hospital.consented("ages");
    hospital.open(&first, 1, &[]);
    hospital.finish(&first);
    let second = hospital.consented("ages again");
    hospital.open(&second, 2, &[]);
    let opened = hospital.to_agent.pop_front().unwrap();
    hospital.deliver(&second, &opened);
    assert_eq!(hospital.agent.machine.attempt(), None);
    let proof = hospital.release_proof();
    hospital.open(&second, 3, &[proof]);
    let opened = hospital.to_agent.pop_front().unwrap();
    hospital.deliver(&second, &opened);
    assert_eq!(hospital.agent.machine.attempt().unwrap().round, 3);
}

#[test]
fn a_policy_that_became_stricter_ends_a_study_at_its_next_open() {
    for (rule, stricter) in [
        (
            "IRB-2012-0117\", until = \"2999",
            "IRB-2012-0117\", until = \"2020",
        ),
        ("a.ruiz@", "b.other@"),
    ] {
        let mut hospital = Hospital::new();
        let study = hospital.consented("ages");
        assert!(POLICY.contains(rule));
        fs::write(hospital.silo().policy(), POLICY.replace(rule, stricter)).unwrap();
        hospital.open(&study, 1, &[]);
        let opened = hospital.to_agent.pop_front().unwrap();
        hospital.deliver(&study, &opened);
        hospital.settle();
        assert_eq!(hospital.agent.machine.attempt(), None);
        assert_eq!(
            declined(&hospital),
            [(study.as_str(), "no_longer_permitted")]
        );
    }
}

#[test]
fn a_frame_with_an_impossible_study_or_round_is_discarded_and_the_agent_goes_on() {
    use coordinator_frame::Frame;
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    hospital.open(&study, u64::MAX, &[]);
    hospital.keep_from_peers();
    let opened = hospital.to_agent.pop_front().unwrap();
    let long = "a".repeat(9_000);
    for name in [long.as_str(), "", "\0", &study.to_uppercase()] {
        hospital.deliver(name, &opened);
        hospital.frame(Frame::Offer(v1::StudyOffer {
            study_id: name.to_owned(),
            ..v1::StudyOffer::default()
        }));
        hospital.frame(Frame::Ended(v1::StudyEnded {
            study_id: name.to_owned(),
            ..v1::StudyEnded::default()
        }));
    }
    hospital.deliver(&study, &opened);
    hospital.settle();
    assert_eq!(hospital.agent.machine.attempt(), None);
    assert!(declined(&hospital).is_empty());
    hospital.open(&study, 1, &[]);
    hospital.finish(&study);
}

#[test]
fn offers_without_end_or_without_measure_are_not_kept() {
    let mut hospital = Hospital::new();
    let large = "0".repeat(64);
    hospital.frame(coordinator_frame::Frame::Offer(v1::StudyOffer {
        study_id: large.clone(),
        study: vec![b' '; STUDY_BYTES + 1],
        ..v1::StudyOffer::default()
    }));
    assert!(hospital.agent.journal.study(&large).unwrap().is_none());
    for number in 0..MOST_OPEN_STUDIES {
        hospital.consented(&format!("ages {number}"));
    }
    let key = hospital.federation.researcher_key();
    let one_more = hospital.offer("one more", &key);
    hospital.settle();
    assert!(hospital.agent.journal.study(&one_more).unwrap().is_none());
    assert_eq!(declined(&hospital), [(one_more.as_str(), "busy")]);
}

#[test]
fn an_upload_that_is_asked_for_again_and_again_runs_once_over_a_session() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    hospital.open(&study, 1, &[]);
    hospital.advance_to(&study, "CohortFreeze");
    let freeze = hospital.to_agent.pop_front().unwrap();
    hospital.deliver(&study, &freeze);
    hospital.results(1);
    for _ in 0..50 {
        hospital.deliver(&study, &freeze);
    }
    hospital.receive_upload();
    hospital.results(1);
    assert!(hospital.outgoing.uploads.try_recv().is_err());
    // In another session it begins again, and sends nothing that is there.
    hospital.connect(String::new()).unwrap();
    hospital.deliver(&study, &freeze);
    let signed = hospital.outgoing.uploads.blocking_recv().unwrap();
    let Some(silo_frame::Frame::Protocol(message)) = signed.frame else {
        panic!("an upload begins with its signed root");
    };
    let envelope = message.into_delivery().unwrap().envelope;
    let Some(SiloMessage::MaskedInput { root, .. }) = envelope.peek_silo_message() else {
        panic!("an upload begins with its signed root");
    };
    let id = envelope.peek_attempt().unwrap();
    // What is said of another root is no answer.
    hospital.say_held(id, Digest::from_bytes([0; 32]), 1);
    assert!(hospital.inputs.try_recv().is_err());
    hospital.say_held(id, root, 1);
    hospital.results(1);
    assert!(hospital.outgoing.uploads.try_recv().is_err());
}

#[test]
fn ready_waits_for_the_grid_once_however_often_it_is_asked_for() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    hospital.open(&study, 1, &[]);
    hospital.advance_to(&study, "DealBook");
    let deals = hospital.to_agent.pop_front().unwrap();
    hospital.deliver(&study, &deals);
    hospital.results(1);
    for _ in 0..50 {
        hospital.deliver(&study, &deals);
    }
    assert_eq!(hospital.agent.delayed.len(), 1);
}

#[test]
fn an_attempt_of_another_roster_is_given_up_at_the_next_start() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    hospital.open(&study, 1, &[]);
    hospital.advance_to(&study, "CohortFreeze");
    let (silo, successor) = (hospital.silo(), hospital.federation.successor());
    let Hospital { folder, agent, .. } = hospital;
    assert!(agent.machine.attempt().is_some());
    agent.files.close();
    drop(agent);
    let (agent, _inputs) = open(&silo, successor, trainer(folder.path()));
    assert_eq!(agent.machine.attempt(), None);
    assert!(!silo.attempts().join("1-1-1").exists());
}

#[test]
fn a_journal_from_before_an_answer_or_a_cosignature_is_not_started_with() {
    type Deed = fn(&mut Hospital, &str);
    let deeds: [(&str, Deed); 3] = [
        ("an Open", |hospital, study| {
            hospital.open(study, 1, &[]);
            hospital.advance(study);
            assert!(hospital.agent.machine.attempt().is_some());
        }),
        ("a whole round", |hospital, study| {
            hospital.open(study, 1, &[]);
            hospital.finish(study);
        }),
        ("a cosignature", |hospital, _| {
            hospital.ask_to_cosign();
            let cosigned = silo_frame::Frame::Cosignature(v1::Cosignature::default());
            let is_one = |frame: &silo_frame::Frame| {
                std::mem::discriminant(frame) == std::mem::discriminant(&cosigned)
            };
            hospital.settle();
            assert!(hospital.said.iter().any(is_one));
        }),
    ];
    for (deed, do_it) in deeds {
        let mut hospital = Hospital::new();
        let study = hospital.consented("ages");
        let backup = backed_up(&hospital.silo(), &["journal.sqlite", "ledger.jsonl"]);
        do_it(&mut hospital, &study);
        let newest = backed_up(&hospital.silo(), &["journal.sqlite", "ledger.jsonl"]);

        let (silo, roster) = (hospital.silo(), hospital.federation.roster.clone());
        let Hospital { folder, agent, .. } = hospital;
        agent.files.close();
        drop(agent);
        put_back(&silo, &backup);
        let fault = try_open(&silo, roster.clone(), trainer(folder.path())).map(|_| ());
        let fault = fault.unwrap_err();
        assert!(
            matches!(fault, AgentFault::OldJournal { .. }),
            "{deed}: {fault}"
        );
        put_back(&silo, &newest);
        open(&silo, roster, trainer(folder.path()));
    }
}

#[test]
fn a_folder_that_has_forgotten_its_own_cosignature_stops_and_believes_nobody_elses() {
    let mut hospital = Hospital::new();
    hospital.ask_to_cosign();
    let remembered = hospital.cosigned_by(&[OWN]);
    hospital.grow_log();
    let by_others = hospital.cosigned_by(&[OWN - 2, OWN - 1]);
    let by_itself = hospital.cosigned_by(&[OWN]);
    let own_line = by_itself.lines().last().unwrap();
    assert!(
        own_line.contains(test_federation::NAMES[OWN]),
        "{by_itself}"
    );
    let forged = by_itself.replace(own_line, remembered.lines().last().unwrap());
    for harmless in [String::new(), remembered, by_others, forged] {
        hospital.connect(harmless).unwrap();
    }
    let fault = hospital.connect(by_itself).unwrap_err();
    assert!(matches!(fault, AgentFault::OldJournal { .. }), "{fault}");

    // And without a coordinator that says so again.
    let (silo, roster) = (hospital.silo(), hospital.federation.roster.clone());
    let Hospital { folder, agent, .. } = hospital;
    agent.files.close();
    drop(agent);
    let again = try_open(&silo, roster, trainer(folder.path())).map(|_| ());
    let again = again.unwrap_err();
    assert!(matches!(again, AgentFault::OldJournal { .. }), "{again}");
}

#[test]
fn a_folder_that_begins_anew_after_a_loss_says_so_in_its_own_log_and_works() {
    let mut hospital = Hospital::new();
    hospital.grow_log();
    let before = hospital.cosigned_by(&[OWN]);
    hospital.connect(before).unwrap();
    let log = hospital.own_log();
    assert!(log.contains("cosigned_before"), "{log}");
    let study = hospital.consented("ages");
    hospital.open(&study, 1, &[]);
    hospital.finish(&study);
}

/// The files of a silo's folder whose names begin like this, with their bytes.
fn backed_up(silo: &SiloFolder, names: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(silo.path()).unwrap();
    files
        .map(|file| file.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            names.iter().any(|begin| name.starts_with(begin))
        })
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// Puts files of a backup in the place of those that are there.
fn put_back(silo: &SiloFolder, backup: &[(PathBuf, Vec<u8>)]) {
    for (path, _) in backed_up(silo, &["journal.sqlite", "ledger.jsonl"]) {
        fs::remove_file(path).unwrap();
    }
    for (path, bytes) in backup {
        crate::durable_file::write_secret(path, bytes).unwrap();
    }
}

#[test]
fn a_late_open_of_a_round_that_was_released_is_left_alone() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    hospital.open(&study, 1, &[]);
    hospital.finish(&study);
    hospital.open_attempt(&study, 1, 2, &[]);
    let late = hospital.to_agent.pop_front().unwrap();
    hospital.deliver(&study, &late);
    assert_eq!(hospital.agent.machine.attempt(), None);
    assert!(declined(&hospital).is_empty());
    let log = hospital.own_log();
    assert!(!log.contains("round.misbehaviour"), "{log}");
}

#[test]
fn a_signed_study_under_another_identifier_is_not_even_kept() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    let record = hospital.agent.journal.study(&study).unwrap().unwrap();
    let other = "0".repeat(64);
    hospital.frame(coordinator_frame::Frame::Offer(v1::StudyOffer {
        study_id: other.clone(),
        study: record.offer.study,
        researcher: record.offer.researcher,
        signature: record.offer.signature,
        invited: record.offer.invited,
        deadline_milliseconds: u64::MAX,
    }));
    assert!(hospital.agent.journal.study(&other).unwrap().is_none());
    assert_eq!(hospital.agent.journal.studies().unwrap().len(), 1);
}

#[test]
fn the_coordinators_deadline_is_not_believed() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    let record = hospital.agent.journal.study(&study).unwrap().unwrap();
    let day = 24 * 3_600_000;
    let left = record
        .offer
        .deadline_milliseconds
        .saturating_sub(now_milliseconds());
    assert!(left > 0 && left <= day, "{left}");
}

#[test]
fn rounds_and_cosignatures_do_not_wait_for_a_trainer_that_looks_at_a_large_table() {
    let mut hospital = Hospital::new();
    hospital.agent.trainer = Trainer::within(
        crate::trainer::TrainerCommand(vec!["/bin/sleep".into(), "600".into()]),
        Duration::from_millis(300),
    );
    let key = hospital.federation.researcher_key();
    let before = Instant::now();
    let study = hospital.begin_offer("ages", &key);
    assert!(before.elapsed() < Duration::from_millis(300));
    assert!(hospital.agent.checking.contains(&study));
    hospital.results(1);
    let record = hospital.agent.journal.study(&study).unwrap().unwrap();
    assert_eq!(record.state, StudyState::NotReady);
    // The answer waits for the grid, however often the study is offered again.
    hospital.offer("ages", &key);
    let waiting: Vec<_> = hospital
        .agent
        .answers
        .iter()
        .map(|(due, _)| due.saturating_duration_since(before))
        .collect();
    assert_eq!(waiting.len(), 1);
    assert!(waiting[0] >= Duration::from_secs(1), "{waiting:?}");
    let answers = hospital
        .agent
        .journal
        .not_ready_answers("a.ruiz@uni.example", "ercp-trial");
    assert_eq!(answers.unwrap(), 1);
}

#[test]
fn a_consent_that_is_withdrawn_ends_the_attempt_and_no_round_opens_again() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    hospital.open(&study, 1, &[]);
    hospital.advance_to(&study, "DealBook");
    assert!(hospital.agent.machine.attempt().is_some());
    let mut journal = Journal::open(&hospital.silo().journal()).unwrap();
    journal
        .withdraw(&study[..8], "m.keller", "ethics approval withdrawn")
        .unwrap();
    hospital.agent.poll().unwrap();
    assert_eq!(hospital.agent.machine.attempt(), None);
    hospital.open(&study, 2, &[]);
    let opened = hospital.to_agent.pop_front().unwrap();
    hospital.deliver(&study, &opened);
    hospital.settle();
    assert_eq!(hospital.agent.machine.attempt(), None);
    assert_eq!(
        declined(&hospital),
        [
            (study.as_str(), "withdrawn"),
            (study.as_str(), "not_consented")
        ]
    );
    assert!(journal.withdraw(&study, "m.keller", "again").is_err());
}

#[test]
fn a_refused_study_or_one_that_is_not_ready_keeps_no_budget_set_aside() {
    use crate::consent::Refused;
    use crate::ledger::tests::{limit, plan};
    let mut hospital = Hospital::new();
    let agent = &mut hospital.agent;
    let offer = crate::journal::Offer {
        study: test_federation::STATISTICS.as_bytes().to_vec(),
        researcher: test_federation::RESEARCHER.to_owned(),
        signature: Vec::new(),
        invited: Vec::new(),
        deadline_milliseconds: 0,
    };
    // A crash came between setting aside and consenting; meanwhile the policy or the data changed.
    for (study, refuse) in [("s1", true), ("s2", false)] {
        agent
            .ledger
            .reserve(
                &mut agent.journal,
                "ercp-trial",
                &limit(),
                study,
                &plan().into(),
            )
            .unwrap();
        if refuse {
            let refused = Refused::by_rule("policy", "no longer");
            agent.refuse(study, &refused, None).unwrap();
        } else {
            agent.not_ready(study, &offer, "gone", None).unwrap();
        }
        let account = agent.ledger.account("ercp-trial").unwrap();
        assert!(account.remaining_share().fraction() > 0.999);
    }
}
