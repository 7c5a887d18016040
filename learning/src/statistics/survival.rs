// SPDX-License-Identifier: Apache-2.0
//! Kaplan-Meier from the cells time bin x event.
//!
//! With d events and c cut-off observations in a bin, and n at risk at its beginning, the share without the event falls by
//! the factor 1 - d/n. The variance of its logarithm is Greenwood's, the sum of d/(n (n - d)), plus that of the noise: the
//! sum of the squared derivatives by every released cell, times the noise's variance.

use super::block::Bins;
use super::noise::{CellNoise, NORMAL_97_5};
use super::quantile::monotone;
use crate::result::{Count, SurvivalCurve};

/// The curve of one group; `cells` holds events and cut-off observations in turn.
pub(super) fn curve(
    bins: &Bins,
    event: &str,
    group: Option<String>,
    cells: &[f64],
    noise: Option<CellNoise>,
) -> SurvivalCurve {
    let (pairs, _) = cells.as_chunks::<2>();
    let points = points(pairs, noise);
    // The logarithm falls in truth; noise may lift it.
    let falling: Vec<f64> = points.iter().map(|point| -point.logarithm).collect();
    let falling = monotone(&falling);
    let shares: Vec<f64> = falling
        .iter()
        .map(|fallen| (-fallen).exp().clamp(0.0, 1.0))
        .collect();
    let missing = pairs.len().saturating_sub(points.len());
    let padded = |known: Vec<Option<f64>>| {
        known
            .into_iter()
            .chain(std::iter::repeat_n(None, missing))
            .collect()
    };
    let median = shares
        .iter()
        .zip(bins.edges.iter().skip(1))
        .find(|(share, _)| **share <= 0.5)
        .map(|(_, edge)| *edge);
    let intervals = points
        .iter()
        .zip(&falling)
        .map(|(point, fallen)| {
            let reach = NORMAL_97_5 * point.deviation?;
            let end = |sign: f64| (sign * reach - fallen).exp().clamp(0.0, 1.0);
            Some([end(-1.0), end(1.0)])
        })
        .chain(std::iter::repeat_n(None, missing))
        .collect();
    SurvivalCurve {
        time: bins.column.clone(),
        unit: bins.unit.clone(),
        event: event.to_owned(),
        group,
        edges: bins.edges.clone(),
        events: pairs.iter().map(|[events, _]| Count(*events)).collect(),
        cut_off: pairs.iter().map(|[_, cut_off]| Count(*cut_off)).collect(),
        survival: padded(shares.into_iter().map(Some).collect()),
        intervals,
        median,
    }
}

/// The logarithm of the share at the end of a bin, and its standard deviation if it has one.
struct Point {
    logarithm: f64,
    deviation: Option<f64>,
}

/// The points up to where too few are at risk for the noise.
fn points(pairs: &[[f64; 2]], noise: Option<CellNoise>) -> Vec<Point> {
    let mut at_risk: f64 = pairs.iter().flatten().sum();
    #[expect(clippy::cast_precision_loss, reason = "bins of a study file")]
    let mut cells_left = (2 * pairs.len()) as f64;
    let mut points = Vec::with_capacity(pairs.len());
    let (mut logarithm, mut greenwood) = (0.0, 0.0);
    // The derivatives of the logarithm by each cell seen so far, and by every later one.
    let mut by_cells: Vec<f64> = Vec::with_capacity(2 * pairs.len());
    let mut by_later = 0.0;
    for [events, cut_off] in pairs {
        let clear = match noise {
            None => true,
            Some(noise) => noise.is_clear(at_risk, cells_left),
        };
        if !clear {
            break;
        }
        let remaining = at_risk - events;
        let mut certain = true;
        if at_risk > 0.0 {
            logarithm += (remaining.max(0.0) / at_risk).ln();
            if remaining > 0.0 {
                greenwood += (events / (at_risk * remaining)).max(0.0);
                // Every cell from here on is at risk now; this bin's events are not any more.
                by_cells.push(by_later - 1.0 / at_risk);
                by_later += 1.0 / remaining - 1.0 / at_risk;
                by_cells.push(by_later);
            } else {
                certain = false;
            }
        } else {
            by_cells.extend([by_later, by_later]);
        }
        cells_left -= 2.0;
        let squares: f64 = by_cells.iter().map(|slope| slope * slope).sum::<f64>()
            + cells_left * by_later * by_later;
        let of_noise = noise.map_or(0.0, |noise| {
            noise.count_deviation() * noise.count_deviation() * squares
        });
        points.push(Point {
            logarithm,
            deviation: (certain && logarithm.is_finite()).then(|| f64::sqrt(greenwood + of_noise)),
        });
        if !certain && noise.is_some() {
            break;
        }
        at_risk -= events + cut_off;
    }
    points
}
