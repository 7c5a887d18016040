// SPDX-License-Identifier: Apache-2.0
//! Rosters agreed, tampered with and changed.

use consilium_certs::roster::change::changes;
use consilium_certs::roster::quorum;
use consilium_certs::{
    Name, PeerIdentity, Role, Roster, RosterFault, RosterParts, SignatureOutcome, SignedRoster,
};

use crate::federation::{Federation, Participant, key, name};

#[test]
fn a_founding_roster_is_believed_when_every_member_signed_it() {
    let federation = Federation::new(1);
    let (signed, verified) = federation.founded();
    assert_eq!(verified.version(), 1);
    assert_eq!(verified.root(), federation.founding().root());
    let stored = serde_json::to_string(&signed).unwrap();
    assert_eq!(
        serde_json::from_str::<SignedRoster>(&stored).unwrap(),
        signed
    );
}

#[test]
fn a_founding_roster_without_one_founder_is_not_believed_and_says_who_is_missing() {
    let federation = Federation::new(2);
    let signed = federation.signed_by(&federation.founding(), &[0, 2]);
    let fault = signed.verify_founding().unwrap_err();
    assert_eq!(
        fault.to_string(),
        "the founding roster lacks the signature of `2_IU`, `4_Case`"
    );
}

#[test]
fn changing_one_byte_of_an_agreed_roster_is_always_noticed() {
    let federation = Federation::new(3);
    let (signed, _) = federation.founded();
    for at in 0..signed.roster.len() {
        let mut bytes = signed.roster.clone().into_bytes();
        bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
        let roster = String::from_utf8(bytes).unwrap();
        let tampered = SignedRoster {
            roster,
            signatures: signed.signatures.clone(),
        };
        assert!(
            tampered.verify_founding().is_err(),
            "byte {at} was changed unnoticed"
        );
    }
}

#[test]
fn the_same_content_in_another_spelling_is_refused() {
    let text = Federation::new(4).founding().text().to_owned();
    assert!(Roster::parse(&text).is_ok());
    let spaced = text.replacen(':', ": ", 1);
    assert!(matches!(
        Roster::parse(&spaced),
        Err(RosterFault::NotCanonical)
    ));
    let escaped = text.replacen("federation", "\\u0066ederation", 1);
    assert!(matches!(
        Roster::parse(&escaped),
        Err(RosterFault::NotCanonical)
    ));
    let unknown = text.replacen('{', "{\"a\":1,", 1);
    assert!(matches!(
        Roster::parse(&unknown),
        Err(RosterFault::Malformed { .. })
    ));
    let trailing = text.clone() + "\n";
    assert!(matches!(
        Roster::parse(&trailing),
        Err(RosterFault::NotCanonical)
    ));
}

#[test]
fn the_text_is_the_canonical_json_of_rfc_8785() {
    let text = Federation::new(5).founding().text().to_owned();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(canonical(&value), text);
}

#[test]
fn the_order_in_which_silos_were_invited_does_not_matter() {
    let federation = Federation::new(6);
    let mut parts = federation.parts();
    parts.members.reverse();
    assert_eq!(
        Roster::found(parts).unwrap().root(),
        federation.founding().root()
    );
}

#[test]
fn a_signature_by_another_key_or_of_another_roster_spoils_the_whole() {
    let mut federation = Federation::new(7);
    let roster = federation.founding();
    let mut signed = federation.signed_by(&roster, &[0, 1, 2, 3]);
    signed
        .signatures
        .insert(name("1_UM"), roster.sign(&federation.silos[1].identity));
    let fault = signed.verify_founding().unwrap_err();
    assert!(matches!(fault, RosterFault::BadSignature { name: who } if who == name("1_UM")));

    let mut parts = federation.parts();
    parts.researchers.clear();
    let other = Roster::found(parts).unwrap();
    signed
        .signatures
        .insert(name("1_UM"), other.sign(&federation.silos[0].identity));
    assert!(matches!(
        signed.verify_founding(),
        Err(RosterFault::BadSignature { .. })
    ));

    let mut signed = federation.signed_by(&roster, &[0, 1, 2, 3]);
    let stranger = key(&mut federation.random);
    signed
        .signatures
        .insert(name("stranger"), roster.sign(&stranger));
    assert!(matches!(
        signed.verify_founding(),
        Err(RosterFault::UnknownSigner { .. })
    ));
}

#[test]
fn signatures_are_checked_as_they_are_gathered() {
    let federation = Federation::new(8);
    let roster = federation.founding();
    let mut signed = SignedRoster::unsigned(&roster);
    for silo in &federation.silos {
        let signature = roster.sign(&silo.identity);
        let outcome = signed.add(None, &silo.name, signature).unwrap();
        assert_eq!(outcome, SignatureOutcome::Added);
        let again = signed.add(None, &silo.name, signature).unwrap();
        assert_eq!(again, SignatureOutcome::Repeated);
    }
    let foreign = roster.sign(&federation.silos[0].identity);
    assert!(signed.add(None, &name("2_IU"), foreign).is_err());
    assert!(signed.add(None, &name("9_X"), foreign).is_err());
    assert!(
        signed.verify_founding().is_ok(),
        "a refused signature left a trace"
    );
}

