// SPDX-License-Identifier: Apache-2.0
//! `doctor`: one line for everything the agent needs, PASS or what is wrong and how to mend it.

use std::process::ExitCode;
use std::time::SystemTime;

use consilium_certs::UnixSeconds;
use consilium_policies::{Isolation, Word};
use serde_json::json;

use super::records::{open_journal, policy_in_force};
use super::{Place, answer, runtime};
use crate::config::Config;
use crate::ledger::Ledger;
use crate::registration::{DataSet, DataSets};
use crate::silo_folder::SiloFolder;
use crate::trainer::{Trainer, TrainerCommand};
use crate::{enrolment, explain};

/// One thing that was looked at.
struct Finding {
    what: String,
    outcome: Result<String, String>,
}

/// Looks at everything; fails if anything does.
pub(super) fn examine(place: &Place, trainer: TrainerCommand) -> anyhow::Result<ExitCode> {
    let folder = SiloFolder::at(&place.dir);
    let config = Config::read(folder.path())?;
    let silo = config.silo.name.as_str();
    let trainer = Trainer::new(trainer);
    let mut findings = Vec::new();
    let mut look = |what: &str, outcome: Result<String, String>| {
        findings.push(Finding {
            what: what.to_owned(),
            outcome,
        });
    };

    let identity = folder.open_identity();
    look(
        "keys",
        identity
            .as_ref()
            .map(|_| "private to this user".to_owned())
            .map_err(|fault| explain(fault)),
    );
    if let Ok(identity) = &identity {
        look("certificate", certificate(identity));
        look("coordinator", reach(&config, identity));
    }
    look("roster", roster(&folder, silo));
    let policy = policy_in_force(&folder, silo);
    let floor = policy
        .as_ref()
        .ok()
        .map_or(Isolation::Process, |policy| policy.floor.isolation);
    look(
        "policy",
        policy
            .map(|policy| format!("version {}", policy.version))
            .map_err(|fault| explain(&fault)),
    );
    look("sandbox", sandbox(&folder, &trainer, floor));
    let ledger = open_journal(place)
        .map_err(|fault| format!("{fault:#}"))
        .and_then(|journal| {
            Ledger::view(&folder.ledger(), &journal).map_err(|fault| explain(&fault))
        });
    look(
        "ledger",
        ledger.map(|(_, entries)| format!("{} entries", entries.len())),
    );
    match DataSets::of(folder.path()).list() {
        Ok(data_sets) if data_sets.is_empty() => {
            look(
                "data",
                Err("no data set is registered: `data register NAME --file CSV`".to_owned()),
            );
        }
        Ok(data_sets) => {
            for data_set in data_sets {
                look(
                    &format!("data `{}`", data_set.name),
                    as_registered(&trainer, &data_set, floor),
                );
            }
        }
        Err(fault) => look("data", Err(explain(&fault))),
    }

    report(place, &config, &findings)
}

fn report(place: &Place, config: &Config, findings: &[Finding]) -> anyhow::Result<ExitCode> {
    let listed: Vec<_> = findings
        .iter()
        .map(|finding| match &finding.outcome {
            Ok(found) => json!({ "check": finding.what, "pass": true, "found": found }),
            Err(wrong) => json!({ "check": finding.what, "pass": false, "found": wrong }),
        })
        .collect();
    let mut text: String = findings
        .iter()
        .map(|finding| match &finding.outcome {
            Ok(found) => format!("PASS  {}: {found}\n", finding.what),
            Err(wrong) => format!("FAIL  {}: {wrong}\n", finding.what),
        })
        .collect();
    let firewall = format!(
        "allow outgoing TCP to {}; nothing comes in",
        config.coordinator.address
    );
    text.push_str("\nFor the network team: ");
    text.push_str(&firewall);
    answer(
        place,
        &json!({ "checks": listed, "firewall": firewall }),
        &text,
    )?;
    let healthy = findings.iter().all(|finding| finding.outcome.is_ok());
    Ok(if healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The file is read by a trainer child: this process has a network.
fn as_registered(
    trainer: &Trainer,
    data_set: &DataSet,
    floor: Isolation,
) -> Result<String, String> {
    let file = data_set.path.display();
    let found = trainer
        .describe(&data_set.path.to_string_lossy(), None, None, floor)
        .map_err(|fault| explain(&fault))?;
    if found.sha256 == *data_set.sha256.as_bytes() {
        return Ok(format!("`{file}` is as registered"));
    }
    let name = &data_set.name;
    Err(format!(
        "`{file}` was changed after it was registered: `data register {name} --file {file}`"
    ))
}

fn certificate(identity: &consilium_certs::IdentityFolder) -> Result<String, String> {
    let facts = identity.certificate().map_err(|fault| explain(&fault))?;
    match facts.days_left(UnixSeconds::from_system_time(SystemTime::now())) {
        0 => Err("it has ended or ends today; join again with a new invitation".to_owned()),
        days => Ok(format!("{days} days left")),
    }
}

fn reach(config: &Config, identity: &consilium_certs::IdentityFolder) -> Result<String, String> {
    let runtime = runtime().map_err(|fault| format!("{fault:#}"))?;
    runtime
        .block_on(enrolment::connect(config, identity))
        .map(|_| format!("mutual TLS with {}", config.coordinator.address))
        .map_err(|fault| explain(&fault))
}

fn roster(folder: &SiloFolder, silo: &str) -> Result<String, String> {
    let rosters = folder.open_roster().map_err(|fault| explain(&fault))?;
    match rosters.current() {
        None => Err("none is pinned yet: `roster sign`, then run the agent".to_owned()),
        Some(roster) if roster.member(silo).is_none() => Err(format!(
            "version {} does not hold `{silo}`; ask the operator",
            roster.version()
        )),
        Some(roster) => Ok(format!(
            "version {}, {} members",
            roster.version(),
            roster.members().len()
        )),
    }
}

fn sandbox(folder: &SiloFolder, trainer: &Trainer, floor: Isolation) -> Result<String, String> {
    let bait = folder.identity().join("identity.json");
    let (reached, open) = trainer
        .probe(&bait.to_string_lossy())
        .map_err(|fault| explain(&fault))?;
    if !open.is_empty() && reached > Isolation::Process {
        return Err(format!(
            "a trainer could still {}; do not run noised or plain studies here",
            open.join(", ")
        ));
    }
    if reached < floor {
        return Err(format!(
            "isolation `{}` is below the policy's `{}`; use a kernel with Landlock and seccomp",
            reached.as_str(),
            floor.as_str()
        ));
    }
    Ok(format!("isolation `{}`", reached.as_str()))
}
