// SPDX-License-Identifier: Apache-2.0

//! What an answer tells, and to whom.

use consilium_policies::{Refusal, Request, decide};

use crate::{good, hospital, refused};

#[test]
fn a_refusal_names_no_other_researcher_data_set_or_approval() {
    let mut request = good();
    request.who = "eve@ads.example".to_owned();
    request.data = "cardiology".to_owned();
    request.ethics = Some("IRB-1".to_owned());
    let text = refused(&hospital(), &request).to_string();
    for secret in ["ruiz", "berg", "sepsis-2026", "REK-2026-0117"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn without_a_policy_everything_is_refused() {
    let refusal = Refusal::without_policy("st-olav.example");
    assert_eq!(
        refusal.to_string(),
        "refused by `st-olav.example`: policy: this silo has no policy, so everything is refused; \
         nearest permitted: none until a policy is installed"
    );
}

#[test]
fn a_request_survives_the_journal_unchanged() {
    let request = good();
    let line = serde_json::to_string(&request).unwrap();
    assert!(
        line.contains("\"epsilon\":\"2\"") && line.contains("\"date\":\"2027-11-30\""),
        "{line}"
    );
    assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
}

#[test]
fn a_decision_is_machine_readable() {
    let mut request = good();
    request.rounds = 61;
    let json: serde_json::Value = serde_json::to_value(decide(&hospital(), &request)).unwrap();
    assert_eq!(json["decision"], "refuse");
    assert_eq!(json["conditions"][0]["rule"], "grant `sepsis-consortium`");
    assert_eq!(json["conditions"][0]["term"], "rounds");
    assert_eq!(json["conditions"][0]["limit"], "60");
    assert_eq!(json["conditions"][0]["actual"], "61");
    assert_eq!(json["conditions"][0]["nearest"], "at most 60 rounds");
}
