// SPDX-License-Identifier: Apache-2.0
//! Line charts as SVG text, readable without colour.

use super::page::escaped;
use std::fmt::Write as _;

/// One chart.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) across: &'a str,
    pub(super) up: &'a str,
    pub(super) lines: Vec<Line<'a>>,
    /// The least and greatest value shown upwards; from the data when absent.
    pub(super) up_range: Option<(f64, f64)>,
}

/// One line of a chart.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) style: Style,
    pub(super) points: Vec<(f64, f64)>,
}

#[derive(Clone, Copy)]
pub(super) enum Style {
    Solid,
    Dashed,
    Dotted,
}

impl Chart<'_> {
    pub(super) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let most = |value: fn(&(f64, f64)) -> f64| points().map(value).fold(f64::MIN, f64::max);
        let (left, right) = (0.0, most(|point| point.0).max(1e-9));
        let (low, high) = self
            .up_range
            .unwrap_or((0.0, most(|point| point.1).max(1e-9)));
        let x = |value: f64| LEFT + (value - left) / (right - left) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| {
            let clamped = value.clamp(low, high);
            HEIGHT - BOTTOM - (clamped - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
        };
        let mut svg = format!(
            "<svg role=\"img\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" xmlns=\"http://www.w3.org/2000/svg\"><title>{}</title>",
            escaped(self.title)
        );
        for tick in ticks(left, right) {
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{1}\"/><text x=\"{0:.1}\" y=\"{2}\" text-anchor=\"middle\">{3}</text>",
                x(tick),
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 16.0,
                written(tick)
            );
        }
        for tick in ticks(low, high) {
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{1}\" y1=\"{0:.1}\" y2=\"{0:.1}\"/><text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\">{4}</text>",
                y(tick),
                WIDTH - RIGHT,
                LEFT - 6.0,
                y(tick) + 4.0,
                written(tick)
            );
        }
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text><text transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            f64::midpoint(LEFT, WIDTH - RIGHT),
            HEIGHT - 6.0,
            escaped(self.across),
            f64::midpoint(TOP, HEIGHT - BOTTOM),
            escaped(self.up)
        );
        for (index, line) in self.lines.iter().enumerate() {
            let class = line.style.class();
            let path: Vec<String> = line
                .points
                .iter()
                .map(|(across, up)| format!("{:.1},{:.1}", x(*across), y(*up)))
                .collect();
            let _ = write!(
                svg,
                "<polyline class=\"{class}\" points=\"{}\"/>",
                path.join(" ")
            );
            // The legend stands in the row above the chart.
            let start = LEFT + 150.0 * f64::from(u8::try_from(index).unwrap_or(0));
            let _ = write!(
                svg,
                "<line class=\"{class}\" x1=\"{start}\" x2=\"{}\" y1=\"12\" y2=\"12\"/><text x=\"{}\" y=\"16\">{}</text>",
                start + 26.0,
                start + 32.0,
                escaped(line.name)
            );
        }
        svg.push_str("</svg>");
        svg
    }
}

impl Style {
    fn class(self) -> &'static str {
        match self {
            Self::Solid => "solid",
            Self::Dashed => "dashed",
            Self::Dotted => "dotted",
        }
    }
}

/// Four to eight round values.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let unit = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * unit)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(rough);
    let first = (low / step).ceil();
    (0..12_u8)
        .map(|number| (first + f64::from(number)) * step)
        .take_while(|tick| *tick <= high + step * 1e-6)
        .collect()
}

fn written(value: f64) -> String {
    let rounded = (value * 1e4).round() / 1e4;
    rounded.to_string()
}

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 44.0;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(0.0, 22.0), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!(ticks(0.5, 1.0).len(), 6);
        assert_eq!(written(0.600_000_000_1), "0.6");
    }

    #[test]
    fn a_chart_stays_inside_its_frame_and_escapes_its_words() {
        let chart = Chart {
            title: "a < b",
            across: "x",
            up: "y",
            lines: vec![Line {
                name: "only & one",
                style: Style::Solid,
                points: vec![(0.0, 0.0), (1.0, 7.0)],
            }],
            up_range: Some((0.0, 1.0)),
        };
        let svg = chart.svg();
        assert!(svg.contains("a &lt; b") && svg.contains("only &amp; one"));
        assert!(
            svg.contains(&format!("{:.1},{:.1}", WIDTH - RIGHT, TOP)),
            "{svg}"
        );
    }
}
