// SPDX-License-Identifier: Apache-2.0
//! Invitations and rosters that are not one's own.

use crate::executable::run;
use crate::federation::Federation;
use crate::founding::{invite, start_coordinator};
use crate::studies::{STATISTICS, assert_completes_exactly};
use std::fs;

#[test]
fn an_invitation_is_good_once_for_its_role_and_at_its_coordinator() {
    let mut federation = Federation::resting();
    federation.start_coordinator();
    let at = federation.at();
    let join =
        |invitation: &str, folder: &str| run(at, &["silo", "join", invitation, "--dir", folder]);

    join("consilium", "new").failed(2, &["not an invitation", "consilium-invitation-1."]);
    let researcher = invite(at, "b.novak@uni.example", "researcher");
    join(&researcher, "new").failed(2, &["researcher", "b.novak@uni.example", "role `silo`"]);
    let silo = invite(at, "5_New", "silo");
    let person = run(at, &["certs", "join", &silo, "--dir", "new"]);
    person.failed(2, &["5_New", "consilium silo join"]);
    assert!(
        !at.join("new").exists(),
        "a folder is left of what was refused"
    );

    join(&silo, "1_UM").failed(2, &["1_UM", "joined already", "--dir"]);
    join(&silo, "new").succeeded();
    join(&silo, "new").failed(2, &["5_New", "joined already"]);
    join(&silo, "other").failed(2, &["used", "invit"]);
    assert!(
        !at.join("other/silo.toml").exists(),
        "a refused silo counts as joined"
    );
    // The keys of the refused join are for its name alone.
    let another = invite(at, "6_Other", "silo");
    join(&another, "other").failed(2, &["other/identity", "5_New", "another folder"]);
    join(&another, "another").succeeded();
}

#[test]
fn another_coordinator_in_the_place_of_the_invitations_is_found_out() {
    let mut federation = Federation::resting();
    let invitation = invite(federation.at(), "5_New", "silo");
    let stranger = tempfile::tempdir().unwrap();
    let init = [
        "coordinator",
        "init",
        "--dir",
        "coordinator",
        "--name",
        "hub.example",
        "--listen",
        &federation.address(),
        "--host",
        "127.0.0.1",
    ];
    run(stranger.path(), &init).succeeded();
    let running = start_coordinator(stranger.path());

    let join = ["silo", "join", &invitation, "--dir", "new"];
    let said = federation.run(&join).failed(2, &[&federation.address()]);
    assert!(
        said.contains("certificate") || said.contains("authority"),
        "{said}"
    );
    assert!(!federation.path("new/silo.toml").exists());
    let list = ["study", "list", "--dir", "researcher"];
    federation
        .run(&list)
        .failed(2, &[&federation.address(), "certificate"]);

    running.stop();
    federation.start_coordinator();
    federation.run(&join).succeeded();
    federation.run(&list).succeeded();
}

#[test]
fn a_roster_that_was_changed_or_is_anothers_is_not_followed() {
    let mut federation = Federation::resting();
    federation.start();
    let id = federation.submit(STATISTICS);
    federation.complete(&id);
    federation.stop_silo("3_UK");
    let pinned = federation.path("3_UK/roster/1.json");
    let good = fs::read_to_string(&pinned).unwrap();

    // Somebody lowers the number of witnesses in the pinned file.
    let changed = good.replace("\\\"witness_quorum\\\":3", "\\\"witness_quorum\\\":1");
    assert_ne!(good, changed, "{good}");
    let start = ["silo", "run", "--dir", "3_UK"];
    for bad in [changed.as_str(), "{}", ""] {
        fs::write(&pinned, bad).unwrap();
        federation
            .run(&start)
            .failed(2, &["`3_UK/roster/1.json`", "remove it"]);
    }
    fs::remove_file(&pinned).unwrap();
    federation.start_silo("3_UK");
    let id = federation.submit(STATISTICS);
    assert_completes_exactly(&mut federation, &id);
    assert_eq!(fs::read_to_string(&pinned).unwrap(), good);
}
