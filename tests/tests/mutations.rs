// SPDX-License-Identifier: Apache-2.0
//! Every invariant of the simulator is broken by an error of a driver or by a defence that is taken away, in a world that
//! is otherwise the same and breaks none: an invariant that nothing breaks would see nothing.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_crypto::signing::SigningKey;
use consilium_protocol::insecure_for_test::{Defence, without};
use consilium_protocol::{AttemptId, CoordinatorMessage, Delivery, SiloName};
use consilium_tests::simulation::{Invariant, Mutation, Report, Settings, Way, from_text, run};

/// A world, what is wrong in it, and what that breaks.
struct Case {
    invariant: Invariant,
    mutation: Mutation,
    fallen: &'static [Defence],
    list: &'static str,
    liar: Liar,
}

/// Who stands between the coordinator and the silos.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Liar {
    Nobody,
    /// No release arrives.
    DropsReleases,
    /// A certificate arrives with one vote, under the coordinator's true signature.
    TrimsCertificates,
}

const fn case(invariant: Invariant, mutation: Mutation, list: &'static str) -> Case {
    Case {
        invariant,
        mutation,
        fallen: &[],
        list,
        liar: Liar::Nobody,
    }
}

fn cases() -> Vec<Case> {
    use {Invariant as I, Mutation as M};
    let mut cases = vec![
        case(
            I::OneAnswer,
            M::SendBeforePersist,
            "found 4 noised 5\ncrash silo-2 before-persist AdvertiseKeys\nrun 20\nstart silo-2\nfinish",
        ),
        case(
            I::SatOutIsSilent,
            M::AnswerSatOut,
            "found 4 noised 8\ncrash silo-1 persisted AdvertiseKeys\nrun 20\nforget silo-1\nstart silo-1\nfinish",
        ),
        case(I::TrueSum, M::MaskAnother, "found 4 noised 5\nfinish"),
        case(
            I::EnoughHonestInputs,
            M::NameFewer,
            "found 4 noised 5\nfinish",
        ),
        case(
            I::FreshNoise,
            M::SendAgain,
            "found 4 noised 5\nfinish\nfinish",
        ),
        case(
            I::OneVectorPerMask,
            M::ForgetBurn,
            "found 4 noised 5\ncrash silo-2 sent-1 MaskedInput\nrun 60\nstart silo-2\nfinish",
        ),
        case(I::SecretsErased, M::KeepSecrets, "found 4 noised 5\nfinish"),
        case(I::NobodyAccused, M::OneUnitMore, "found 4 noised 5\nfinish"),
        case(
            I::RecordedBeforeSent,
            M::SendBeforeRecord,
            "found 4 noised 5\nfinish",
        ),
        case(
            I::UploadsCharged,
            M::Uncharged,
            "found 4 exact 10\ncrash silo-0 sent-0 MaskedInput\nfinish",
        ),
        case(
            I::TornStateRefused,
            M::TearLate,
            "found 4 noised 5\ncrash silo-2 torn-journal Ready\nrun 60\nstart silo-2\nfinish",
        ),
        case(I::OneModel, M::OtherModel, "found 4 noised 5\nfinish"),
        case(
            I::NothingMissing,
            M::KeepDealsLate,
            "found 4 noised 6\ncrash coordinator persisted DealBook\nfinish\nstart coordinator\nfinish",
        ),
        case(
            I::Liveness,
            M::StaleStartProof,
            "found 3 exact 5\nfinish\nstop silo-1\nwait 100\nstart silo-1\nfinish",
        ),
        case(
            I::NothingMissing,
            M::KeepRevealsLate,
            "found 4 noised 6\ncrash coordinator persisted Reveal\nfinish\nstart coordinator\nfinish",
        ),
        case(
            I::OneAnswer,
            M::TrustRestoredJournal,
            "found 4 noised 5\nbackup silo-1\nrun 20\nrestore silo-1 0\nstart silo-1\nfinish",
        ),
        case(
            I::OneAnswer,
            M::BackUpSecrets,
            "found 4 noised 5\nbackup silo-1\nrun 20\nrestore silo-1 0\nstart silo-1\nfinish",
        ),
        case(
            I::OneAnswer,
            M::ReachedLate,
            "found 4 noised 5\nbackup silo-1\ncrash silo-1 sent-1 AdvertiseKeys\nrun 20\nrestore silo-1 0\nstart silo-1\nfinish",
        ),
        case(
            I::Liveness,
            M::ReachedFirst,
            "found 4 noised 5\ncrash silo-2 torn-journal Ready\nrun 60\nstart silo-2\nfinish",
        ),
        case(
            I::Liveness,
            M::TellVerified,
            "found 3 exact 5\ncrash coordinator before-persist Accepted\nfinish\nwait 200\nstart coordinator\nfinish",
        ),
        case(
            I::AcceptedBeforeNext,
            M::OpenUnaccepted,
            "found 4 noised 5\nfinish\nfinish",
        ),
        case(
            I::AcceptedIsDurable,
            M::AcceptEarly,
            "found 4 noised 5\ncrash silo-1 before-persist Accepted\nfinish\nstart silo-1\nfinish",
        ),
        case(
            I::EvidenceNamed,
            M::DropEvidence,
            "found 4 noised 5\nfinish",
        ),
        case(I::OneKindOfShare, M::None, "found 4 noised 5\nfinish"),
        case(
            I::QuorumBeforeReveal,
            M::WeakerPlan,
            "found 4 noised 5\ncrash silo-2 before-persist Ready\ncrash silo-3 before-persist Ready\nfinish",
        ),
        case(
            I::CommittedBeforeChallenged,
            M::LogAnother,
            "found 4 noised 5\nfinish",
        ),
        case(
            I::OneSumWithoutNoise,
            M::AskAgain,
            "found 4 exact 5\nfinish\nfinish",
        ),
    ];
    for case in &mut cases {
        let wrong: (&'static [Defence], Liar) = match case.invariant {
            I::OneKindOfShare => (&[Defence::OneKindPerPeer], Liar::Nobody),
            I::QuorumBeforeReveal => (&[Defence::QuorumFloor], Liar::Nobody),
            I::CommittedBeforeChallenged => (&[Defence::SumLoggedFirst], Liar::Nobody),
            I::OneSumWithoutNoise => (&[Defence::ReleasedPairs], Liar::DropsReleases),
            I::EvidenceNamed => (&[], Liar::TrimsCertificates),
            I::AcceptedBeforeNext => (&[], Liar::DropsReleases),
            _ => (&[], Liar::Nobody),
        };
        (case.fallen, case.liar) = wrong;
    }
    cases
}

