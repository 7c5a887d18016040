// SPDX-License-Identifier: Apache-2.0
//! `coordinator uploads`: the masked vectors of one round, as they lie in the spool.

use super::OutputArguments;
use crate::folder::CoordinatorFolder;
use crate::spool::Spool;
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// Which round.
#[derive(Args)]
pub struct UploadsArguments {
    /// The coordinator's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The study's id or the beginning of it
    #[arg(long, value_name = "ID")]
    study: String,
    /// The round within the study, from 1
    #[arg(long)]
    round: u32,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Serialize)]
struct Uploads {
    study_id: String,
    round: u32,
    attempt: String,
    silos: Vec<SiloUpload>,
}

#[derive(Serialize)]
struct SiloUpload {
    silo: String,
    file: PathBuf,
    bytes: u64,
    chunks: u64,
    chunks_expected: u64,
    root: Option<String>,
}

pub(super) fn uploads(arguments: UploadsArguments) -> anyhow::Result<()> {
    let UploadsArguments {
        dir,
        study: id,
        round,
        output,
    } = arguments;
    let folder = CoordinatorFolder::new(&dir);
    let store = SqliteStore::open(&folder.state())?;
    let mut studies = store.studies()?;
    studies.retain(|study| study.id.starts_with(&id));
    let study = match studies.as_slice() {
        [study] => study,
        [] => bail!("no study has the id `{id}`"),
        several => bail!(
            "`{id}` is the beginning of {} ids; give more digits",
            several.len()
        ),
    };
    let index = usize::try_from(round)?
        .checked_sub(1)
        .context("rounds count from 1")?;
    let attempt = match study.released.get(index) {
        Some(attempt) => *attempt,
        None if index == study.released.len() && study.round > 0 => {
            let in_flight = store
                .attempt()?
                .filter(|attempt| attempt.study_id == study.id);
            in_flight
                .map(|attempt| attempt.id)
                .context("this round has no upload yet")?
        }
        None => bail!("the study has {} rounds so far", study.released.len()),
    };
    let spool = Spool::open(&folder.blobs())?;
    let silos = study
        .invited
        .iter()
        .map(|silo| {
            let progress = spool.progress(attempt, silo)?;
            let (bytes, chunks, chunks_expected) = progress
                .as_ref()
                .map_or((0, 0, 0), |known| (known.bytes, known.held, known.count));
            Ok(SiloUpload {
                silo: silo.to_string(),
                file: spool.upload_path(attempt, silo),
                bytes,
                chunks,
                chunks_expected,
                root: progress.map(|known| known.root.to_string()),
            })
        })
        .collect::<anyhow::Result<_>>()?;
    let uploads = Uploads {
        study_id: study.id.clone(),
        round,
        attempt: attempt.to_string(),
        silos,
    };
    output.print(&uploads, words)
}

fn words(uploads: &Uploads) -> String {
    let mut lines = vec![format!(
        "masked vectors of study {}, round {} (attempt {}):",
        uploads.study_id.get(..12).unwrap_or(&uploads.study_id),
        uploads.round,
        uploads.attempt
    )];
    for upload in &uploads.silos {
        lines.push(match upload.chunks {
            0 => format!("  `{}`: nothing", upload.silo),
            held => format!(
                "  `{}`: {} bytes, {held} of {} chunks\n    {}",
                upload.silo,
                upload.bytes,
                upload.chunks_expected,
                upload.file.display()
            ),
        });
    }
    lines.join("\n")
}
