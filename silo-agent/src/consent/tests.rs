// SPDX-License-Identifier: Apache-2.0
use std::path::PathBuf;

use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;

use super::*;
use crate::test_federation::{Federation, NAMES, RESEARCHER, STATISTICS, membership};

const SILO: &str = include_str!("../../../examples/studies/private-silo.toml");
const PRIVATE_STATISTICS: &str = include_str!("../../../examples/studies/private-statistics.toml");
const PRIVATE: &str = include_str!("../../../examples/studies/private-logistic.toml");

struct Hospital {
    folder: tempfile::TempDir,
    federation: Federation,
    membership: Membership,
    journal: Journal,
    ledger: Ledger,
    data_sets: DataSets,
}

impl Hospital {
    fn new() -> Hospital {
        let folder = tempfile::tempdir().unwrap();
        let federation = Federation::new();
        let mut journal = Journal::open(&folder.path().join("journal.sqlite")).unwrap();
        let instance = Digest::from_bytes([7; 32]);
        Hospital {
            membership: membership(&federation.roster),
            ledger: Ledger::open(
                &folder.path().join("ledger.jsonl"),
                &mut journal,
                instance,
                None,
            )
            .unwrap(),
            data_sets: DataSets::of(folder.path()),
            journal,
            federation,
            folder,
        }
    }

    fn policy_path(&self) -> PathBuf {
        self.folder.path().join("policy.toml")
    }

    fn consider(&self, offer: &Offer) -> Verdict {
        let policy = self.policy_path();
        self.desk(&policy).consider("5ff11f0e", offer).unwrap()
    }

    fn desk<'a>(&'a self, policy: &'a Path) -> Desk<'a> {
        Desk {
            silo: NAMES[2],
            roster: &self.federation.roster,
            membership: &self.membership,
            policy,
            data_sets: &self.data_sets,
            journal: &self.journal,
            ledger: &self.ledger,
            isolation: Isolation::Sandbox,
            date: Date::new(2026, 11, 24).unwrap(),
            hour: 10,
        }
    }

    /// Registers a file of 300 patients with that digest.
    fn registered(&self, sha256: Digest) -> DataSet {
        self.registered_but(sha256, |_| {})
    }

    /// The same with something else about it.
    fn registered_but(&self, sha256: Digest, change: impl FnOnce(&mut DataSet)) -> DataSet {
        let mut data_set = DataSet {
            name: "ercp-trial".to_owned(),
            lineage: "ercp-trial".to_owned(),
            path: "/data/ercp.csv".into(),
            sha256,
            rows: 300,
            patient: Some("id".to_owned()),
            patients: 300,
            min_patients: 20,
            patients_at_most: Some(512),
            columns: vec!["id".to_owned()],
            registered: "2026-11-24T00:00:00Z".to_owned(),
        };
        change(&mut data_set);
        let folder = self.folder.path().join("data");
        std::fs::create_dir_all(&folder).unwrap();
        let text = toml::to_string(&data_set).unwrap();
        std::fs::write(folder.join("ercp-trial.toml"), text).unwrap();
        data_set
    }

    /// Installs the policy of the demonstration.
    fn permit(&self) {
        let policy = include_str!("../../../examples/policies/3_UK.toml");
        std::fs::write(self.policy_path(), policy).unwrap();
    }

    /// Installs the rules of that policy, changed.
    fn permit_but(&self, part: &str, by: &str) {
        let policy = include_str!("../../../examples/policies/3_UK.toml");
        let rules = policy.split("[[example]]").next().unwrap();
        assert!(rules.contains(part));
        std::fs::write(self.policy_path(), rules.replace(part, by)).unwrap();
    }

    fn offer(&self) -> Offer {
        self.offer_of(STATISTICS)
    }

    fn offer_of(&self, study: &str) -> Offer {
        let study = study.as_bytes().to_vec();
        Offer {
            signature: sign(&self.federation.researcher_key(), &study),
            study,
            researcher: RESEARCHER.to_owned(),
            invited: NAMES.map(str::to_owned).to_vec(),
            deadline_milliseconds: u64::MAX,
        }
    }
}

