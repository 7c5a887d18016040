// SPDX-License-Identifier: Apache-2.0
//! `ledger`: the privacy budgets to look at, to raise, to hand out and to hold against the shared log.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use consilium_audit::verify::read_entries;
use consilium_certs::FolderLock;
use consilium_learning::model::Stage;
use consilium_privacy::budget::LedgerEntry;
use consilium_privacy::loss::Epsilon;
use consilium_privacy::noise_plan::View;
use jiff::Timestamp;
use serde_json::json;

use super::records::open_journal;
use super::{LedgerCommand, Place, TopUpArguments, answer};
use crate::attempt_files::AttemptFiles;
use crate::config::Config;
use crate::crash::CrashPoint;
use crate::durable_file;
use crate::ledger::{Ledger, NAMESPACE, Raise, named, recomputed};
use crate::silo_folder::{SiloFolder, membership};

pub(super) fn execute(command: LedgerCommand) -> anyhow::Result<ExitCode> {
    match command {
        LedgerCommand::Show { place } => show(&place)?,
        LedgerCommand::TopUp(arguments) => top_up(&arguments, None)?,
        LedgerCommand::Export { out, place } => export(out.as_deref(), &place)?,
        LedgerCommand::Verify { file, json } => {
            // Another silo's file: there is no folder to look into.
            let dir = Path::new(".").to_owned();
            verify(&file, &Place { dir, json })?;
        }
        LedgerCommand::Compare { log, place } => return compare(&log, &place),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the statement, or takes its signatures. The agent must not be running: it holds the ledger.
pub(crate) fn top_up(arguments: &TopUpArguments, crash: Option<CrashPoint>) -> anyhow::Result<()> {
    let TopUpArguments {
        data,
        epsilon,
        reason,
        signatures,
        place,
    } = arguments;
    let raise = &Raise {
        data,
        epsilon: Epsilon::parse(epsilon)?,
        reason,
    };
    let signatures = signatures
        .iter()
        .map(|file| {
            fs::read_to_string(file).with_context(|| format!("`{}` cannot be read", file.display()))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let folder = SiloFolder::at(&place.dir);
    let config = Config::read(folder.path())?;
    let _lock = FolderLock::acquire(folder.path())
        .context("stop the agent first: it writes the ledger while it runs")?;
    let mut journal = open_journal(place)?;
    let instance = AttemptFiles::open(&folder.attempts())?.instance();
    let mut ledger = Ledger::open(&folder.ledger(), &mut journal, instance, crash)?;
    let statement = ledger.top_up_statement(raise)?;
    if signatures.is_empty() {
        let json = json!({ "statement": statement, "namespace": NAMESPACE });
        return answer(place, &json, &statement);
    }
    let before = ledger
        .account(raise.data)
        .map(|account| account.budget().epsilon);
    ledger.top_up(&mut journal, &config.officers, raise, &signatures)?;
    let account = ledger.account(raise.data).context("an account")?;
    let json = json!({
        "data": raise.data,
        "from": before,
        "to": raise.epsilon,
        "remaining": account.remaining_share(),
    });
    let text = format!(
        "the budget of `{}` has epsilon {} now, {} of it is left; write the same epsilon into the policy's `[budget]`",
        raise.data,
        raise.epsilon,
        account.remaining_share()
    );
    answer(place, &json, &text)
}

fn export(out: Option<&Path>, place: &Place) -> anyhow::Result<()> {
    let folder = SiloFolder::at(&place.dir);
    let journal = open_journal(place)?;
    // What is handed out is what was checked, so it is read once.
    let (bytes, ledger) = Ledger::lines(&folder.ledger(), &journal)?;
    let head = ledger.head();
    match out {
        None => {
            let written = std::io::stdout().lock().write_all(&bytes);
            match written {
                Err(fault) if fault.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
                written => written.context("the ledger cannot be printed"),
            }
        }
        Some(out) => {
            durable_file::write(out, 0o600, &bytes)?;
            let json = json!({ "file": out, "head": head });
            let text = format!(
                "{} entries in `{}`; the last one is {}",
                head.length,
                out.display(),
                head.digest
            );
            answer(place, &json, &text)
        }
    }
}

fn verify(file: &Path, place: &Place) -> anyhow::Result<()> {
    let bytes = fs::read(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
    let replayed = Ledger::verify(file, &bytes)?;
    if replayed.torn {
        bail!("`{}` breaks off in the middle of a line", file.display());
    }
    let head = replayed.ledger.head();
    let mut text = format!(
        "{} entries, one chain; the last one is {}\n",
        head.length, head.digest
    );
    let mut accounts = Vec::new();
    for (data, account) in replayed.ledger.accounts() {
        accounts.push(json!({ "data": data, "remaining": account.remaining_share() }));
        let _ = writeln!(text, "  {data}: left {}", account.remaining_share());
    }
    answer(place, &json!({ "head": head, "accounts": accounts }), &text)
}

fn compare(log: &Path, place: &Place) -> anyhow::Result<ExitCode> {
    let folder = SiloFolder::at(&place.dir);
    let config = Config::read(folder.path())?;
    let journal = open_journal(place)?;
    let (ledger, _) = Ledger::view(&folder.ledger(), &journal)?;
    let roster = folder.open_roster()?;
    let roster = roster.current().context("no roster is pinned yet")?;
    let entries = read_entries(log)
        .with_context(|| format!("`{}` is not the folder of a log", log.display()))?;
    let charged = recomputed::charged(&entries, config.silo.name.as_str());
    let object = |digest: &consilium_crypto::digest::Digest| {
        let bytes = fs::read(log.join("objects/sha256").join(digest.to_string())).ok()?;
        (consilium_crypto::transcript::sha256(&bytes) == *digest).then_some(bytes)
    };
    let found = recomputed::compare(&ledger, &charged, object, &membership(roster)?);
    let differences: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
    let json = json!({
        "studies": found.studies,
        "attempts": found.attempts,
        "differences": differences,
    });
    let mut text = format!(
        "{} studies with noise, {} attempts with this silo's vector in the shared log\n",
        found.studies, found.attempts
    );
    for difference in &differences {
        let _ = writeln!(text, "  {difference}");
    }
    if differences.is_empty() {
        text.push_str("the ledger charges all of them");
    }
    answer(place, &json, &text)?;
    Ok(if differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn show(place: &Place) -> anyhow::Result<()> {
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
            "warning_percent": account.warning_percent(),
            "remaining": account.remaining_share(),
            "reserved": account.reserved_share(),
            "committed": account.committed_share(),
            "delta_linear": budget.delta_linear,
            "delta_used": account.delta_used(),
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
        &json!({ "head": ledger.head(), "accounts": accounts, "entries": timeline }),
        &text,
    )
}

/// An entry in words.
pub(super) fn described(entry: &LedgerEntry) -> String {
    match entry {
        LedgerEntry::Begun { instance } => {
            format!("begun by installation {}", short(&instance.to_string()))
        }
        LedgerEntry::Created { data_set, .. } => format!("created the budget of `{data_set}`"),
        LedgerEntry::ToppedUp(top_up) => {
            let officers: Vec<_> = top_up.signed.iter().map(|by| by.officer.as_str()).collect();
            format!(
                "raised the budget of `{}` from epsilon {} to {}, signed by {}: {}",
                top_up.data_set,
                top_up.from,
                top_up.to,
                officers.join(" and "),
                top_up.reason
            )
        }
        LedgerEntry::Reserved {
            data_set,
            job,
            attempts,
            cost,
            view,
            ..
        } => {
            let charged = match view {
                View::MasksBroken => ", as if the masks were broken",
                View::MasksHold | View::Colluders => "",
            };
            format!(
                "set aside {attempts} attempts of {cost} for {} on `{data_set}`{charged}",
                owner(job)
            )
        }
        LedgerEntry::Committed { job, attempt } => {
            format!("spent attempt {attempt} of {}", owner(job))
        }
        LedgerEntry::Released { job } => format!("freed what {} did not use", owner(job)),
    }
}

fn owner(job: &str) -> String {
    let (study, stage) = named(job);
    match stage {
        Stage::Training => format!("study {}", short(study)),
        Stage::Evaluation => format!("the evaluation of study {}", short(study)),
    }
}

fn short(study: &str) -> &str {
    study.get(..12).unwrap_or(study)
}
