// SPDX-License-Identifier: Apache-2.0
//! `coordinator status`: read from the folder, whether or not the service runs.

use super::OutputArguments;
use crate::config::Config;
use crate::folder::CoordinatorFolder;
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use crate::study::Study;
use clap::Args;
use consilium_certs::FolderLock;
use consilium_protocol::SiloName;
use serde::Serialize;
use std::path::PathBuf;

/// Which coordinator.
#[derive(Args)]
pub struct StatusArguments {
    /// The coordinator's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Serialize)]
struct Status {
    name: String,
    running: bool,
    address: Option<String>,
    roster_version: Option<u64>,
    participants: Vec<String>,
    studies: Vec<StudyLine>,
    attempt: Option<String>,
}

#[derive(Serialize)]
struct StudyLine {
    study_id: String,
    name: String,
    state: &'static str,
    rounds_done: u32,
    reason: String,
    /// Silos that the last attempt was without, and in which phase each was missed.
    without: Vec<String>,
}

pub(super) fn status(arguments: StatusArguments) -> anyhow::Result<()> {
    let folder = CoordinatorFolder::new(&arguments.dir);
    let config = Config::read(folder.path())?;
    let store = SqliteStore::open(&folder.state())?;
    let running = FolderLock::is_held(folder.path());
    let published = store
        .rosters()?
        .into_iter()
        .rfind(|roster| roster.published);
    let status = Status {
        name: config.name,
        running,
        address: folder
            .read_ready()
            .filter(|_| running)
            .map(|ready| ready.address),
        roster_version: published.map(|roster| roster.version),
        participants: store
            .participants()?
            .iter()
            .map(|participant| format!("{} ({})", participant.name, participant.role))
            .collect(),
        studies: store
            .studies()?
            .into_iter()
            .map(|study| StudyLine {
                without: without(&study),
                study_id: study.id,
                name: study.name,
                state: study.state.as_str(),
                rounds_done: study.rounds_done,
                reason: study.reason,
            })
            .collect(),
        attempt: store.attempt()?.map(|attempt| attempt.id.to_string()),
    };
    arguments.output.print(&status, words)
}

/// A silo tells nobody why it takes no part: that may come from its data. In which phase it was missed is public.
fn without(study: &Study) -> Vec<String> {
    let missed = |silo: &SiloName| {
        let last = study.dropouts.iter().rfind(|dropout| dropout.silo == *silo);
        last.map_or_else(
            || silo.to_string(),
            |dropout| format!("{silo} (round {}, {})", dropout.round, dropout.phase),
        )
    };
    study.absent.iter().map(missed).collect()
}

fn words(status: &Status) -> String {
    let running = match (&status.address, status.running) {
        (Some(address), true) => format!("runs on {address}"),
        (None, true) => "is starting".to_owned(),
        (_, false) => "does not run".to_owned(),
    };
    let roster = match status.roster_version {
        Some(version) => format!("roster version {version} is in force"),
        None => "no roster is in force".to_owned(),
    };
    let mut lines = vec![
        format!("coordinator `{}` {running}; {roster}", status.name),
        format!("joined: {}", status.participants.join(", ")),
    ];
    for study in &status.studies {
        let id = study.study_id.get(..12).unwrap_or(&study.study_id);
        let reason = if study.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", study.reason)
        };
        lines.push(format!(
            "study {id} `{}`: {}, {} rounds done{reason}",
            study.name, study.state, study.rounds_done
        ));
        if !study.without.is_empty() {
            lines.push(format!("  without {}", study.without.join(", ")));
        }
    }
    if let Some(attempt) = &status.attempt {
        lines.push(format!("attempt in flight: {attempt}"));
    }
    lines.join("\n")
}
