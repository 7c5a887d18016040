// SPDX-License-Identifier: Apache-2.0
//! A plan for people to read.

use super::{NoiseFacts, PlanRefusal, Planned, Raised};
use crate::privacy::prediction::{Measure, Prediction, Width};
use crate::privacy::study_loss::study_words;
use consilium_privacy::noise_plan::View;

pub(super) fn words(planned: &Planned) -> String {
    let NoiseFacts {
        coordinates,
        share_standard_deviation,
        sum_standard_deviation,
        mean_standard_deviation,
        signal_to_noise_at_most,
    } = planned.noise;
    let mut text = format!(
        "{}\n\nnoise    in {coordinates} coordinates: {share_standard_deviation:.2} clips by each silo, {sum_standard_deviation:.2} in the sum, {mean_standard_deviation:.4} in the mean vector",
        study_words(&planned.loss)
    );
    if let Some(most) = signal_to_noise_at_most {
        text.push_str(&format!(
            "\nsignal   at most {most:.2} times the noise in any round, if every silo contributed a vector of the clip's length in the same direction"
        ));
    }
    if let Some(Raised {
        budget_share,
        epsilon_before,
        epsilon,
        noise_multiplier_before,
        noise_multiplier,
    }) = &planned.raised
    {
        text.push_str(&format!(
            "\nraised   from {:.2} to {:.2} clips, to keep to {budget_share} of the budget: write `epsilon = \"{epsilon}\"` in the place of {epsilon_before}",
            noise_multiplier_before.value(),
            noise_multiplier.value()
        ));
    }
    match (&planned.prediction, &planned.not_predicted) {
        (Some(prediction), _) => text.push_str(&prediction_words(prediction)),
        (None, Some(why)) => text.push_str(&format!("\naccuracy not predicted: {why}")),
        (None, None) => {}
    }
    for Width {
        statistic,
        plus_or_minus,
    } in &planned.widths
    {
        text.push_str(&format!(
            "\nexpected {statistic}: plus or minus {plus_or_minus:.3} with 95 % confidence"
        ));
    }
    if !planned.widths.is_empty() {
        text.push_str(
            "\n         (synthetic patients from the study's public columns; real ones may differ)",
        );
    }
    text.push_str(&format!(
        "\n\n{:<34}{:<10}{:<12}{}",
        "BUDGET", "NEEDS", "LEFT", "LEFT AFTER IT"
    ));
    for budget in &planned.budgets {
        let name = format!(
            "epsilon {} at delta {}{}",
            budget.epsilon,
            budget.delta,
            match (budget.from_ledger, budget.charged) {
                (true, View::MasksBroken) => ", ledger, as if masks were broken",
                (false, View::MasksBroken) => ", as if masks were broken",
                (true, View::MasksHold | View::Colluders) => ", ledger",
                (false, View::MasksHold | View::Colluders) => "",
            }
        );
        let after = budget
            .left_after
            .as_ref()
            .map_or_else(|| "does not fit".to_owned(), ToString::to_string);
        text.push_str(&format!(
            "\n{name:<34}{:<10}{:<12}{after}",
            budget.needed, budget.left_before
        ));
        if let Some(part) = budget.needed_by_evaluation {
            text.push_str(&format!(
                "\n{:<34}{part:<10}of this the evaluation, the rest the training",
                ""
            ));
        }
    }
    for (kind, list) in [
        ("refused", &planned.refusals),
        ("warning", &planned.warnings),
    ] {
        for PlanRefusal {
            reason,
            alternatives,
        } in list
        {
            text.push_str(&format!("\n\n{kind}  {reason}"));
            for alternative in alternatives {
                text.push_str(&format!("\n  instead: {alternative}"));
            }
        }
    }
    text
}

fn prediction_words(prediction: &Prediction) -> String {
    let value = |part: f64| match prediction.measure {
        Measure::Correct => format!("{:.1} %", 100.0 * part),
        Measure::RSquared => format!("{part:.3}"),
    };
    format!(
        "\nsignal   {:.1} times the noise in the first round\n\
         {}: {} predicted, {} without noise, {} by guessing\n         ({}, {} times; real patients may differ)",
        prediction.signal_to_noise,
        prediction.measure.name(),
        value(prediction.accuracy),
        value(prediction.accuracy_without_noise),
        value(prediction.accuracy_of_guessing),
        prediction.population_words(),
        prediction.repetitions
    )
}
