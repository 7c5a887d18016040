// SPDX-License-Identifier: Apache-2.0
//! `status`.

use std::fmt::Write as _;

use serde_json::json;

use super::records::{open_journal, policy_in_force};
use super::{Place, answer};
use crate::config::Config;
use crate::explain;
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
    let line = |wanted: &str| {
        let mut lines = lines.iter();
        let found = lines.find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    };
    let (connection, attempt) = (line("connection"), line("attempt"));
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
        "attempt": attempt,
        "roster": version,
        "policy": policy.as_ref().ok().map(|policy| policy.version),
        "data": names,
        "cosigned": cosigned,
        "studies": listed,
    });
    let mut text = format!(
        "{} at {}\n  connection  {}\n  attempt     {}\n  roster      {}\n  policy      {}\n  data        {}\n  cosigned    {cosigned}\n",
        config.silo.name,
        config.coordinator.address,
        connection.unwrap_or("never started"),
        attempt.unwrap_or("none yet"),
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
