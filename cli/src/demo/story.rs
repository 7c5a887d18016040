// SPDX-License-Identifier: Apache-2.0
//! What happens in the demonstration, in order.

use super::consortium::{Consortium, HOSPITALS, RESEARCHER, VICTIM};
use super::masked_view::MaskedView;
use super::report::{Audit, Contingency, Dropped, Logistic, Pooled, Private, Report};
use crate::output::line;
use crate::progress::{Display, Ended, stated};
use crate::study::{fetch_result, submit_and_watch};
use crate::user::User;
use anyhow::{Context, bail};
use consilium_learning::result::{RegressionResult, StudyResult};
use consilium_learning::study::Study;
use std::path::Path;

/// The round of the private study in which a hospital is killed.
const FATAL_ROUND: u32 = 3;

const STATISTICS: &str = include_str!("../../../examples/studies/statistics.toml");
const LOGISTIC: &str = include_str!("../../../examples/studies/logistic.toml");
const PRIVATE: &str = include_str!("../../../examples/studies/private-logistic.toml");
const FORBIDDEN: &str = include_str!("../../../examples/studies/forbidden.toml");
const OVERSPEND: &str = include_str!("../../../examples/studies/overspend.toml");
const POOLED: &str = include_str!("../../../examples/data/indo-rct/pooled.toml");

/// Runs the whole demonstration in `folder`.
pub(super) fn tell(folder: &Path) -> anyhow::Result<Report> {
    line("Consilium: four hospitals learn together, and nobody sees a contribution.\n");
    line("1. A consortium is founded");
    let mut consortium = Consortium::found(folder, |text| line(&format!("  {text}")))?;
    consortium.start_silos()?;
    let processes: Vec<String> = consortium
        .process_ids()
        .iter()
        .map(|(name, id)| format!("{name} {id}"))
        .collect();
    line(&format!(
        "  separate processes, mutual TLS 1.3 on loopback: {}",
        processes.join(", ")
    ));
    let user = User::open(Path::new(&consortium.path("researcher")))?;

    line("\n2. Statistics, without noise: how often did pancreatitis follow the procedure?");
    let (statistics_id, result) = complete(&mut consortium, &user, "statistics", STATISTICS)?;
    let statistics = result
        .statistics()
        .context("the statistics study gave another result")?;
    let contingency = Contingency::of(statistics)?;
    line(&contingency.words());
    line(&super::report::moments_in_words(statistics));

    line("\n3. Logistic regression by federated Newton steps, without noise");
    let (_, result) = complete(&mut consortium, &user, "logistic", LOGISTIC)?;
    let pooled: Pooled = toml::from_str(POOLED)?;
    let logistic = Logistic::of(regression(&result)?, &pooled)?;
    line(&logistic.words());

    line(&format!(
        "\n4. The same model with differential privacy for every patient; `{VICTIM}` is killed in round {FATAL_ROUND}"
    ));
    consortium.arm_silo(VICTIM, &format!("frozen:{FATAL_ROUND}"))?;
    let (ended, _, result) = study(&mut consortium, &user, "private", PRIVATE)?;
    consortium.bury_silo(VICTIM)?;
    let result =
        result.with_context(|| format!("the private study ended: {}", ended.last.reason))?;
    let private = private(&ended, regression(&result)?)?;
    line(&private.words(&logistic));
    consortium.start_silo(VICTIM)?;
    line(&format!(
        "  `{VICTIM}` is started again and checks the releases that it missed"
    ));

    line("\n5. What is refused");
    let mut refusals = Vec::new();
    for (name, text, why) in [
        (
            "forbidden",
            FORBIDDEN,
            "a study that the hospitals' policies forbid",
        ),
        (
            "overspend",
            OVERSPEND,
            "a second private study that would overspend the ledger",
        ),
    ] {
        line(&format!("  {why}:"));
        let (ended, _, result) = study(&mut consortium, &user, name, text)?;
        if result.is_some() || ended.last.refusals.is_empty() {
            bail!("the study `{name}` was not refused: {}", ended.last.reason);
        }
        let conditions = ended
            .last
            .refusals
            .iter()
            .flat_map(|refusal| &refusal.conditions);
        refusals.push(conditions.map(stated).collect::<Vec<_>>());
    }

    line("\n6. What the coordinator saw of one hospital");
    let view = MaskedView::of(
        &consortium,
        &statistics_id,
        &Study::parse(STATISTICS.as_bytes())?,
    )?;
    line(&view.words());

    consortium.check()?;
    consortium.stop()?;
    line("\n7. The audit log, verified offline");
    let audit = Audit::of(&consortium.executable.json_or_findings(&[
        "audit",
        "verify",
        &consortium.path("coordinator/log"),
        "--roster",
        &consortium.path("1_UM/roster"),
    ])?)?;
    line(&audit.words());

    Ok(Report {
        silos: HOSPITALS
            .iter()
            .map(|hospital| hospital.name.to_owned())
            .collect(),
        researcher: RESEARCHER.to_owned(),
        contingency,
        logistic,
        private,
        refusals,
        audit,
        masked_view: view,
        seconds: 0.0,
        expected: pooled.contingency,
    })
}

/// Runs a study that must complete.
fn complete(
    consortium: &mut Consortium,
    user: &User,
    name: &str,
    text: &str,
) -> anyhow::Result<(String, StudyResult)> {
    let (ended, id, result) = study(consortium, user, name, text)?;
    let result = result
        .with_context(|| format!("the study `{name}` did not complete: {}", ended.last.reason))?;
    Ok((id, result))
}

/// Runs a study to its end, whatever that is.
fn study(
    consortium: &mut Consortium,
    user: &User,
    name: &str,
    text: &str,
) -> anyhow::Result<(Ended, String, Option<StudyResult>)> {
    let file = consortium.write(&format!("files/{name}.toml"), text)?;
    let (id, ended) = submit_and_watch(user, Path::new(&file), &mut Display::new(false))?;
    let result = if ended.completed() {
        Some(serde_json::from_value(fetch_result(user, &id)?.result)?)
    } else {
        None
    };
    Ok((ended, id, result))
}

fn regression(result: &StudyResult) -> anyhow::Result<&RegressionResult> {
    result
        .regression()
        .context("the regression gave another result")
}

fn private(ended: &Ended, result: &RegressionResult) -> anyhow::Result<Private> {
    let last = &ended.last;
    let dropped = last
        .dropouts
        .first()
        .context("no silo dropped out of the private study")?;
    let start = last.silos.len();
    let gone: std::collections::BTreeSet<&str> = last
        .dropouts
        .iter()
        .map(|drop| drop.silo.as_str())
        .collect();
    Ok(Private {
        epsilon: last.epsilon.clone(),
        delta: last.delta.clone(),
        rounds: result.rounds,
        silos_at_start: start,
        silos_at_end: start - gone.len(),
        dropped: Dropped {
            silo: dropped.silo.clone(),
            round: dropped.round,
            phase: dropped.phase.clone(),
        },
        coefficients: result.coefficients.clone(),
    })
}
