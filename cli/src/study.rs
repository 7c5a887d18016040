// SPDX-License-Identifier: Apache-2.0
//! `consilium study`: what a researcher does.

use crate::output::{OutputArguments, line};
use crate::progress::{Display, Ended};
use crate::remote::{block_on, spoken};
use crate::user::User;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use consilium_crypto::label::Label;
use consilium_learning::study::Study;
use consilium_wire::client;
use consilium_wire::v1;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum StudyCommand {
    /// Check, sign and submit a study file
    #[command(
        after_help = "Example:\n  consilium study submit study.toml --dir researcher --watch"
    )]
    Submit(SubmitArguments),
    /// List all studies, newest first
    #[command(after_help = "Example:\n  consilium study list --dir researcher --json")]
    List(ListArguments),
    /// Follow a study until it ends
    #[command(after_help = "Example:\n  consilium study watch 3f9a02c41b77 --dir researcher")]
    Watch(IdArguments),
    /// End a study that waits or runs
    #[command(
        after_help = "Example:\n  consilium study cancel 3f9a02c41b77 --reason 'wrong data set' --dir researcher"
    )]
    Cancel(CancelArguments),
    /// Fetch the result as JSON and safetensors
    #[command(
        after_help = "Examples:\n  consilium study result 3f9a02c41b77 --dir researcher\n  consilium study result 3f9a02c41b77 --out results --dir researcher"
    )]
    Result(ResultArguments),
}

#[derive(Args)]
pub(crate) struct Folder {
    /// The folder that `consilium certs join` made
    #[arg(long, env = "CONSILIUM_DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
}

#[derive(Args)]
pub(crate) struct SubmitArguments {
    /// The study file
    file: PathBuf,
    /// Follow the study until it ends
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Args)]
pub(crate) struct IdArguments {
    /// The study's id, or its first 8 or more digits
    id: String,
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Args)]
pub(crate) struct CancelArguments {
    /// The study's id, or its first 8 or more digits
    id: String,
    /// Why, for the audit log
    #[arg(long, default_value = "cancelled by its researcher")]
    reason: String,
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Args)]
pub(crate) struct ResultArguments {
    /// The study's id, or its first 8 or more digits
    id: String,
    /// Write `result.json` and `model.safetensors` into this folder
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Serialize)]
struct Submitted {
    study_id: String,
    studies_before: u32,
}

/// How a study ended, as far as a caller of this module needs it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Fetched {
    pub(crate) result: serde_json::Value,
    pub(crate) digest: String,
    pub(crate) log_index: u64,
}

