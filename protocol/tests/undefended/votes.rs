// SPDX-License-Identifier: Apache-2.0
//! Votes, certificates and reveals. The victim is silo 0, the colluder silo 4, and the prize is the victim's vector: both
//! of its secrets are asked for, one from silos that believe it alive and one from silos that believe it dead.

use consilium_crypto::label::Label;
use consilium_crypto::transcript::hash;
use consilium_protocol::insecure_for_test::{Defence, without};
use consilium_protocol::{Delivery, Envelope, Fault, SecretKind, SiloMachine};

use crate::robber::{Loot, answer, fault, forged_vote};
use crate::table::{Stage, Table};

const EVERYBODY: [usize; 5] = [0, 1, 2, 3, 4];

/// Five silos after their uploads, and proposals with and without the victim.
struct Scene {
    table: Table,
    loot: Loot,
    alive: Vec<Envelope>,
    dead: Vec<Envelope>,
}

fn scene(seed: u64) -> Scene {
    let mut table = Table::new(5, seed);
    table.play_until(Stage::Freeze);
    let loot = Loot::after_uploads(&mut table, &[4]);
    let alive = table.script.uploads.clone();
    Scene {
        dead: alive[1..].to_vec(),
        table,
        loot,
        alive,
    }
}

impl Scene {
    fn vote(&mut self, seat: usize, uploads: &[Envelope]) -> Envelope {
        let proposal = self.table.propose(uploads);
        answer(self.table.ask(seat, proposal)).envelope
    }

    /// Shows a certificate and takes what is revealed.
    fn reveal(&mut self, seat: usize, certificate: &Delivery) {
        let reveal = answer(self.table.ask(seat, certificate.clone()));
        self.loot.take(&reveal.envelope);
    }

    fn assert_robbed(&self) {
        assert!(self.loot.opens(&self.table, 0));
        let stolen = self.loot.vector(&self.table, &EVERYBODY, 0).unwrap();
        assert_eq!(stolen, self.table.seats[0].vector);
    }

    fn assert_safe(&self) {
        assert!(!self.loot.opens(&self.table, 0));
        assert!(self.loot.vector(&self.table, &EVERYBODY, 0).is_none());
    }
}

/// Silos 1 to 3 vote twice; the victim and silo 1 see one certificate, silos 2 and 3 the other.
fn double_votes(scene: &mut Scene) -> Result<(), Fault> {
    let (alive, dead) = (scene.alive.clone(), scene.dead.clone());
    let mut votes_alive = vec![scene.vote(0, &alive)];
    let mut votes_dead = Vec::new();
    for seat in [1, 2, 3] {
        // Whoever is to reveal for a view votes for it last.
        let orders = if seat == 1 {
            [&dead, &alive]
        } else {
            [&alive, &dead]
        };
        for uploads in orders {
            let outcome = scene.table.ask(seat, scene.table.propose(uploads));
            if !outcome.aborted.is_empty() {
                return Err(fault(&outcome));
            }
            let vote = answer(outcome).envelope;
            if uploads.len() == 5 {
                votes_alive.push(vote);
            } else {
                votes_dead.push(vote);
            }
        }
    }
    votes_dead.push(forged_vote(&scene.table, 4, &dead));
    let (alive, dead) = (
        scene.table.certify(&votes_alive),
        scene.table.certify(&votes_dead),
    );
    for (seat, certificate) in [(0, &alive), (1, &alive), (2, &dead), (3, &dead)] {
        scene.reveal(seat, certificate);
    }
    Ok(())
}

#[test]
fn without_one_vote_per_attempt_and_the_memory_of_what_left_the_victim_is_robbed() {
    // Each of the two rules alone is enough.
    let mut one = scene(1);
    let message = "SurvivorProposal";
    assert_eq!(double_votes(&mut one), Err(Fault::Equivocation { message }));
    let mut one = scene(1);
    let refused = without(&[Defence::ReleasedPairs], || double_votes(&mut one));
    assert_eq!(refused, Err(Fault::Equivocation { message }));
    let mut other = scene(1);
    let refused = without(&[Defence::OneVotePerAttempt], || double_votes(&mut other));
    assert_eq!(refused, Err(Fault::AlreadyReleased));
    other.assert_safe();

    let mut robbed = scene(1);
    let both = [Defence::OneVotePerAttempt, Defence::ReleasedPairs];
    without(&both, || double_votes(&mut robbed)).unwrap();
    robbed.assert_robbed();
}

