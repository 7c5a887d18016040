// SPDX-License-Identifier: Apache-2.0
//! The report as one HTML page: no script, no font, no picture from elsewhere.

use super::charged::Charged;
use super::chart::{Chart, Line, Style};
use super::fields::PrivacyReport;
use crate::privacy::amounts::rounded_up;
use crate::privacy::prediction::Measure;
use crate::privacy::study_loss::ViewLoss;
use std::fmt::Write as _;

pub(super) fn html(report: &PrivacyReport) -> String {
    let name = escaped(&report.study.name);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Privacy report: {name}</title>\
         <style>{STYLE}</style></head><body><main>\n<h1>Privacy report: {name}</h1>\n"
    );
    let _ = writeln!(
        page,
        "<p class=\"headline\">Certified: <b>epsilon {}</b> at delta {}, for {}.</p>",
        rounded_up(report.views.charged),
        report.guarantee.delta,
        escaped(&report.guarantee.unit)
    );
    page.push_str(&views(report));
    page.push_str(&meaning(report));
    page.push_str(&figures(report));
    page.push_str(&tables(report));
    page.push_str("<h2>What the numbers do not cover</h2>\n<ul>");
    for limit in &report.limits {
        let _ = write!(page, "<li>{}</li>", escaped(limit));
    }
    page.push_str("</ul>\n</main></body></html>\n");
    page
}

fn views(report: &PrivacyReport) -> String {
    let row = |who: &str, view: &ViewLoss| {
        format!(
            "<tr><th scope=\"row\">{who}</th><td>{}</td><td>{}</td><td>{:.3}</td></tr>",
            view.certified_words(),
            rounded_up(view.estimate.epsilon),
            view.noise_multiplier.value()
        )
    };
    let views = &report.views;
    format!(
        "<h2>In whose eyes</h2>\n<table><thead><tr><th></th><th>certified epsilon</th><th>tight estimate</th><th>noise over clip</th></tr></thead><tbody>{}{}{}</tbody></table>\n",
        row(
            "while the masks hold and nobody colludes",
            &views.masks_hold
        ),
        row(
            &format!(
                "while {} of {} silos collude with the coordinator: charged",
                views.colluders_tolerated, views.silos
            ),
            &views.colluders
        ),
        row("if the masks were broken", &views.masks_broken)
    )
}

fn meaning(report: &PrivacyReport) -> String {
    let meaning = &report.meaning;
    let mut text = format!(
        "<h2>For one patient</h2>\n<ul><li>The odds that a patient took part change at most <b>{}-fold</b>, except with probability {}.</li>",
        factor(meaning.odds_factor),
        report.guarantee.delta
    );
    for posterior in &meaning.posteriors {
        let _ = write!(
            text,
            "<li>A suspicion of {} becomes at most {}.</li>",
            percent(posterior.prior),
            percent(posterior.posterior)
        );
    }
    for attacker in &meaning.attackers {
        let _ = write!(
            text,
            "<li>Whoever wrongly accuses {} of the absent finds at most {} of those present; a realistic attacker {}.</li>",
            percent(attacker.false_positives),
            percent(attacker.best),
            percent(attacker.realistic)
        );
    }
    let _ = writeln!(
        text,
        "<li>The odds of one attribute of a patient known to take part change at most {}-fold.</li></ul>",
        factor(meaning.attribute_odds_factor)
    );
    text
}

