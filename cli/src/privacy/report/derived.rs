// SPDX-License-Identifier: Apache-2.0
//! Fields of the report that follow from the study: what was tuned, how data were prepared, who enforces the promise.

use std::fmt::Write as _;

use consilium_learning::study::{
    Analysis, ColumnKind, Method, ModelPlan, Optimizer, RegressionPlan, Scaling, Study,
};
use consilium_privacy::batch::Batch;
use consilium_privacy::noise_plan::{NoisePlacement, NoisePlan};

/// Every setting of the computation stands in the signed file; here they are named.
pub(super) fn tuning(study: &Study) -> String {
    let fixed = match study.analysis.regression() {
        None => "the statistics, their bounds and bins".to_owned(),
        Some(plan) => settings(plan, study),
    };
    format!(
        "nothing is searched on patients' data within this study: {fixed} are fixed in the signed file; another study with other settings is charged again"
    )
}

fn settings(plan: &RegressionPlan, study: &Study) -> String {
    let mut text = format!(
        "method {}, {} rounds",
        plan.method.name(),
        study.rounds.most
    );
    match plan.method {
        Method::Newton { .. } | Method::PrivateNewton => {}
        Method::FedSgd {
            learning_rate,
            average_last,
            optimizer,
        } => {
            let _ = write!(text, ", learning rate {learning_rate}");
            match optimizer {
                Optimizer::Momentum(0.0) => {}
                Optimizer::Momentum(momentum) => {
                    let _ = write!(text, ", momentum {momentum}");
                }
                Optimizer::Adam { beta_1, beta_2, .. } => {
                    let _ = write!(text, ", Adam with {beta_1} and {beta_2}");
                }
            }
            averaged(&mut text, average_last);
        }
        Method::FedAvg {
            learning_rate,
            local_steps,
            average_last,
        } => {
            let _ = write!(
                text,
                ", {local_steps} local steps of learning rate {learning_rate}"
            );
            averaged(&mut text, average_last);
        }
    }
    if let Some(ridge) = plan.ridge {
        let _ = write!(text, ", ridge {ridge}");
    }
    if let ModelPlan::Perceptron { hidden_units, .. } = plan.model {
        let _ = write!(text, ", {hidden_units} hidden units");
    }
    text
}

fn averaged(text: &mut String, last: u32) {
    if last > 1 {
        let _ = write!(text, ", mean of the last {last} models");
    }
}

/// What is done to a patient's rows before the vector is clipped.
pub(super) fn preprocessing(study: &Study) -> String {
    let numbers = study.data.columns.values();
    let numbers = numbers
        .filter(|column| matches!(column.kind, ColumnKind::Number(_)))
        .count();
    let scaled = match (&study.analysis, study.data.scaling) {
        (Analysis::Statistics(_), _) => "counted within them",
        (
            Analysis::LogisticRegression(_)
            | Analysis::LinearRegression(_)
            | Analysis::SoftmaxRegression(_)
            | Analysis::NeuralNetwork(_),
            Scaling::PublicRanges,
        ) => "scaled by a public centre and scale",
        (
            Analysis::LogisticRegression(_)
            | Analysis::LinearRegression(_)
            | Analysis::SoftmaxRegression(_)
            | Analysis::NeuralNetwork(_),
            Scaling::PerSite,
        ) => "scaled by each silo's own mean and deviation",
    };
    // With noise the table is read so that no cell refuses anything, whatever the study says about missing values.
    let missing = "rows with a missing value, an unknown level, a text where a number belongs or no patient are left out, \
                   and nobody is told how many";
    let mut text = format!(
        "{numbers} columns of numbers are cut to the ranges that the study file states and {scaled}; {missing}"
    );
    if let Some(longest) = study
        .analysis
        .regression()
        .and_then(|plan| plan.longest_row)
    {
        let _ = write!(text, "; rows of features are cut to norm {longest}");
    }
    text
}

/// Where clip, draw and noise happen.
pub(super) fn enforced_by(plan: &NoisePlan) -> String {
    let drawn = match plan.batch {
        Batch::Everybody => "",
        Batch::Drawn(_) => "draws who takes part, ",
    };
    let noised = match plan.placement {
        NoisePlacement::Shared => "adds up and noises once per attempt",
        NoisePlacement::Local { .. } => "adds up and noises at every local step",
    };
    format!(
        "agent: the hospital's agent clips and quantises the vectors of a built-in objective, {drawn}{noised}; the process that computes them cannot"
    )
}

/// Whether the study states its clip.
pub(super) fn clip_origin(file: &[u8]) -> &'static str {
    let stated = std::str::from_utf8(file)
        .ok()
        .and_then(|text| text.parse::<toml::Table>().ok())
        .is_some_and(|table| {
            table
                .get("privacy")
                .and_then(|privacy| privacy.get("clip"))
                .is_some()
        });
    if stated {
        "stated in the study file; a patient's longer vector is shortened to it"
    } else {
        "from the public ranges of the study file; no patient's vector within them is longer"
    }
}
