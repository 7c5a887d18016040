// SPDX-License-Identifier: Apache-2.0
//! `status` and `ledger show`.

use std::fmt::Write as _;

use consilium_privacy::budget::LedgerEntry;
use jiff::Timestamp;
use serde_json::json;

use super::records::{open_journal, policy_in_force};
use super::{Place, answer};
use crate::config::Config;
use crate::explain;
use crate::ledger::Ledger;
use crate::registration::DataSets;
use crate::silo_folder::SiloFolder;

pub(super) fn status(place: &Place) -> anyhow::Result<()> {
    let folder = SiloFolder::at(&place.dir);
    let config = Config::read(folder.path())?;
    let journal = open_journal(place)?;
    let roster = folder.open_roster()?;
    let version = roster.current().map(|roster| roster.version());
    let policy = policy_in_force(&folder, config.silo.name.as_str());
    let lines = journal.status()?;
    let studies = journal.studies()?;
    let head = journal.witnessed()?;
    let cosigned = format!("{}:{}", head.size, head.root);
    let data_sets = DataSets::of(folder.path()).list()?;
    let connection = lines
        .iter()
        .find(|(name, _)| name == "connection")
        .map(|(_, value)| value.as_str());
    let listed: Vec<_> = studies
        .iter()
        .map(|study| json!({ "study": study.id, "state": study.state.word(), "rounds": study.rounds_done }))
        .collect();
    let names: Vec<_> = data_sets
        .iter()
        .map(|data_set| data_set.name.as_str())
        .collect();
    let json = json!({
        "silo": config.silo.name.to_string(),
        "coordinator": config.coordinator.address,
        "connection": connection,
        "roster": version,
        "policy": policy.as_ref().ok().map(|policy| policy.version),
        "data": names,
        "cosigned": cosigned,
        "studies": listed,
    });
    let mut text = format!(
        "{} at {}\n  connection  {}\n  roster      {}\n  policy      {}\n  data        {}\n  cosigned    {cosigned}\n",
        config.silo.name,
        config.coordinator.address,
        connection.unwrap_or("never started"),
        version.map_or("none pinned yet".to_owned(), |version| format!(
            "version {version}"
        )),
        match &policy {
            Ok(policy) => format!("version {}", policy.version),
            Err(fault) => explain(fault),
        },
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        },
    );
    for study in &studies {
        let short = study.id.get(..12).unwrap_or(&study.id);
        let _ = writeln!(
            text,
            "  study {short}  {}, {} rounds",
            study.state.word(),
            study.rounds_done
        );
    }
    answer(place, &json, &text)
}

pub(super) fn ledger(place: &Place) -> anyhow::Result<()> {
    let folder = SiloFolder::at(&place.dir);
    let journal = open_journal(place)?;
    let (ledger, entries) = Ledger::view(&folder.ledger(), &journal)?;
    let mut text = String::new();
    let mut accounts = Vec::new();
    for (data, account) in ledger.accounts() {
        let budget = account.budget();
        accounts.push(json!({
            "data": data,
            "epsilon": budget.epsilon,
            "delta": budget.delta,
            "order": budget.order,
            "capacity": budget.capacity,
            "remaining": account.remaining_share(),
            "reserved": account.reserved_share(),
            "committed": account.committed_share(),
        }));
        let _ = writeln!(
            text,
            "{data}: epsilon {}, delta {} (order {}, capacity {})\n  left {}, set aside {}, spent {}",
            budget.epsilon,
            budget.delta,
            budget.order,
            budget.capacity,
            account.remaining_share(),
            account.reserved_share(),
            account.committed_share(),
        );
        if let Some(percent) = account.warning_percent() {
            let _ = writeln!(text, "  more than {percent} % of the budget is in use");
        }
    }
    let mut timeline = Vec::new();
    for (at, entry) in &entries {
        let time = i64::try_from(*at)
            .ok()
            .and_then(|at| Timestamp::from_millisecond(at).ok());
        let time = time.map_or_else(String::new, |time| time.to_string());
        timeline.push(json!({ "time": time, "entry": entry }));
        let _ = writeln!(text, "  {time}  {}", described(entry));
    }
    if accounts.is_empty() {
        text.push_str("no privacy budget is in use: no study with noise has run here");
    }
    answer(
        place,
        &json!({ "accounts": accounts, "entries": timeline }),
        &text,
    )
}

fn described(entry: &LedgerEntry) -> String {
    match entry {
        LedgerEntry::Begun { instance } => {
            format!("begun by installation {}", short(&instance.to_string()))
        }
        LedgerEntry::Created { data_set, .. } => format!("created the budget of `{data_set}`"),
        LedgerEntry::Reserved {
            data_set,
            job,
            attempts,
            cost,
            ..
        } => {
            format!(
                "set aside {attempts} attempts of {cost} for study {} on `{data_set}`",
                short(job)
            )
        }
        LedgerEntry::Committed { job, attempt } => {
            format!("spent attempt {attempt} of study {}", short(job))
        }
        LedgerEntry::Released { job } => format!("freed what study {} did not use", short(job)),
    }
}

fn short(study: &str) -> &str {
    study.get(..12).unwrap_or(study)
}