fn figures(report: &PrivacyReport) -> String {
    let curves = &report.curves;
    let spent = |value: fn(&super::curves::Spent) -> f64| {
        curves
            .epsilon_over_rounds
            .iter()
            .map(|it| (f64::from(it.rounds), value(it)))
            .collect()
    };
    let found = |value: fn(&super::curves::Found) -> f64| {
        curves
            .attackers
            .iter()
            .map(|it| (it.false_positives, value(it)))
            .collect()
    };
    let mut charts = vec![
        Chart {
            title: "Epsilon over attempts",
            across: "attempts",
            up: "epsilon",
            lines: vec![
                Line {
                    name: "certified",
                    style: Style::Solid,
                    points: spent(|it| it.certified),
                },
                Line {
                    name: "tight estimate",
                    style: Style::Dashed,
                    points: spent(|it| it.estimate),
                },
            ],
            up_range: None,
        },
        Chart {
            title: "What attackers find",
            across: "of those absent, wrongly accused",
            up: "of those present, found",
            lines: vec![
                Line {
                    name: "best possible",
                    style: Style::Solid,
                    points: found(|it| it.best),
                },
                Line {
                    name: "realistic",
                    style: Style::Dashed,
                    points: found(|it| it.realistic),
                },
                Line {
                    name: "blind guess",
                    style: Style::Dotted,
                    points: vec![(0.0, 0.0), (1.0, 1.0)],
                },
            ],
            up_range: Some((0.0, 1.0)),
        },
    ];
    let measure = report
        .prediction
        .as_ref()
        .map_or(Measure::Correct, |prediction| prediction.measure);
    if curves.accuracy_over_epsilon.len() > 1 {
        let accuracy = |value: fn(&super::curves::Accuracy) -> f64| {
            curves
                .accuracy_over_epsilon
                .iter()
                .map(|it| (it.epsilon, value(it)))
                .collect()
        };
        charts.push(Chart {
            title: "Accuracy over epsilon, synthetic patients",
            across: "epsilon",
            up: measure.name(),
            lines: vec![
                Line {
                    name: "with noise",
                    style: Style::Solid,
                    points: accuracy(|it| it.accuracy),
                },
                Line {
                    name: "without noise",
                    style: Style::Dashed,
                    points: accuracy(|it| it.without_noise),
                },
            ],
            up_range: Some(match measure {
                Measure::Correct => (curves.least_accuracy().min(0.5), 1.0),
                Measure::RSquared => (0.0, 1.0),
            }),
        });
    }
    if let [first, _, ..] = &curves.width_over_epsilon[..] {
        charts.push(Chart {
            title: "Width of an interval over epsilon, synthetic patients",
            across: "epsilon",
            up: &first.statistic,
            lines: vec![Line {
                name: "plus or minus",
                style: Style::Solid,
                points: curves
                    .width_over_epsilon
                    .iter()
                    .map(|it| (it.epsilon, it.plus_or_minus))
                    .collect(),
            }],
            up_range: None,
        });
    }
    let mut text = "<div class=\"figures\">".to_owned();
    for chart in charts {
        let _ = write!(
            text,
            "<figure><figcaption>{}</figcaption>{}</figure>",
            escaped(chart.title),
            chart.svg()
        );
    }
    text.push_str("</div>\n");
    if let Some(prediction) = &report.prediction {
        let _ = writeln!(
            text,
            "<p>Predicted {}: {} against {} without noise and {} by guessing: {}, {} repetitions. No patient of this study was looked at.</p>",
            prediction.measure.name(),
            percent(prediction.accuracy),
            percent(prediction.accuracy_without_noise),
            percent(prediction.accuracy_of_guessing),
            escaped(&prediction.population_words()),
            prediction.repetitions
        );
    }
    if !report.widths.is_empty() {
        text.push_str("<p>Expected 95 % intervals, on synthetic patients:</p><ul>");
        for width in &report.widths {
            let _ = write!(
                text,
                "<li>{}: plus or minus {:.3}</li>",
                escaped(&width.statistic),
                width.plus_or_minus
            );
        }
        text.push_str("</ul>\n");
    }
    text
}