/// Two silos vote that the victim lives, two that it is dead; each pair is shown `certificate` of the two halves.
fn halves(scene: &mut Scene, certificate: fn(&[Envelope], &[Envelope]) -> [Vec<Envelope>; 2]) {
    let (alive, dead) = (scene.alive.clone(), scene.dead.clone());
    let for_alive: Vec<Envelope> = [0, 1].map(|seat| scene.vote(seat, &alive)).to_vec();
    let for_dead: Vec<Envelope> = [2, 3].map(|seat| scene.vote(seat, &dead)).to_vec();
    let shown = certificate(&for_alive, &for_dead);
    for (seats, votes) in [[0, 1], [2, 3]].into_iter().zip(shown) {
        let certificate = scene.table.certify(&votes);
        for seat in seats {
            let outcome = scene.table.ask(seat, certificate.clone());
            for reveal in outcome.sent {
                scene.loot.take(&reveal.envelope);
            }
            let expected = [Fault::NoQuorum, Fault::OtherCertificate];
            for (_, fault, evidence) in outcome.aborted {
                assert!(expected.contains(&fault), "{fault}");
                assert!(evidence.contains(&certificate.envelope));
            }
        }
    }
}

#[test]
fn without_a_quorum_of_votes_the_victim_is_robbed() {
    let apart = |alive: &[Envelope], dead: &[Envelope]| [alive.to_vec(), dead.to_vec()];
    let mut safe = scene(2);
    halves(&mut safe, apart);
    safe.assert_safe();
    let mut robbed = scene(2);
    without(&[Defence::CertificateQuorum], || halves(&mut robbed, apart));
    robbed.assert_robbed();
}

#[test]
fn without_votes_for_one_set_the_victim_is_robbed() {
    // Four votes are a quorum if nobody looks what they are for.
    let together = |alive: &[Envelope], dead: &[Envelope]| {
        let all = [alive, dead].concat();
        [all.clone(), all]
    };
    let mut safe = scene(3);
    halves(&mut safe, together);
    safe.assert_safe();
    let mut robbed = scene(3);
    without(&[Defence::CertificateMatchesVote], || {
        halves(&mut robbed, together);
    });
    robbed.assert_robbed();
}

#[test]
fn without_one_kind_per_peer_an_honest_round_robs_everybody() {
    let honest_round = |scene: &mut Scene| {
        let alive = scene.alive.clone();
        let votes: Vec<Envelope> = (0..4).map(|seat| scene.vote(seat, &alive)).collect();
        let certificate = scene.table.certify(&votes);
        for seat in 0..4 {
            scene.reveal(seat, &certificate);
        }
    };
    let mut safe = scene(4);
    honest_round(&mut safe);
    safe.assert_safe();
    // The sum is open, and nothing else.
    assert!(safe.loot.sum(&safe.table, &EVERYBODY, &EVERYBODY).is_some());
    let mut robbed = scene(4);
    without(&[Defence::OneKindPerPeer], || honest_round(&mut robbed));
    for victim in 0..4 {
        let stolen = robbed.loot.vector(&robbed.table, &EVERYBODY, victim);
        assert_eq!(stolen.unwrap(), robbed.table.seats[victim].vector);
    }
}

/// Every honest silo's disk is copied to another machine, and both answer; one half is shown each view.
fn clones(scene: &mut Scene) -> Result<(), Fault> {
    let (alive, dead) = (scene.alive.clone(), scene.dead.clone());
    let copies: Vec<_> = (0..4).map(|seat| scene.table.picture(seat)).collect();
    let elsewhere = hash(Label::StartNonce, &[b"another machine"]);
    let mut votes_alive = Vec::new();
    for seat in 0..4 {
        votes_alive.push(scene.vote(seat, &alive));
    }
    let first: Vec<_> = (0..4).map(|seat| scene.table.picture(seat)).collect();
    let mut votes_dead = Vec::new();
    for (seat, copy) in copies.iter().enumerate().skip(1) {
        let machine = SiloMachine::restore(&copy.0, copy.1.as_deref(), elsewhere).unwrap();
        scene.table.seats[seat].machine = machine;
        if scene.table.is_out(seat) {
            return Err(Fault::SecretsGone(scene.table.plan.id));
        }
        votes_dead.push(scene.vote(seat, &dead));
    }
    votes_dead.push(forged_vote(&scene.table, 4, &dead));
    let certificate = scene.table.certify(&votes_dead);
    for seat in [2, 3] {
        scene.reveal(seat, &certificate);
    }
    let certificate = scene.table.certify(&votes_alive);
    for seat in [0, 1] {
        scene.table.put_back(seat, &first[seat]);
        scene.reveal(seat, &certificate);
    }
    Ok(())
}

#[test]
fn without_secrets_bound_to_one_installation_copied_disks_rob_the_victim() {
    let mut safe = scene(5);
    let id = safe.table.plan.id;
    assert_eq!(clones(&mut safe), Err(Fault::SecretsGone(id)));
    safe.assert_safe();
    let mut robbed = scene(5);
    without(&[Defence::InstanceBinding], || clones(&mut robbed)).unwrap();
    robbed.assert_robbed();
    assert!(robbed.loot.count(0, SecretKind::MaskKey) >= 3);
}
