// SPDX-License-Identifier: Apache-2.0
//! Welch's t between two sets of times, over all of them and without the slowest.

/// The parts of all times, the fastest first, that are compared: interrupts lengthen some, and hide what the
/// others would show.
const KEPT: [f64; 3] = [1.0, 0.95, 0.75];

/// The largest magnitude of t over the three cuts. The limit of a cut is one for both classes.
pub(crate) fn largest_t(classes: [&[f64]; 2]) -> f64 {
    let mut all = classes.concat();
    all.sort_by(f64::total_cmp);
    KEPT.into_iter()
        .map(|part| {
            let last = (all.len() as f64 * part) as usize;
            let limit = all[last.clamp(1, all.len()) - 1];
            let kept = classes.map(|times| -> Vec<f64> {
                times
                    .iter()
                    .copied()
                    .filter(|time| *time <= limit)
                    .collect()
            });
            t(&kept[0], &kept[1]).abs()
        })
        .fold(0.0, f64::max)
}

fn t(left: &[f64], right: &[f64]) -> f64 {
    let (left_mean, left_error) = mean_and_squared_error(left);
    let (right_mean, right_error) = mean_and_squared_error(right);
    let error = (left_error + right_error).sqrt();
    if error == 0.0 {
        return 0.0;
    }
    (left_mean - right_mean) / error
}

/// The mean, and the variance of the mean.
fn mean_and_squared_error(times: &[f64]) -> (f64, f64) {
    let count = times.len() as f64;
    let mean = times.iter().sum::<f64>() / count;
    let squares: f64 = times.iter().map(|time| (time - mean).powi(2)).sum();
    (mean, squares / (count - 1.0) / count)
}
