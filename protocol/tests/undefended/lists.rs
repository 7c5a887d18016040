// SPDX-License-Identifier: Apache-2.0
//! Lists that count too many, and parameters that ask for too few.

use consilium_protocol::insecure_for_test::{Defence, without};
use consilium_protocol::{Fault, Membership, PlanFault, SecretKind, SiloMessage, SiloName};
use std::collections::BTreeMap;

use crate::robber::{Loot, answer, fault, forged_vote, lifted, play_with_rosters, word_bits};
use crate::table::{Outcome, Stage, Table};

/// Three silos, of which one colludes: the victim is shown a list that holds itself twice and the other honest silo not.
fn counted_twice() -> (Table, Loot, Outcome) {
    let mut table = Table::new(3, 1);
    table.play_until(Stage::Freeze);
    let mut loot = Loot::after_uploads(&mut table, &[2]);
    let own = table.script.uploads[0].clone();
    let list = vec![own.clone(), own, table.script.uploads[2].clone()];
    let outcome = table.ask(0, table.propose(&list));
    if let [vote] = outcome.sent.as_slice() {
        let vote = vote.envelope.clone();
        let votes = [vote.clone(), vote, forged_vote(&table, 2, &list)];
        let reveal = answer(table.ask(0, table.certify(&votes)));
        loot.take(&reveal.envelope);
    }
    (table, loot, outcome)
}

#[test]
fn without_lists_free_of_repeats_one_silo_is_a_quorum() {
    let (table, loot, outcome) = counted_twice();
    let list = "survivor set";
    assert_eq!(fault(&outcome), Fault::BadList { list });
    assert!(loot.vector(&table, &[0, 1, 2], 0).is_none());
    let (table, loot, _) = without(&[Defence::SortedUnique], counted_twice);
    let stolen = loot.vector(&table, &[0, 1, 2], 0).unwrap();
    assert_eq!(stolen, table.seats[0].vector);
}

/// The colluder is left out of the cohort and counted among the survivors; silo 3 is called dead in its place.
fn stranger_to_the_cohort() -> (Table, Loot, Outcome) {
    let mut table = Table::new(5, 2);
    table.play_until(Stage::Freeze);
    table.script.receipts.pop();
    table.script.ready.pop();
    let mut loot = Loot::after_uploads_of(&mut table, &[0, 1, 2, 3], &[4]);
    let x = table.x();
    let upload = SiloMessage::MaskedInput {
        root: x,
        length: table.plan.packed_length(),
    };
    let mut list = table.script.uploads[..3].to_vec();
    list.push(table.forge(4, x, &upload));
    let first = table.ask(0, table.propose(&list));
    if let [vote] = first.sent.as_slice() {
        let mut votes = vec![vote.envelope.clone()];
        for seat in [1, 2] {
            votes.push(answer(table.ask(seat, table.propose(&list))).envelope);
        }
        votes.push(forged_vote(&table, 4, &list));
        for seat in 0..3 {
            let reveal = answer(table.ask(seat, table.certify(&votes)));
            loot.take(&reveal.envelope);
        }
    }
    (table, loot, first)
}

#[test]
fn without_survivors_of_the_cohort_a_sum_of_fewer_than_a_quorum_of_vectors_is_opened() {
    let cohort = [0, 1, 2, 3];
    let (table, loot, outcome) = stranger_to_the_cohort();
    let list = "survivor set";
    assert_eq!(fault(&outcome), Fault::BadList { list });
    assert!(loot.sum(&table, &cohort, &[0, 1, 2]).is_none());
    let (table, loot, _) = without(&[Defence::SurvivorsWithinCohort], stranger_to_the_cohort);
    // Four masked vectors are the quorum; three are in this sum.
    let sum = loot.sum(&table, &cohort, &[0, 1, 2]).unwrap();
    let total = |at: usize| (0..3).map(|seat| table.seats[seat].vector[at]).sum();
    let total: Vec<i64> = (0..sum.len()).map(total).collect();
    assert_eq!(lifted(&table, &sum), total);
}

/// The victim is shown a list of the living in which it is missing.
fn called_dead() -> (Loot, Outcome) {
    let mut table = Table::new(5, 3);
    table.play_until(Stage::Freeze);
    let mut loot = Loot::after_uploads(&mut table, &[4]);
    let others = table.script.uploads[1..].to_vec();
    let outcome = table.ask(0, table.propose(&others));
    if !outcome.sent.is_empty() {
        let mut votes = Vec::new();
        for seat in 1..5 {
            votes.push(answer(table.ask(seat, table.propose(&others))).envelope);
        }
        let reveal = answer(table.ask(0, table.certify(&votes)));
        loot.take(&reveal.envelope);
    }
    (loot, outcome)
}

#[test]
fn without_itself_among_the_survivors_a_silo_helps_to_open_its_own_mask_key() {
    let (loot, outcome) = called_dead();
    let list = "survivor set";
    assert_eq!(fault(&outcome), Fault::LeftOut { list });
    assert_eq!(loot.count(0, SecretKind::MaskKey), 1, "the colluder's");
    let (loot, _) = without(&[Defence::SelfAmongSurvivors], called_dead);
    assert_eq!(loot.count(0, SecretKind::MaskKey), 2);
}

