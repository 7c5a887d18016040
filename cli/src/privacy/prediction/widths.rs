// SPDX-License-Identifier: Apache-2.0
//! How wide the intervals of statistics will be: the study runs on synthetic patients, and its own intervals are measured.

use anyhow::{Context, bail};
use consilium_learning::result::{Interval, StatisticsResult};
use consilium_learning::{Step, Task};
use serde::Serialize;

use super::population::patients_of;
use super::{Noise, REPETITIONS, Run, approximate, sized};
use crate::privacy::study_loss::NoisedStudy;

/// The interval of one kind of statistic.
#[derive(Clone, Debug, Serialize)]
pub(in crate::privacy) struct Width {
    pub(in crate::privacy) statistic: String,
    /// Half of the mean width: 95 % intervals are the number plus or minus this.
    pub(in crate::privacy) plus_or_minus: f64,
}

/// The widths of all intervals of a study of statistics, as means over cells and repetitions.
///
/// # Errors
/// When the study asks for no statistics with noise.
pub(in crate::privacy) fn predict_widths(noised: &NoisedStudy) -> anyhow::Result<Vec<Width>> {
    if noised.study.analysis.regression().is_some() {
        bail!("intervals are predicted for statistics only");
    }
    let (study, patients) = sized(noised)?;
    let noise = NoisedStudy { study, ..*noised };
    let terms = noise.noise()?.terms;
    let vector = noise
        .study
        .vector_plan(noise.silos, noise.dropouts()?, noise.colluders)?;
    let mut found: Vec<(String, Vec<f64>)> = Vec::new();
    for seed in 0..u64::from(REPETITIONS) {
        let table = patients_of(&noise.study, patients, seed)?;
        let task = Task::new(&noise.study)?;
        let run = Run {
            study: &noise.study,
            vector: &vector,
            clip: terms.clip,
            rate: 1.0,
            silos: usize::try_from(noise.silos).unwrap_or(usize::MAX),
            noise: Noise::Added,
        };
        let model = task.initial_model();
        let sum = run.shared(&task, &model, &table, seed << 40)?;
        let Step::Finished(outcome) = task.advance(&model, &sum)? else {
            bail!("statistics take one round");
        };
        let statistics = outcome.result.statistics().context("statistics")?;
        for (name, interval) in intervals(statistics) {
            let half = (interval[1] - interval[0]) / 2.0;
            match found.iter_mut().find(|(known, _)| *known == name) {
                Some((_, halves)) => halves.push(half),
                None => found.push((name, vec![half])),
            }
        }
    }
    Ok(found
        .into_iter()
        .map(|(statistic, halves)| Width {
            statistic,
            plus_or_minus: halves.iter().sum::<f64>() / approximate(halves.len()),
        })
        .collect())
}

/// Every interval with the kind of its statistic.
fn intervals(result: &StatisticsResult) -> Vec<(String, Interval)> {
    let mut all = Vec::new();
    let mut tell = |name: String, intervals: &mut dyn Iterator<Item = Interval>| {
        all.extend(intervals.map(|interval| (name.clone(), interval)));
    };
    for counts in &result.counts {
        let of = counts.intervals.iter().flatten().copied();
        tell(format!("count by `{}`", counts.column), &mut { of });
    }
    for table in &result.tables {
        let of = table.intervals.iter().flatten().flatten().copied();
        let name = format!("count by `{}` and `{}`", table.rows, table.columns);
        tell(name, &mut { of });
    }
    for moments in &result.moments {
        if let Some(of) = &moments.intervals {
            let column = &moments.column;
            tell(format!("sum of `{column}`"), &mut std::iter::once(of.sum));
            tell(format!("mean of `{column}`"), &mut of.mean.into_iter());
            tell(
                format!("variance of `{column}`"),
                &mut of.variance.into_iter(),
            );
        }
    }
    for histogram in &result.histograms {
        let of = histogram.intervals.iter().flatten().copied();
        tell(format!("bin of `{}`", histogram.column), &mut { of });
    }
    for quantiles in &result.quantiles {
        let of = quantiles.quantiles.iter().filter_map(|it| it.interval);
        let name = format!("quantile of `{}`", quantiles.histogram.column);
        tell(name, &mut { of });
    }
    for curve in &result.survival {
        let of = curve.intervals.iter().flatten().copied();
        let name = match &curve.group {
            None => format!("survival over `{}`", curve.time),
            Some(group) => format!("survival over `{}`, {group}", curve.time),
        };
        tell(name, &mut { of });
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use consilium_learning::study::Study;
    use consilium_privacy::loss::Epsilon;

    use super::*;

    #[test]
    fn intervals_of_statistics_are_as_wide_as_the_noise_and_narrower_with_a_larger_epsilon() {
        let file = include_bytes!("../../../../examples/studies/private-statistics.toml");
        let study = Study::parse(file).unwrap();
        let noised = NoisedStudy {
            study,
            silos: 4,
            colluders: 1,
            colluders_assumed: false,
        };
        let narrow = predict_widths(&noised.with_epsilon(Epsilon::new(4.0).unwrap()).unwrap());
        let wide = predict_widths(&noised.with_epsilon(Epsilon::new(1.0).unwrap()).unwrap());
        let (narrow, wide) = (narrow.unwrap(), wide.unwrap());
        assert!(!narrow.is_empty());
        let count = |widths: &[Width]| {
            let mut counts = widths
                .iter()
                .filter(|it| it.statistic.starts_with("count by"));
            counts.next().unwrap().plus_or_minus
        };
        assert!(count(&wide) > 2.0 * count(&narrow), "{wide:?} {narrow:?}");
        let logistic = include_bytes!("../../../../examples/studies/private-logistic.toml");
        let study = Study::parse(logistic).unwrap();
        assert!(predict_widths(&NoisedStudy { study, ..noised }).is_err());
    }
}