impl Case {
    fn play(&self, mutation: Mutation, fallen: &[Defence]) -> Report {
        let operations = from_text(self.list).unwrap();
        let key = coordinator_key(&operations);
        let liar = self.liar;
        let mut lie = |way: Way, _: &SiloName, delivery: Delivery| match (
            liar,
            delivery.envelope.peek_name(),
        ) {
            (Liar::DropsReleases, Some("Release")) if way == Way::Down => vec![],
            (Liar::TrimsCertificates, Some("Certificate")) if way == Way::Down => {
                vec![trimmed(&key, delivery)]
            }
            _ => vec![delivery],
        };
        let settings = Settings {
            mutation,
            tampering: (liar != Liar::Nobody).then_some(&mut lie as _),
            ..Settings::default()
        };
        without(fallen, || run(&operations, settings))
    }
}

#[test]
fn every_invariant_is_broken_by_an_error_that_it_is_there_for_and_by_nothing_less() {
    let cases = cases();
    let covered: BTreeSet<Invariant> = cases.iter().map(|case| case.invariant).collect();
    assert_eq!(covered, BTreeSet::from(Invariant::ALL));
    let mut wrong = Vec::new();
    for case in cases {
        let Case {
            invariant,
            mutation,
            ..
        } = case;
        let violation = case.play(mutation, case.fallen).violation;
        if violation.as_ref().map(|violation| violation.invariant) != Some(invariant) {
            wrong.push(format!("{invariant}, {mutation:?}: {violation:?}"));
        }
        // The same world without the error breaks nothing, but for a liar that lets no attempt end.
        let violation = case.play(Mutation::None, &[]).violation;
        let broken = violation.as_ref().map(|violation| violation.invariant);
        let stuck = Some(Invariant::Liveness).filter(|_| case.liar != Liar::Nobody);
        if broken.is_some() && broken != stuck {
            wrong.push(format!("{invariant}, without an error: {violation:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The coordinator's key is the first that a seed gives.
fn coordinator_key(operations: &[consilium_tests::simulation::Operation]) -> SigningKey {
    let Some(consilium_tests::simulation::Operation::Found { seed, .. }) = operations.first()
    else {
        panic!("a list begins with `found`");
    };
    SigningKey::from_seed(&InsecureSeededRandom::from_seed(*seed).secret32())
}

/// The certificate with its first vote alone.
fn trimmed(key: &SigningKey, mut delivery: Delivery) -> Delivery {
    type Body = (AttemptId, Digest, CoordinatorMessage);
    let (id, transcript, message): Body = postcard::from_bytes(&delivery.envelope.body).unwrap();
    let CoordinatorMessage::Certificate { mut votes } = message else {
        return delivery;
    };
    votes.truncate(1);
    let message = CoordinatorMessage::Certificate { votes };
    let body = postcard::to_allocvec(&(id, transcript, message)).unwrap();
    delivery.envelope.signature = key.sign(Label::CoordinatorMessage, &[&body]);
    delivery.envelope.body = body;
    delivery
}