pub(crate) fn run(command: StudyCommand) -> anyhow::Result<ExitCode> {
    match command {
        StudyCommand::Submit(arguments) => {
            let SubmitArguments {
                file,
                watch,
                folder,
                output,
            } = arguments;
            let user = User::open(&folder.dir)?;
            let submitted = block_on(submit(&user, &file))?;
            if !watch || !output.json {
                output.print(&submitted, |submitted| {
                    let short: String = submitted.study_id.chars().take(12).collect();
                    match submitted.studies_before {
                        0 => format!("submitted study {short}"),
                        before => format!("submitted study {short}; {before} before it"),
                    }
                })?;
            }
            if watch {
                watch_to_end(&user, &submitted.study_id, output)
            } else {
                Ok(ExitCode::SUCCESS)
            }
        }
        StudyCommand::List(ListArguments { folder, output }) => {
            let user = User::open(&folder.dir)?;
            let studies = block_on(async {
                let connection = user.connect().await?;
                let response = client::studies(&connection)
                    .list(v1::ListRequest {})
                    .await
                    .map_err(spoken)?;
                Ok(response.into_inner().studies)
            })?;
            let rows: Vec<Row> = studies.into_iter().map(Row::from).collect();
            output.print(&rows, |rows| {
                let mut text = format!(
                    "{:<14}{:<32}  {:<26}  {:<12}",
                    "ID", "NAME", "RESEARCHER", "STATE"
                );
                for row in rows {
                    let short: String = row.study_id.chars().take(12).collect();
                    text.push_str(&format!(
                        "\n{short:<14}{:<32}  {:<26}  {:<12}{}",
                        row.name, row.researcher, row.state, row.reason
                    ));
                }
                text
            })?;
            Ok(ExitCode::SUCCESS)
        }
        StudyCommand::Watch(IdArguments { id, folder, output }) => {
            watch_to_end(&User::open(&folder.dir)?, &id, output)
        }
        StudyCommand::Cancel(CancelArguments {
            id,
            reason,
            folder,
            output,
        }) => {
            let user = User::open(&folder.dir)?;
            block_on(async {
                let connection = user.connect().await?;
                let request = v1::CancelRequest {
                    study_id: id.clone(),
                    reason,
                };
                client::studies(&connection)
                    .cancel(request)
                    .await
                    .map_err(spoken)?;
                Ok(())
            })?;
            output.print(
                &serde_json::json!({ "study_id": id, "state": "cancelled" }),
                |_| format!("cancelled study {id}"),
            )?;
            Ok(ExitCode::SUCCESS)
        }
        StudyCommand::Result(ResultArguments {
            id,
            out,
            folder,
            output,
        }) => {
            let user = User::open(&folder.dir)?;
            let (fetched, safetensors) = block_on(fetch(&user, &id))?;
            if let Some(out) = out {
                write_result(&out, &fetched, &safetensors)?;
                output.print(&serde_json::json!({ "folder": out }), |_| {
                    format!("wrote the result to `{}`", out.display())
                })?;
            } else {
                line(&serde_json::to_string_pretty(&fetched.result)?);
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Checks a study file here, so that a slip is told before anything is sent; then signs its exact bytes.
async fn submit(user: &User, file: &Path) -> anyhow::Result<Submitted> {
    let bytes = fs::read(file)
        .with_context(|| format!("the study file `{}` cannot be read", file.display()))?;
    let study = Study::parse(&bytes).with_context(|| format!("in `{}`", file.display()))?;
    let name = user.identity().name();
    if study.heading.researcher != name.as_str() {
        bail!(
            "in `{}`: `study.researcher` is `{}`, and this folder holds the key of `{name}`",
            file.display(),
            study.heading.researcher
        );
    }
    let signature = user
        .identity()
        .identity_key()
        .sign(Label::StudySignature, &[&bytes]);
    let connection = user.connect().await?;
    let request = v1::SubmitRequest {
        study: bytes,
        signature: signature.to_bytes().to_vec(),
    };
    let response = client::studies(&connection)
        .submit(request)
        .await
        .map_err(spoken)?
        .into_inner();
    Ok(Submitted {
        study_id: response.study_id,
        studies_before: response.studies_before,
    })
}

/// Submits and follows a study to its end, for the demo.
pub(crate) fn submit_and_watch(
    user: &User,
    file: &Path,
    display: &mut Display,
) -> anyhow::Result<(String, Ended)> {
    block_on(async {
        let Submitted { study_id, .. } = submit(user, file).await?;
        let ended = follow(user, &study_id, display).await?;
        Ok((study_id, ended))
    })
}

/// Fetches a finished study's result.
pub(crate) fn fetch_result(user: &User, id: &str) -> anyhow::Result<Fetched> {
    Ok(block_on(fetch(user, id))?.0)
}

fn watch_to_end(user: &User, id: &str, output: OutputArguments) -> anyhow::Result<ExitCode> {
    let mut display = Display::new(output.json);
    let ended = block_on(follow(user, id, &mut display))?;
    Ok(if ended.completed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// Follows a study; a broken connection is taken up again.
async fn follow(user: &User, id: &str, display: &mut Display) -> anyhow::Result<Ended> {
    let mut broken = 0;
    loop {
        let connection = user.connect().await?;
        let request = v1::WatchRequest {
            study_id: id.to_owned(),
        };
        let mut stream = client::studies(&connection)
            .watch(request)
            .await
            .map_err(spoken)?
            .into_inner();
        loop {
            match stream.message().await {
                Ok(Some(progress)) => {
                    broken = 0;
                    if let Some(ended) = display.show(progress)? {
                        return Ok(ended);
                    }
                }
                Ok(None) | Err(_) if broken < 5 => {
                    broken += 1;
                    break;
                }
                Ok(None) => bail!("the coordinator ended the stream before the study"),
                Err(status) => return Err(spoken(status)),
            }
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

async fn fetch(user: &User, id: &str) -> anyhow::Result<(Fetched, Vec<u8>)> {
    let connection = user.connect().await?;
    let request = v1::ResultRequest {
        study_id: id.to_owned(),
    };
    let response = client::studies(&connection)
        .result(request)
        .await
        .map_err(spoken)?
        .into_inner();
    let result = serde_json::from_slice(&response.json).context("the result is no JSON")?;
    let digest = data_encoding::HEXLOWER.encode(&response.digest);
    Ok((
        Fetched {
            result,
            digest,
            log_index: response.log_index,
        },
        response.safetensors,
    ))
}

fn write_result(folder: &Path, fetched: &Fetched, safetensors: &[u8]) -> anyhow::Result<()> {
    let context = || format!("the folder `{}` cannot be written", folder.display());
    fs::create_dir_all(folder).with_context(context)?;
    let json = serde_json::to_vec_pretty(&fetched.result)?;
    fs::write(folder.join("result.json"), json).with_context(context)?;
    if !safetensors.is_empty() {
        fs::write(folder.join("model.safetensors"), safetensors).with_context(context)?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Row {
    study_id: String,
    name: String,
    researcher: String,
    state: &'static str,
    submitted: u64,
    ended: u64,
    reason: String,
}

impl From<v1::StudySummary> for Row {
    fn from(summary: v1::StudySummary) -> Self {
        Self {
            state: crate::progress::state_word(summary.state()),
            study_id: summary.study_id,
            name: summary.name,
            researcher: summary.researcher,
            submitted: summary.submitted_milliseconds,
            ended: summary.ended_milliseconds,
            reason: summary.reason,
        }
    }
}
