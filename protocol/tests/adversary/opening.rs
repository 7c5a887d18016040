// SPDX-License-Identifier: Apache-2.0
//! Weaker parameters, other models, other rosters, old numbers and starts that nobody logged.

use consilium_crypto::digest::Digest;
use consilium_privacy::noise_plan::VectorPlan;
use consilium_protocol::{AttemptId, Fault, Membership, PlanFault, RoundPlan, SiloName};

use crate::table::{Stage, Table, plan_of, start_proof};

type Change = (&'static str, fn(&mut RoundPlan));

/// Changes that are unsafe whatever the silo was told to expect.
const UNSAFE: [Change; 17] = [
    ("a smaller quorum", |plan| plan.thresholds.quorum -= 1),
    ("a larger quorum", |plan| plan.thresholds.quorum += 1),
    ("a smaller threshold", |plan| plan.thresholds.threshold -= 1),
    ("a larger threshold", |plan| plan.thresholds.threshold += 1),
    ("a smaller cohort", |plan| plan.thresholds.min_cohort -= 1),
    ("fewer colluders", |plan| plan.thresholds.colluders -= 1),
    ("more dropouts", |plan| plan.thresholds.dropouts += 1),
    ("no noise", |plan| plan.vector.noise = None),
    ("hardly any noise", |plan| {
        plan.vector.noise.as_mut().unwrap().scale = 2;
    }),
    ("noise for fewer dropouts", |plan| {
        plan.vector.noise.as_mut().unwrap().dropouts -= 1;
    }),
    ("noise for fewer colluders", |plan| {
        plan.vector.noise.as_mut().unwrap().colluders -= 1;
    }),
    ("noise for more silos", |plan| {
        plan.vector.noise.as_mut().unwrap().silos += 1;
    }),
    ("narrower words", |plan| plan.vector.word_bits = 8),
    ("no words", |plan| plan.vector.dimension = 0),
    ("smaller chunks", |plan| plan.chunk_fields /= 2),
    ("another grid", |plan| plan.ready_grid_milliseconds -= 1),
    ("another epoch", |plan| plan.id.epoch += 1),
];

/// Changes that only the silo's own study can tell.
const OTHER: [Change; 7] = [
    ("another model", |plan| plan.model = flip(&plan.model)),
    ("another task", |plan| plan.task = flip(&plan.task)),
    ("a shorter vector", |plan| plan.vector.dimension -= 1),
    ("another clamp", |plan| plan.vector.clamp -= 1),
    ("less noise", |plan| {
        plan.vector.noise.as_mut().unwrap().scale -= 1;
    }),
    ("twice the clip", |plan| {
        plan.vector.noise.as_mut().unwrap().clip_integer *= 2;
    }),
    ("fewer attempts charged", |plan| {
        plan.vector.noise.as_mut().unwrap().attempts -= 1;
    }),
];

fn flip(digest: &Digest) -> Digest {
    let mut bytes = *digest.as_bytes();
    bytes[17] ^= 0x10;
    Digest::from_bytes(bytes)
}

fn assert_refused(table: &mut Table, plan: RoundPlan, expected: RoundPlan, what: &str) -> Fault {
    let outcome = table.ask_expecting(0, table.open(&plan), expected);
    assert!(outcome.sent.is_empty(), "{what}: {outcome:?}");
    let [(id, fault, evidence)] = outcome.aborted.as_slice() else {
        panic!("{what}: no abort: {outcome:?}")
    };
    assert_eq!(*id, plan.id);
    assert_eq!(evidence.len(), 1);
    assert!(table.is_out(0), "{what}");
    fault.clone()
}

#[test]
fn a_plan_that_differs_in_one_field_from_the_silos_own_is_refused() {
    for (what, change) in UNSAFE.into_iter().chain(OTHER) {
        let mut table = Table::new(5, 1);
        let mut plan = table.plan.clone();
        change(&mut plan);
        let expected = table.plan.clone();
        let fault = assert_refused(&mut table, plan, expected, what);
        assert!(matches!(fault, Fault::OtherPlan { .. }), "{what}: {fault}");
    }
}

#[test]
fn a_weaker_plan_is_refused_even_when_the_silo_was_made_to_expect_it() {
    for (what, change) in UNSAFE {
        let mut table = Table::new(5, 2);
        let mut plan = table.plan.clone();
        change(&mut plan);
        assert_refused(&mut table, plan.clone(), plan, what);
    }
}

#[test]
fn one_bit_of_another_model_is_refused() {
    for bit in 0..256 {
        let mut table = Table::new(4, 3);
        let mut plan = table.plan.clone();
        let mut bytes = *plan.model.as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        plan.model = Digest::from_bytes(bytes);
        let expected = table.plan.clone();
        let fault = assert_refused(&mut table, plan, expected, "another model");
        assert_eq!(fault, Fault::OtherPlan { field: "model" });
    }
}

#[test]
fn an_extra_silo_outside_the_roster_is_refused() {
    let mut table = Table::new(4, 4);
    let stranger = SiloName::parse("silo-99").unwrap();
    let mut plan = table.plan.clone();
    plan.silos.push(stranger.clone());
    let expected = table.plan.clone();
    let fault = assert_refused(&mut table, plan.clone(), expected, "an extra silo");
    let field = "invited silos";
    assert_eq!(fault, Fault::OtherPlan { field });
    let fault = assert_refused(&mut table, plan.clone(), plan, "an extra silo");
    assert_eq!(fault, Fault::UnsafePlan(PlanFault::UnknownSilo(stranger)));
}

#[test]
fn a_repeated_an_absent_and_an_unsorted_silo_are_refused() {
    let changes: [Change; 3] = [
        ("one silo twice", |plan| {
            plan.silos[2] = plan.silos[1].clone()
        }),
        ("unsorted", |plan| plan.silos.swap(1, 2)),
        ("not invited", |plan| {
            plan.silos.remove(0);
        }),
    ];
    for (what, change) in changes {
        let mut table = Table::new(4, 5);
        let mut plan = table.plan.clone();
        change(&mut plan);
        assert_refused(&mut table, plan.clone(), plan, what);
    }
}

#[test]
fn four_of_ten_silos_are_not_safe_against_three_colluders() {
    let table = Table::new(10, 6);
    let four = &table.plan.silos[..4];
    let (id, model, task) = (table.plan.id, table.plan.model, table.plan.task);
    let vector = VectorPlan::plain(10, 4, 32, 0).unwrap();
    let refused = RoundPlan::new(id, &table.membership, four, Some(0), model, task, vector);
    assert!(matches!(refused, Err(PlanFault::UnsafeThreshold { .. })));
    // The liar writes the counts that a roster of four would have, or the largest there are.
    let mut table = Table::new(10, 6);
    let small = Membership {
        colluders: 1,
        ..table.membership.clone()
    };
    let mut plan = RoundPlan::new(id, &small, four, Some(0), model, task, vector).unwrap();
    assert_refused(&mut table, plan.clone(), plan.clone(), "fewer colluders");
    plan.thresholds.colluders = 3;
    plan.thresholds.quorum = 4;
    plan.thresholds.threshold = 4;
    plan.thresholds.min_cohort = 4;
    assert_refused(&mut table, plan.clone(), plan, "one honest silo");
}

#[test]
fn three_silos_with_two_colluders_are_refused() {
    let table = Table::new(3, 7);
    let members = Membership {
        colluders: 2,
        ..table.membership.clone()
    };
    let vector = VectorPlan::plain(10, 3, 32, 0).unwrap();
    let plan = &table.plan;
    let refused = RoundPlan::new(
        plan.id,
        &members,
        &plan.silos,
        Some(0),
        plan.model,
        plan.task,
        vector,
    );
    assert!(refused.is_err());
}

#[test]
fn a_study_without_noise_that_tolerates_a_drop_is_refused() {
    let table = Table::new(4, 8);
    let vector = VectorPlan::plain(10, 4, 32, 0).unwrap();
    let plan = &table.plan;
    let refused = RoundPlan::new(
        plan.id,
        &table.membership,
        &plan.silos,
        Some(1),
        plan.model,
        plan.task,
        vector,
    );
    assert_eq!(
        refused,
        Err(PlanFault::DropoutsWithoutNoise { dropouts: 1 })
    );
}

#[test]
fn an_open_under_another_roster_is_refused() {
    let mut table = Table::new(4, 9);
    let mut plan = table.plan.clone();
    plan.roster_root = flip(&plan.roster_root);
    let fault = assert_refused(&mut table, plan.clone(), plan, "another roster");
    assert_eq!(fault, Fault::OtherPlan { field: "roster" });
}

#[test]
fn an_open_without_the_logged_nonce_of_this_start_is_refused() {
    let mut table = Table::new(4, 10);
    let other = flip(&table.start_nonce);
    for proofs in [vec![], vec![Vec::new()], vec![start_proof(&other)]] {
        let mut open = table.open(&table.plan);
        open.attachments = proofs;
        let fault = table.assert_aborts(0, open);
        assert_eq!(fault, Fault::StartNotLogged);
    }
}

#[test]
fn a_recorded_open_is_worth_nothing_to_the_next_start() {
    let mut table = Table::new(4, 11);
    let recorded = table.open(&table.plan);
    table.start_nonce = flip(&table.start_nonce);
    assert_eq!(table.assert_aborts(0, recorded), Fault::StartNotLogged);
}

#[test]
fn an_open_without_the_logged_last_release_is_refused() {
    let mut table = Table::new(4, 12);
    table.log.last_release = Some(b"the last release".to_vec());
    for proofs in [
        vec![start_proof(&table.start_nonce)],
        vec![start_proof(&table.start_nonce), b"another".to_vec()],
    ] {
        let mut open = table.open(&table.plan);
        open.attachments = proofs;
        assert_eq!(table.assert_aborts(0, open), Fault::ReleaseNotLogged);
    }
    // A refused Open costs nothing: the right one is still answered.
    assert_eq!(table.ask(0, table.open(&table.plan)).sent.len(), 1);
}

#[test]
fn an_open_whose_signed_transcript_is_not_its_plans_is_discarded() {
    let mut table = Table::new(4, 13);
    let other = plan_of(&table.membership, 2, 1);
    let mut open = table.open(&table.plan);
    let message = consilium_protocol::CoordinatorMessage::Open {
        plan: Box::new(table.plan.clone()),
    };
    for (id, transcript) in [
        (table.plan.id, other.opening_transcript()),
        (other.id, table.plan.opening_transcript()),
    ] {
        open.envelope = table.say(id, transcript, &message);
        let outcome = table.ask(0, open.clone());
        assert!(outcome.sent.is_empty() && outcome.aborted.is_empty());
        assert_eq!(outcome.rejected.len(), 1);
    }
}

#[test]
fn a_number_that_does_not_grow_is_refused_in_every_phase() {
    let mut table = Table::new(4, 14);
    table.next(plan_of(&table.membership, 5, 2));
    table.play_until(Stage::Over);
    for (round, attempt) in [(5, 2), (5, 1), (4, 9), (0, 0)] {
        let plan = plan_of(&table.membership, round, attempt);
        let before = table.picture(0);
        let outcome = table.ask_expecting(0, table.open(&plan), plan.clone());
        assert!(outcome.sent.is_empty() && outcome.aborted.is_empty());
        let stale = |fault: &Fault| matches!(fault, Fault::StaleAttempt { .. });
        assert!(outcome.rejected.iter().all(stale));
        assert_eq!(outcome.rejected.len(), 1);
        assert_eq!(table.picture(0), before);
    }
}

#[test]
fn a_second_open_of_the_running_attempt_ends_it_with_both_as_evidence() {
    for until in [Stage::KeyBook, Stage::Proposal, Stage::Certificate] {
        let mut table = Table::new(4, 15);
        table.play_until(until);
        let first = table.script.questions[0].1.envelope.clone();
        let mut plan = table.plan.clone();
        plan.model = flip(&plan.model);
        let second = table.open(&plan);
        let outcome = table.ask_expecting(0, second.clone(), plan);
        let [(id, fault, evidence)] = outcome.aborted.as_slice() else {
            panic!("{outcome:?}")
        };
        assert_eq!(*id, table.plan.id);
        assert_eq!(*fault, Fault::Equivocation { message: "Open" });
        assert_eq!(*evidence, vec![first, second.envelope]);
        assert!(outcome.sent.is_empty());
        assert!(table.is_out(0));
    }
}

#[test]
fn a_higher_open_replaces_the_keys_of_the_attempt_before() {
    let mut table = Table::new(4, 16);
    table.play_until(Stage::Certificate);
    let (_, before) = table.picture(0);
    let old = table.script.clone();
    let next = AttemptId {
        attempt: 2,
        ..table.plan.id
    };
    let x = table.x();
    let certificate = table.certify_under(x, &old.votes);
    table.next(plan_of(&table.membership, next.round, next.attempt));
    table.play_until(Stage::KeyBook);
    let (_, after) = table.picture(0);
    assert_ne!(before.unwrap(), after.unwrap());
    // The certificate of the attempt before unlocks nothing any more.
    let outcome = table.ask(0, certificate);
    assert!(outcome.sent.is_empty() && outcome.aborted.is_empty());
}