#[test]
fn a_member_is_added_by_a_quorum_of_the_members_before_it() {
    let mut federation = Federation::new(9);
    let (_, first) = federation.founded();
    assert_eq!((first.colluders(), first.witness_quorum()), (1, 3));
    let newcomer = Participant::new(Role::Silo, "5_OSU", &mut federation.random);
    let mut parts = first.to_parts();
    parts.members.push(newcomer.member());
    let second = first.succeed(parts).unwrap();
    assert_eq!(
        (second.version(), second.previous()),
        (2, Some(first.root()))
    );

    let mut signed = federation.signed_by(&second, &[0, 1]);
    signed
        .add(
            Some(&first),
            &newcomer.name,
            second.sign(&newcomer.identity),
        )
        .unwrap();
    let fault = signed.verify_successor(&first).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "roster version 2 is signed by 2 of the members before it and needs 3",
        "the newcomer's own vote was counted"
    );

    let signature = second.sign(&federation.silos[3].identity);
    signed
        .add(Some(&first), &name("4_Case"), signature)
        .unwrap();
    assert_eq!(signed.verify_successor(&first).unwrap().members().len(), 5);
    assert!(matches!(
        signed.verify_founding(),
        Err(RosterFault::NotFounding { version: 2 })
    ));
}

#[test]
fn a_coordinator_cannot_vote_by_swapping_the_members_keys() {
    let mut federation = Federation::new(10);
    let (_, first) = federation.founded();
    let mut parts = first.to_parts();
    let puppets: Vec<_> = (0..4).map(|_| key(&mut federation.random)).collect();
    for (member, puppet) in parts.members.iter_mut().zip(&puppets) {
        member.identity = puppet.verifying_key();
    }
    let second = first.succeed(parts).unwrap();
    let mut signed = SignedRoster::unsigned(&second);
    for (member, puppet) in second.members().iter().zip(&puppets) {
        signed
            .signatures
            .insert(member.name.clone(), second.sign(puppet));
    }
    assert!(matches!(
        signed.verify_successor(&first),
        Err(RosterFault::BadSignature { .. })
    ));
}

#[test]
fn a_version_that_skips_or_forks_the_pinned_one_is_refused() {
    let federation = Federation::new(11);
    let (_, first) = federation.founded();
    let without_researchers = |roster: &Roster| {
        let mut parts = roster.to_parts();
        parts.researchers.clear();
        roster.succeed(parts).unwrap()
    };
    let second = without_researchers(&first);
    let third = without_researchers(&second);
    let signed = federation.signed_by(&third, &[0, 1, 2, 3]);
    assert!(matches!(
        signed.verify_successor(&first),
        Err(RosterFault::NotSuccessor {
            version: 3,
            pinned: 1
        })
    ));

    let mut parts = federation.parts();
    parts.coordinator.log_origin = "elsewhere".to_owned();
    let fork = without_researchers(&Roster::found(parts).unwrap());
    let signed = federation.signed_by(&fork, &[0, 1, 2, 3]);
    assert!(matches!(
        signed.verify_successor(&first),
        Err(RosterFault::NotSuccessor { .. })
    ));
}

#[test]
fn a_member_removed_from_the_roster_is_admitted_no_more() {
    let federation = Federation::new(12);
    let (_, first) = federation.founded();
    let gone = PeerIdentity {
        role: Role::Silo,
        name: name("4_Case"),
    };
    assert!(first.admits(&gone));
    let mut parts = first.to_parts();
    parts.members.retain(|member| member.name != gone.name);
    let second = first.succeed(parts).unwrap();
    let signed = federation.signed_by(&second, &[0, 1, 2]);
    assert!(!signed.verify_successor(&first).unwrap().admits(&gone));
}

#[test]
fn keys_are_found_by_role_and_name_together() {
    let federation = Federation::new(13);
    let roster = federation.founding();
    let of = |role, text: &str| {
        roster.key_of(&PeerIdentity {
            role,
            name: name(text),
        })
    };
    assert_eq!(
        of(Role::Silo, "3_UK"),
        Some(federation.silos[2].identity.verifying_key())
    );
    assert_eq!(of(Role::Researcher, "3_UK"), None);
    assert_eq!(
        of(Role::Coordinator, "federation"),
        Some(federation.coordinator.verifying_key())
    );
    assert_eq!(of(Role::Coordinator, "3_UK"), None);
    assert!(roster.researcher("a.ruiz@uni.example").is_some());
    assert!(roster.researcher("3_UK").is_none());
}

