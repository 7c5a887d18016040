// SPDX-License-Identifier: Apache-2.0
//! Studies that end without a result, and a coordinator that dies at the worst moment of that.

use crate::federation::Federation;
use crate::founding::HOSPITALS;
use crate::studies::{STATISTICS, assert_completes_exactly};
use std::fs;

/// The hospital that stays away.
const VICTIM: &str = "3_UK";

const FORBIDDEN: &str = include_str!("../../../examples/studies/forbidden.toml");

/// How many entries of the shared log are of a type. To be asked when nothing runs.
fn logged(federation: &Federation, kind: &str) -> usize {
    let entries = fs::read_to_string(federation.path("coordinator/log/entries.jsonl")).unwrap();
    let wanted = format!("\"type\":\"{kind}\"");
    entries
        .lines()
        .filter(|line| line.contains(&wanted))
        .count()
}

#[test]
fn the_coordinator_dies_once_it_is_decided_that_a_study_is_refused() {
    let mut federation = Federation::resting();
    federation.arm_coordinator("ending:1");
    for hospital in HOSPITALS {
        federation.start_silo(hospital);
    }
    let id = federation.submit(FORBIDDEN);
    federation.await_coordinators_death();
    federation.start_coordinator();
    let last = federation.watch(&id);
    assert_eq!(last["state"], "refused", "{last}");
    assert_eq!(last["refusals"].as_array().unwrap().len(), 1, "{last}");
    // The queue goes on, and the log bears it out.
    let next = federation.submit(STATISTICS);
    assert_completes_exactly(&mut federation, &next);
    assert_eq!(logged(&federation, "study.refused"), 1);
}

#[test]
fn a_study_without_noise_has_no_second_attempt_although_the_coordinator_dies_after_the_first() {
    let mut federation = Federation::resting();
    federation.deadline("drop_seconds", 1);
    federation.arm_coordinator("abandoned:1");
    for hospital in HOSPITALS {
        match hospital {
            VICTIM => federation.arm_silo(VICTIM, "dealt:1"),
            other => federation.start_silo(other),
        }
    }
    let id = federation.submit(STATISTICS);
    federation.await_silos_death(VICTIM);
    federation.await_coordinators_death();
    federation.start_silo(VICTIM);
    federation.start_coordinator();
    let last = federation.watch(&id);
    assert_eq!(last["state"], "failed", "{last}");
    federation.stop();
    assert_eq!(logged(&federation, "round.opened"), 1);
    assert_eq!(logged(&federation, "study.failed"), 1);
    federation.verify_log();
}

#[test]
fn an_upload_that_the_disk_lost_costs_its_study_and_not_the_coordinator() {
    let mut federation = Federation::resting();
    federation.arm_coordinator("certified:1");
    for hospital in HOSPITALS {
        federation.start_silo(hospital);
    }
    let id = federation.submit(STATISTICS);
    federation.await_coordinators_death();
    for attempt in fs::read_dir(federation.path("coordinator/blobs/uploads")).unwrap() {
        // Were only the chunks lost, the hospital would send them again.
        let attempt = attempt.unwrap().path();
        fs::remove_file(attempt.join(HOSPITALS[0])).unwrap();
        fs::remove_file(attempt.join(format!("{}+announced", HOSPITALS[0]))).unwrap();
    }
    federation.start_coordinator();
    let last = federation.watch(&id);
    assert_eq!(last["state"], "failed", "{last}");
    // The service lives, and stops in good order.
    federation.stop();
    assert_eq!(logged(&federation, "round.abandoned"), 1);
    federation.verify_log();
}

#[test]
fn a_study_that_waits_for_cosignatures_in_vain_can_be_cancelled() {
    let mut federation = Federation::resting();
    federation.arm_coordinator("released:1");
    for hospital in HOSPITALS {
        federation.start_silo(hospital);
    }
    let id = federation.submit(STATISTICS);
    federation.await_coordinators_death();
    for hospital in HOSPITALS {
        federation.kill_silo(hospital);
    }
    federation.start_coordinator();
    // The sum is released and no hospital is there to cosign that.
    let cancel = ["study", "cancel", &id, "--dir", "researcher"];
    federation.run(&cancel).succeeded();
    let last = federation.watch(&id);
    assert_eq!(last["state"], "cancelled", "{last}");
    // Nothing holds the service up.
    federation.stop();
    assert_eq!(logged(&federation, "study.completed"), 0);
    assert_eq!(logged(&federation, "study.cancelled"), 1);
}