/// Four silos are made to expect a plan with a quorum of two; the victim and the colluder are one.
fn quorum_of_two() -> (Table, Option<Loot>, Outcome) {
    let mut table = Table::new(4, 4);
    table.plan.thresholds.quorum = 2;
    table.plan.thresholds.threshold = 2;
    table.plan.thresholds.min_cohort = 2;
    table.plan.thresholds.dropouts = 2;
    let kept = table.picture(0);
    let first = table.ask(0, table.question(Stage::Open, 0));
    if first.sent.is_empty() {
        return (table, None, first);
    }
    table.put_back(0, &kept);
    table.play_until(Stage::Freeze);
    let mut loot = Loot::after_uploads(&mut table, &[3]);
    let list = vec![
        table.script.uploads[0].clone(),
        table.script.uploads[3].clone(),
    ];
    let vote = answer(table.ask(0, table.propose(&list))).envelope;
    let votes = [vote, forged_vote(&table, 3, &list)];
    let reveal = answer(table.ask(0, table.certify(&votes)));
    loot.take(&reveal.envelope);
    (table, Some(loot), first)
}

#[test]
fn without_the_floor_of_the_quorum_one_silo_and_one_colluder_are_a_sum() {
    let (_, _, outcome) = quorum_of_two();
    let unsafe_plan = PlanFault::TooManyDropouts {
        dropouts: 2,
        most: 1,
    };
    assert_eq!(fault(&outcome), Fault::UnsafePlan(unsafe_plan));
    let (table, loot, _) = without(&[Defence::QuorumFloor], quorum_of_two);
    let stolen = loot.unwrap().vector(&table, &[0, 1, 2, 3], 0).unwrap();
    assert_eq!(stolen, table.seats[0].vector);
}

/// What the liar has when all but the victim are its own: the sum less its own vectors.
fn less_the_liars_own(table: &Table, loot: &Loot) -> Vec<i64> {
    let mut sum = loot.sum(table, &[0, 1, 2, 3], &[0, 1, 2, 3]).unwrap();
    let bits = word_bits(table);
    for seat in 1..4 {
        let own: Vec<u64> = table.seats[seat]
            .vector
            .iter()
            .map(|x| bits.encode(*x))
            .collect();
        bits.sub_assign(&mut sum, &own);
    }
    lifted(table, &sum)
}

/// Plays a round in which the victim holds another roster than the liar's three silos, up to the sum.
fn alone_among_liars(mut table: Table, victims: &Membership) -> (Table, Result<Loot, Fault>) {
    let rosters = BTreeMap::from([(0, victims.clone())]);
    let everybody = table.membership.clone();
    for stage in [Stage::Open, Stage::KeyBook] {
        // Whether the victim goes on, before anybody else is asked.
        let kept = table.picture(0);
        if stage == Stage::KeyBook {
            play_with_rosters(&mut table, Stage::KeyBook, &rosters);
        }
        table.membership = victims.clone();
        let outcome = table.ask(0, table.question(stage, 0));
        table.membership = everybody.clone();
        if !outcome.aborted.is_empty() {
            return (table, Err(fault(&outcome)));
        }
        table.put_back(0, &kept);
        table.script = crate::table::Script::default();
    }
    play_with_rosters(&mut table, Stage::Freeze, &rosters);
    let mut loot = Loot::after_uploads_with(&mut table, &rosters);
    let uploads = table.script.uploads.clone();
    let mut votes = Vec::new();
    for seat in 0..4 {
        table.membership = rosters.get(&seat).unwrap_or(&everybody).clone();
        votes.push(answer(table.ask(seat, table.propose(&uploads))).envelope);
    }
    for seat in 0..4 {
        table.membership = rosters.get(&seat).unwrap_or(&everybody).clone();
        let reveal = answer(table.ask(seat, table.certify(&votes)));
        loot.take(&reveal.envelope);
    }
    table.membership = everybody;
    (table, Ok(loot))
}

#[test]
fn without_a_pinned_roster_three_invented_silos_rob_the_fourth() {
    let table = Table::new(4, 5);
    let own = table.seats[0].name.clone();
    let mut pinned = table.membership.clone();
    // The true members are others.
    pinned.silos = (0..4)
        .map(|at| {
            let silo = SiloName::parse(&format!("hospital-{at}")).unwrap();
            let name = if at == 0 { own.clone() } else { silo };
            (name, table.seats[at].key.verifying_key())
        })
        .collect();
    let (_, refused) = alone_among_liars(table, &pinned);
    let stranger = crate::table::name(1);
    assert_eq!(
        refused.err(),
        Some(Fault::UnsafePlan(PlanFault::UnknownSilo(stranger)))
    );
    let (table, loot) = without(&[Defence::RosterMembers], || {
        alone_among_liars(Table::new(4, 5), &pinned)
    });
    let stolen = less_the_liars_own(&table, &loot.unwrap());
    assert_eq!(stolen, table.seats[0].vector);
}

#[test]
fn without_signatures_a_server_in_the_place_of_three_silos_robs_the_fourth() {
    // The true silos have these keys, the server's have others.
    let true_keys = Table::new(4, 6).membership;
    let impostors = || {
        let mut table = Table::new(4, 66);
        let victim = Table::new(4, 6).seats.remove(0);
        table.coordinator = Table::new(4, 6).coordinator;
        table.membership.coordinator = true_keys.coordinator;
        let mut silos = (*table.membership.silos).clone();
        silos.insert(victim.name.clone(), victim.key.verifying_key());
        table.membership.silos = silos.into_iter().collect();
        table.seats[0] = victim;
        table
    };
    let (_, refused) = alone_among_liars(impostors(), &true_keys);
    let sender = crate::table::name(1).to_string();
    assert_eq!(refused.err(), Some(Fault::BadSignature { sender }));
    let (table, loot) = without(&[Defence::SiloSignatures], || {
        alone_among_liars(impostors(), &true_keys)
    });
    let stolen = less_the_liars_own(&table, &loot.unwrap());
    assert_eq!(stolen, table.seats[0].vector);
}