#[test]
fn rosters_that_contradict_themselves_are_refused() {
    let federation = Federation::new(14);
    type Spoil<'a> = &'a dyn Fn(&mut RosterParts);
    type Expect<'a> = &'a dyn Fn(&RosterFault) -> bool;
    let cases: [(Spoil<'_>, Expect<'_>); 9] = [
        (&|parts| parts.members.truncate(1), &|fault| {
            matches!(fault, RosterFault::TooFewMembers { members: 1 })
        }),
        (
            &|parts| parts.members.push(parts.members[0].clone()),
            &|fault| matches!(fault, RosterFault::NameTwice { .. }),
        ),
        (
            &|parts| parts.researchers[0].name = name("3_UK"),
            &|fault| matches!(fault, RosterFault::NameTwice { .. }),
        ),
        (
            &|parts| parts.members[0].witness = parts.members[1].identity,
            &|fault| matches!(fault, RosterFault::KeyTwice { .. }),
        ),
        (
            &|parts| parts.coordinator.log_key = parts.coordinator.key,
            &|fault| matches!(fault, RosterFault::KeyTwice { .. }),
        ),
        (
            &|parts| parts.members[0].name = name("a@b.example"),
            &|fault| matches!(fault, RosterFault::Name(_)),
        ),
        (&|parts| parts.ca_spki.clear(), &|fault| {
            matches!(fault, RosterFault::NoAuthority)
        }),
        (
            &|parts| parts.coordinator.log_origin = "two lines\n".to_owned(),
            &|fault| matches!(fault, RosterFault::LogOrigin),
        ),
        (&|parts| parts.colluders = Some(3), &|fault| {
            matches!(
                fault,
                RosterFault::Colluders {
                    colluders: 3,
                    members: 4
                }
            )
        }),
    ];
    for (index, (spoil, expect)) in cases.iter().enumerate() {
        let mut parts = federation.parts();
        spoil(&mut parts);
        let fault = Roster::found(parts).unwrap_err();
        assert!(expect(&fault), "case {index}: {fault}");
    }
}

#[test]
fn a_quorum_other_than_the_rules_is_refused() {
    let text = Federation::new(15).founding().text().to_owned();
    let lowered = text.replacen("\"witness_quorum\":3", "\"witness_quorum\":2", 1);
    assert!(matches!(
        Roster::parse(&lowered),
        Err(RosterFault::WitnessQuorum {
            stated: 2,
            quorum: 3
        })
    ));
    let followed = text.replacen("\"previous\":null", "\"previous\":\"00\"", 1);
    assert!(Roster::parse(&followed).is_err());
    let renumbered = text.replacen("\"version\":1", "\"version\":2", 1);
    assert!(matches!(
        Roster::parse(&renumbered),
        Err(RosterFault::Version { version: 2 })
    ));
}

#[test]
fn the_quorum_is_the_published_table() {
    // (members, quorum) with a third colluding, from the design of secure aggregation.
    for (members, expected) in [
        (3, 3),
        (4, 3),
        (5, 4),
        (7, 5),
        (10, 7),
        (16, 11),
        (50, 34),
        (100, 67),
        (500, 334),
    ] {
        assert_eq!(quorum(members, members / 3), expected, "{members} members");
    }
}

#[test]
fn an_officer_reads_what_a_new_version_changes() {
    let mut federation = Federation::new(16);
    let first = federation.founding();
    let mut parts = first.to_parts();
    parts.members.remove(0);
    parts.members[0].witness = key(&mut federation.random).verifying_key();
    parts.researchers.clear();
    parts
        .operators
        .push(Participant::new(Role::Operator, "op@fed.example", &mut federation.random).person());
    let second = first.succeed(parts).unwrap();
    let said: Vec<String> = changes(&first, &second)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        said,
        [
            "replaces a key of silo `2_IU`",
            "adds operator `op@fed.example`",
            "removes silo `1_UM`",
            "removes researcher `a.ruiz@uni.example`",
        ]
    );
    assert!(changes(&first, &first).is_empty());
}

#[test]
fn the_names_of_a_parsed_roster_are_the_names_given() {
    let roster = Roster::parse(Federation::new(17).founding().text()).unwrap();
    let names: Vec<&Name> = roster.members().iter().map(|member| &member.name).collect();
    assert_eq!(
        names,
        [&name("1_UM"), &name("2_IU"), &name("3_UK"), &name("4_Case")]
    );
}

/// RFC 8785 for what a roster holds: ASCII strings, whole numbers, lists, objects and null.
fn canonical(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(fields) => {
            let mut keys: Vec<_> = fields.keys().collect();
            keys.sort();
            let fields: Vec<_> = keys
                .iter()
                .map(|key| format!("\"{key}\":{}", canonical(&fields[*key])))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        serde_json::Value::Array(items) => {
            let items: Vec<_> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}