fn sign(key: &SigningKey, study: &[u8]) -> Vec<u8> {
    key.sign(Label::StudySignature, &[study])
        .to_bytes()
        .to_vec()
}

fn refused(verdict: Verdict) -> (String, String) {
    match verdict {
        Verdict::Refused(refused) => refused.conditions.first().cloned().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_forged_signature_of_a_researcher_is_refused_before_the_policy_is_asked() {
    let hospital = Hospital::new();
    let forger = SigningKey::from_seed(&Secret::new([77; 32]));
    let good = hospital.offer();
    let forged = Offer {
        signature: sign(&forger, &good.study),
        ..good.clone()
    };
    let changed = Offer {
        study: STATISTICS.replace("ercp-trial", "other-trial").into_bytes(),
        ..good.clone()
    };
    let short = Offer {
        signature: vec![1; 63],
        ..good.clone()
    };
    let stranger = Offer {
        researcher: "m.allory@uni.example".to_owned(),
        ..good
    };
    for offer in [forged, changed, short, stranger] {
        assert_eq!(refused(hospital.consider(&offer)).0, "researcher");
    }
}

#[test]
fn a_study_signed_under_another_name_than_it_states_is_refused() {
    let hospital = Hospital::new();
    let study = STATISTICS
        .replace(RESEARCHER, "b.other@uni.example")
        .into_bytes();
    let offer = Offer {
        signature: sign(&hospital.federation.researcher_key(), &study),
        study,
        ..hospital.offer()
    };
    assert_eq!(refused(hospital.consider(&offer)).0, "researcher");
}

#[test]
fn a_malformed_study_is_refused_with_its_field() {
    let hospital = Hospital::new();
    let study = STATISTICS
        .replace("fraction_bits", "fractoin_bits")
        .into_bytes();
    let offer = Offer {
        signature: sign(&hospital.federation.researcher_key(), &study),
        study,
        ..hospital.offer()
    };
    let (rule, statement) = refused(hospital.consider(&offer));
    assert!(rule == "researcher" || rule == "study");
    assert!(statement.contains("fractoin_bits"), "{statement}");
}

#[test]
fn an_invitation_that_the_researcher_did_not_sign_for_is_refused() {
    let hospital = Hospital::new();
    let fewer = Offer {
        invited: NAMES[..3].iter().map(|name| (*name).to_owned()).collect(),
        ..hospital.offer()
    };
    let twice = Offer {
        invited: vec![NAMES[0].to_owned(); 4],
        ..hospital.offer()
    };
    for offer in [fewer, twice] {
        assert_eq!(refused(hospital.consider(&offer)).0, "invitation");
    }
}

#[test]
fn without_a_policy_everything_is_refused_and_a_broken_one_is_none() {
    let hospital = Hospital::new();
    let offer = hospital.offer();
    assert_eq!(refused(hospital.consider(&offer)).0, "policy");
    std::fs::write(hospital.policy_path(), "[policy]\nsilo = 3\n").unwrap();
    assert_eq!(refused(hospital.consider(&offer)).0, "policy");
}

#[test]
fn another_cohort_without_noise_is_refused() {
    let mut hospital = Hospital::new();
    let data_set = hospital.registered(Digest::from_bytes([1; 32]));
    let other = ["1_UM", "3_UK", "4_Case"].map(str::to_owned);
    hospital
        .journal
        .bind_cohort(data_set.file(), &other)
        .unwrap();
    assert_eq!(refused(hospital.consider(&hospital.offer())).0, "cohort");
}

#[test]
fn a_changed_file_without_noise_is_refused_and_others_hear_nothing_of_the_cohort() {
    let mut hospital = Hospital::new();
    let data_set = hospital.registered(Digest::from_bytes([1; 32]));
    let cohort = NAMES.map(str::to_owned);
    hospital
        .journal
        .bind_cohort(data_set.file(), &cohort)
        .unwrap();
    hospital.permit();
    assert!(matches!(
        hospital.consider(&hospital.offer()),
        Verdict::Permitted(_)
    ));
    // One patient less, the same cohort.
    hospital.registered(Digest::from_bytes([2; 32]));
    let (rule, statement) = refused(hospital.consider(&hospital.offer()));
    assert_eq!(rule, "cohort");
    assert!(!statement.contains("--new-cohort"), "{statement}");
}

#[test]
fn a_bound_on_patients_is_held_against_the_announcement_and_not_the_data() {
    let hospital = Hospital::new();
    hospital.registered(Digest::from_bytes([1; 32]));
    hospital.permit();
    // The data set has 300 patients and is announced with 512: every bound below says the same.
    for bound in ["10", "299", "300", "301", "511"] {
        let text = PRIVATE.replace(
            "most_patients_per_silo = 1000",
            &format!("most_patients_per_silo = {bound}"),
        );
        let (rule, statement) = refused(hospital.consider(&hospital.offer_of(&text)));
        assert_eq!(rule, "study", "{statement}");
        assert!(statement.contains("512"), "{statement}");
    }
    let text = PRIVATE.replace("= 1000", "= 512");
    assert!(matches!(
        hospital.consider(&hospital.offer_of(&text)),
        Verdict::Permitted(_)
    ));
}

/// Whether a trainer comes to the end of them would depend on who fits.
#[test]
fn more_coordinates_than_every_host_certainly_holds_are_refused_by_public_numbers_before_any_look_at_the_data()
 {
    let hospital = Hospital::new();
    hospital.permit();
    for (patients, columns, told) in [
        (1_000_000_000_u64, 0, "3276800000 at most"),
        (1_000, 4_200, "16777216 at most"),
    ] {
        let levels = |column: &str| {
            let labels: Vec<String> = (0..columns)
                .map(|level| format!("\"{level}\" = \"{column}{level}\""))
                .collect();
            labels.join(", ")
        };
        let mut text = PRIVATE_STATISTICS.replace("= 1000", &format!("= {patients}"));
        if columns > 0 {
            let rows =
                "levels = { \"0_placebo\" = \"placebo\", \"1_indomethacin\" = \"indomethacin\" }";
            let outcomes = "levels = { \"0_no\" = \"no\", \"1_yes\" = \"yes\" }";
            assert!(text.contains(rows) && text.contains(outcomes));
            text = text
                .replace(rows, &format!("levels = {{ {} }}", levels("r")))
                .replace(outcomes, &format!("levels = {{ {} }}", levels("c")));
        }
        // Nothing is registered: the limits come first.
        let (rule, statement) = refused(hospital.consider(&hospital.offer_of(&text)));
        assert_eq!(rule, "study", "{statement}");
        assert!(statement.contains(told), "{statement}");
    }
}

#[test]
fn patients_are_those_that_the_hospital_registered() {
    let hospital = Hospital::new();
    hospital.permit();
    let sha256 = Digest::from_bytes([1; 32]);
    let asked = || refused(hospital.consider(&hospital.offer_of(PRIVATE)));
    hospital.registered_but(sha256, |data_set| data_set.patient = Some("mrn".to_owned()));
    let (rule, statement) = asked();
    assert!(
        rule == "study" && statement.contains("`mrn`"),
        "{statement}"
    );
    hospital.registered_but(sha256, |data_set| data_set.patient = None);
    let (rule, statement) = asked();
    assert!(
        rule == "study" && statement.contains("names no column"),
        "{statement}"
    );
    hospital.registered_but(sha256, |data_set| data_set.patients_at_most = None);
    let (rule, statement) = asked();
    assert!(
        rule == "data" && statement.contains("no bound"),
        "{statement}"
    );
    // Without noise none of it matters.
    let verdict = hospital.consider(&hospital.offer());
    assert!(matches!(verdict, Verdict::Permitted(_)));
}

#[test]
fn a_count_of_patients_is_looked_at_when_they_are_registered_and_never_again() {
    let hospital = Hospital::new();
    let sha256 = Digest::from_bytes([1; 32]);
    let answered = |patients: u64, needed: &str| {
        hospital.permit_but("min_patients = 20", needed);
        hospital.registered_but(sha256, |data_set| {
            data_set.rows = patients;
            data_set.patients = patients;
        });
        hospital.consider(&hospital.offer_of(PRIVATE))
    };
    // Registered when the policy asked for 20. The file holds fewer or more than it asks for now.
    for patients in [1, 29, 30, 300] {
        let (rule, statement) = refused(answered(patients, "min_patients = 30"));
        let expected = "`ercp-trial` is not registered as holding 30 patients";
        assert_eq!((rule.as_str(), statement.as_str()), ("floor", expected));
        let verdict = answered(patients, "min_patients = 20");
        assert!(matches!(verdict, Verdict::Permitted(_)), "{verdict:?}");
    }
}

/// A budget for the lineage beside that of the data set.
const BOTH_BUDGETS: &str =
    "[budget.\"ercp-2019\"]\nepsilon = \"4\"\ndelta = \"2e-5\"\n[budget.\"ercp-trial\"]";

#[test]
fn a_data_set_that_continues_another_takes_from_its_budget() {
    let mut hospital = Hospital::new();
    let sha256 = Digest::from_bytes([1; 32]);
    let continues = |data_set: &mut DataSet| data_set.lineage = "ercp-2019".to_owned();
    let data_set = hospital.registered_but(sha256, continues);
    hospital.permit();
    let (rule, _) = refused(hospital.consider(&hospital.offer_of(PRIVATE)));
    assert_eq!(rule, "budget `ercp-2019`");
    hospital.permit_but("[budget.\"ercp-trial\"]", BOTH_BUDGETS);
    let offer = hospital.offer_of(PRIVATE);
    let Verdict::Permitted(permitted) = hospital.consider(&offer) else {
        panic!("not permitted");
    };
    assert_eq!(permitted.lineage, "ercp-2019");
    // The other data set's studies have taken all there was.
    let limit = permitted.policy.policy.budget("ercp-2019").unwrap();
    let (ledger, journal) = (&mut hospital.ledger, &mut hospital.journal);
    let vector = &permitted.terms.vectors;
    ledger
        .reserve(journal, "ercp-2019", limit, "earlier", vector)
        .unwrap();
    let (rule, statement) = refused(hospital.consider(&offer));
    assert_eq!(rule, "budget `ercp-2019`");
    // What would fit is tried on the account that pays.
    assert!(
        statement.contains("would fit: `epsilon = \"2.39\"`"),
        "{statement}"
    );
    // And the cohort that the other met without noise is the one that this one may meet.
    let other = ["1_UM", "3_UK", "4_Case"].map(str::to_owned);
    let earlier = Digest::from_bytes([9; 32]);
    let file = crate::journal::RegisteredFile {
        lineage: "ercp-2019",
        sha256: &earlier,
    };
    hospital.journal.bind_cohort(file, &other).unwrap();
    assert_eq!(data_set.file().lineage, "ercp-2019");
    assert_eq!(refused(hospital.consider(&hospital.offer())).0, "cohort");
}

#[test]
fn who_has_heard_often_enough_that_data_are_not_ready_needs_a_person() {
    let mut hospital = Hospital::new();
    hospital.registered(Digest::from_bytes([1; 32]));
    hospital.permit();
    for (study, asked) in [("s1", false), ("s2", false), ("s3", false), ("s4", true)] {
        let Verdict::Permitted(permitted) = hospital.consider(&hospital.offer()) else {
            panic!("not permitted");
        };
        assert_eq!(permitted.first_ask.is_some(), asked, "{study}");
        hospital
            .journal
            .record_not_ready(study, RESEARCHER, "ercp-trial")
            .unwrap();
    }
}

#[test]
fn a_person_sees_what_a_study_costs_before_saying_yes() {
    let hospital = Hospital::new();
    hospital.registered(Digest::from_bytes([1; 32]));
    hospital.permit();
    let offer = hospital.offer_of(PRIVATE);
    let Verdict::Permitted(permitted) = hospital.consider(&offer) else {
        panic!("not permitted");
    };
    let policy = hospital.policy_path();
    let terms = hospital
        .desk(&policy)
        .approval_terms("5ff11f0e", &permitted);
    assert_eq!(terms.epsilon.as_deref(), Some("3"));
    assert_eq!(terms.delta.as_deref(), Some("1e-5"));
    assert_eq!((terms.attempts, terms.silos.len()), (22, 4));
    let (needed, left) = (
        terms.budget_needed.unwrap(),
        terms.budget_left_afterwards.unwrap(),
    );
    assert!((0.59..0.61).contains(&needed), "{needed}");
    assert!((needed + left - 1.0).abs() < 0.002, "{left}");
}

#[test]
fn a_data_set_that_is_registered_otherwise_ends_the_study_it_was_granted_to() {
    let mut hospital = Hospital::new();
    let sha256 = Digest::from_bytes([1; 32]);
    hospital.registered(sha256);
    hospital.permit();
    let offer = hospital.offer_of(PRIVATE);
    let Verdict::Permitted(permitted) = hospital.consider(&offer) else {
        panic!("not permitted");
    };
    let limit = permitted.policy.policy.budget("ercp-trial").unwrap();
    let (ledger, journal) = (&mut hospital.ledger, &mut hospital.journal);
    let vectors = &permitted.terms.vectors;
    ledger
        .reserve(journal, "ercp-trial", limit, "5ff11f0e", vectors)
        .unwrap();
    let path = hospital.policy_path();
    let again = || {
        let desk = hospital.desk(&path);
        desk.reconsider("5ff11f0e", &offer, &permitted.terms)
    };
    again().unwrap();
    type Change = fn(&mut DataSet);
    let changes: [(Change, &str); 4] = [
        (
            |data_set| data_set.patient = Some("person".to_owned()),
            "`person`",
        ),
        (
            |data_set| data_set.patients_at_most = Some(1_000_000),
            "up to 1000000 patients",
        ),
        (|data_set| data_set.patients_at_most = None, "no bound"),
        (
            |data_set| data_set.lineage = "another".to_owned(),
            "another lineage",
        ),
    ];
    for (change, told) in changes {
        hospital.registered_but(sha256, change);
        let refused = again().unwrap_err();
        let (_, statement) = &refused.conditions[0];
        assert!(statement.contains(told), "{refused:?}");
    }
    hospital.registered(sha256);
    again().unwrap();
}

#[test]
fn a_study_that_was_charged_while_masks_hold_ends_where_the_policy_charges_broken_ones() {
    let mut hospital = Hospital::new();
    // The account that pays has another name than the data set.
    let sha256 = Digest::from_bytes([1; 32]);
    hospital.registered_but(sha256, |data_set| data_set.lineage = "ercp-2019".to_owned());
    hospital.permit_but("[budget.\"ercp-trial\"]", BOTH_BUDGETS);
    let offer = hospital.offer_of(PRIVATE);
    let Verdict::Permitted(permitted) = hospital.consider(&offer) else {
        panic!("not permitted");
    };
    let path = hospital.policy_path();
    let limit = permitted.policy.policy.budget("ercp-2019").unwrap();
    hospital
        .ledger
        .reserve(
            &mut hospital.journal,
            "ercp-2019",
            limit,
            "5ff11f0e",
            &permitted.terms.vectors,
        )
        .unwrap();
    let again = |hospital: &Hospital| {
        let desk = hospital.desk(&path);
        desk.reconsider("5ff11f0e", &offer, &permitted.terms)
    };
    again(&hospital).unwrap();
    let policy = std::fs::read_to_string(&path).unwrap();
    // The first budget is that of the lineage.
    let strict = policy.replacen(
        "delta = \"2e-5\"\n",
        "delta = \"2e-5\"\ncharge = \"masks-broken\"\n",
        1,
    );
    assert!(strict.contains("masks-broken"));
    std::fs::write(&path, strict).unwrap();
    let refused = again(&hospital).unwrap_err();
    assert_eq!(refused.conditions[0].0, "budget", "{refused:?}");
    assert!(refused.conditions[0].1.contains("as if they were broken"));
}

#[test]
fn a_study_beyond_the_budget_hears_what_would_fit_and_that_is_permitted() {
    let mut hospital = Hospital::new();
    hospital.registered(Digest::from_bytes([1; 32]));
    hospital.permit();
    let Verdict::Permitted(permitted) = hospital.consider(&hospital.offer_of(PRIVATE)) else {
        panic!("not permitted");
    };
    let limit = permitted.policy.policy.budget("ercp-trial").unwrap();
    hospital
        .ledger
        .reserve(
            &mut hospital.journal,
            "ercp-trial",
            limit,
            "before",
            &permitted.terms.vectors,
        )
        .unwrap();
    let (rule, statement) = refused(hospital.consider(&hospital.offer_of(PRIVATE)));
    assert!(rule.starts_with("budget"), "{rule}");
    let (_, offers) = statement.split_once("; would fit: ").unwrap();
    let quoted = |text: &str| text.split('`').nth(1).unwrap().to_owned();
    let [alone, fewer] = offers.split(", or ").collect::<Vec<_>>()[..] else {
        panic!("{offers}")
    };
    let epsilon = |line: &str| PRIVATE.replace("epsilon = \"3\"", line);
    let smaller = epsilon(&quoted(alone));
    let rounds = epsilon(fewer.split('`').nth(3).unwrap()).replace("most = 20", &quoted(fewer));
    for study in [smaller, rounds] {
        assert_ne!(study, PRIVATE);
        let verdict = hospital.consider(&hospital.offer_of(&study));
        assert!(matches!(verdict, Verdict::Permitted(_)), "{verdict:?}");
    }
}

#[test]
fn a_study_that_would_take_more_than_the_share_it_names_is_refused_with_the_share_it_takes() {
    let hospital = Hospital::new();
    hospital.registered(Digest::from_bytes([1; 32]));
    hospital.permit();
    let naming = |share: &str| {
        let study = PRIVATE.replace("epsilon =", &format!("budget_share = {share}\nepsilon ="));
        hospital.consider(&hospital.offer_of(&study))
    };
    // It takes three fifths, and a silo never makes the noise larger by itself.
    let Verdict::Refused(refused) = naming("0.25") else {
        panic!("a quarter is not enough");
    };
    let [(rule, statement)] = refused.conditions.as_slice() else {
        panic!("{refused:?}");
    };
    assert_eq!(rule, "budget_share");
    assert!(
        statement.contains("would take 59.9 %") && statement.contains("is 25.0 %"),
        "{statement}"
    );
    assert!(matches!(naming("0.6"), Verdict::Permitted(_)));
}

#[test]
fn a_study_whose_unit_is_the_silo_needs_a_grant_that_names_it_and_no_bound_on_patients() {
    let hospital = Hospital::new();
    hospital.registered(Digest::from_bytes([1; 32]));
    hospital.permit();
    let offer = hospital.offer_of(SILO);
    let Verdict::Refused(refused) = hospital.consider(&offer) else {
        panic!("no grant names the unit");
    };
    let [(_, statement)] = refused.conditions.as_slice() else {
        panic!("{refused:?}");
    };
    assert_eq!(statement, "unit `silo` is not `patient`");
    let policy = std::fs::read_to_string(hospital.policy_path()).unwrap();
    let naming = policy.replace(
        "modes = [\"distributed\"]",
        "modes = [\"distributed\"]\nunits = [\"patient\", \"silo\"]",
    );
    assert_ne!(naming, policy);
    std::fs::write(hospital.policy_path(), naming).unwrap();
    let Verdict::Permitted(permitted) = hospital.consider(&offer) else {
        panic!("not permitted");
    };
    let noise = permitted.terms.vectors.training.noise.unwrap();
    assert_eq!((noise.unit, noise.patients_cap), (Unit::Silo, 1));
}