fn tables(report: &PrivacyReport) -> String {
    let plan = &report.mechanism.plan;
    let rounds_run = report
        .accounting
        .rounds_run
        .map_or_else(|| "not stated".to_owned(), |rounds| rounds.to_string());
    let charged = report.accounting.charged.as_ref().map_or_else(
        || {
            let nothing = "not stated: no ledger was given".to_owned();
            vec![("attempts charged", nothing)]
        },
        Charged::words,
    );
    let sampler = &report.implementation.sampler;
    let sections: [(&str, Vec<(&str, String)>); 6] = [
        (
            "Study",
            vec![
                ("name", report.study.name.clone()),
                ("researcher", report.study.researcher.clone()),
                ("purpose", report.study.purpose.clone()),
                ("ethics approval", report.study.ethics.clone()),
                ("data set", report.study.data.clone()),
                ("SHA-256 of the signed file", report.study.digest.clone()),
            ],
        ),
        (
            "Guarantee",
            vec![
                ("flavour", report.guarantee.flavour.to_owned()),
                ("unit", report.guarantee.unit.clone()),
                (
                    "silos that may know one patient m",
                    report.guarantee.most_silos_per_patient.to_string(),
                ),
                ("adjacency", report.guarantee.adjacency.to_owned()),
                ("epsilon asked", report.guarantee.epsilon.to_string()),
                ("delta", report.guarantee.delta.to_string()),
                (
                    "rho (charged view)",
                    report.guarantee.rho.map_or_else(
                        || "not computed on samples".to_owned(),
                        |rho| format!("{:.4}", rho.value()),
                    ),
                ),
                ("trust model", report.guarantee.trust_model.clone()),
            ],
        ),
        (
            "Mechanism",
            vec![
                ("mechanism", report.mechanism.mechanism.to_owned()),
                (
                    "clip C",
                    format!(
                        "{}: {}",
                        report.mechanism.clip, report.mechanism.clip_origin
                    ),
                ),
                (
                    "noise multiplier z (charged view)",
                    format!("{:.4}", report.mechanism.noise_multiplier.value()),
                ),
                ("sampling rate q", report.mechanism.sampling_rate.clone()),
                ("coordinates", report.mechanism.coordinates.to_string()),
                ("clip as an integer D", plan.clip_integer.to_string()),
            ],
        ),
        (
            "Accounting",
            vec![
                ("certificate", report.accounting.certificate.to_owned()),
                ("estimate", report.accounting.estimate.to_owned()),
                (
                    "rounds planned",
                    report.accounting.rounds_planned.to_string(),
                ),
                ("rounds run", rounds_run),
                (
                    "attempts planned T",
                    match report.accounting.evaluation_attempts_planned {
                        0 => report.accounting.attempts_planned.to_string(),
                        evaluation => format!(
                            "{}, and {evaluation} at the evaluation",
                            report.accounting.attempts_planned
                        ),
                    },
                ),
            ]
            .into_iter()
            .chain(charged)
            .chain([("composition", report.accounting.composition.to_owned())])
            .collect(),
        ),
        (
            "Boundary",
            vec![
                ("released", report.boundary.released.to_owned()),
                ("evaluation", report.boundary.evaluation.to_owned()),
                ("not released", report.boundary.not_released.to_owned()),
                ("tuning", report.boundary.tuning.clone()),
                ("preprocessing", report.boundary.preprocessing.clone()),
            ],
        ),
        (
            "Implementation",
            vec![
                ("software", report.implementation.software.clone()),
                (
                    "sampler",
                    format!(
                        "{}: {:.1e} from exact in total variation, which takes {:.1e} of delta",
                        sampler.name, sampler.distance, sampler.delta_taken
                    ),
                ),
                ("generator", report.implementation.generator.to_owned()),
                ("enforced by", report.implementation.enforced_by.clone()),
                ("audit", report.implementation.audit.words()),
            ],
        ),
    ];
    let mut text = String::new();
    for (heading, rows) in sections {
        let _ = write!(text, "<h2>{heading}</h2>\n<table class=\"facts\"><tbody>");
        for (name, value) in rows {
            let _ = write!(
                text,
                "<tr><th scope=\"row\">{}</th><td>{}</td></tr>",
                escaped(name),
                escaped(&value)
            );
        }
        text.push_str("</tbody></table>\n");
    }
    text
}

/// Text that cannot become markup, in an element or in a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn percent(part: f64) -> String {
    if part > 0.999 && part < 1.0 {
        "over 99.9 %".to_owned()
    } else {
        format!("{:.1} %", 100.0 * part)
    }
}

fn factor(value: f64) -> String {
    if value < 1e6 {
        format!("{value:.1}")
    } else {
        "over a million".to_owned()
    }
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;color:#1c2733;background:#fff;margin:0}\
main{max-width:68rem;margin:0 auto;padding:1.5rem}h1{font-size:1.6rem;margin:.2rem 0}\
h2{font-size:1.1rem;margin:1.6rem 0 .4rem;border-bottom:1px solid #cfd8df}\
.headline{font-size:1.2rem;background:#eef4f8;padding:.7rem 1rem;border-left:4px solid #1b6ca8}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #e3e9ee;vertical-align:top}\
td{overflow-wrap:anywhere}.facts th{width:17rem;font-weight:600}thead th{font-weight:600}tbody th{font-weight:400}\
.figures{display:flex;flex-wrap:wrap;gap:1rem;margin-top:1rem}figure{margin:0;flex:1 1 26rem;max-width:34rem}\
figcaption{font-weight:600;margin-bottom:.2rem}svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#39485a}\
.grid{stroke:#e3e9ee}.solid,.dashed,.dotted{fill:none;stroke-width:2.2}.solid{stroke:#1b6ca8}\
.dashed{stroke:#b4511b;stroke-dasharray:7 4}.dotted{stroke:#6b7783;stroke-dasharray:2 4}\
@media print{main{padding:0}h2{break-after:avoid}figure,table{break-inside:avoid}}";
