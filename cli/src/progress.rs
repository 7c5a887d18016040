// SPDX-License-Identifier: Apache-2.0
//! The live display of a study: a bar on a terminal, plain lines elsewhere, JSON lines for machines.

use crate::output::line;
use consilium_wire::v1::{Condition, SiloAnswer, StudyProgress, StudyState};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// How a study ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) last: StudyProgress,
}

impl Ended {
    pub(crate) fn completed(&self) -> bool {
        self.last.state() == StudyState::Completed
    }
}

/// Shows the progress of one study.
pub(crate) struct Display {
    style: Style,
    shown: Option<StudyProgress>,
}

enum Style {
    Json,
    Lines,
    Bar(ProgressBar),
}

impl Display {
    pub(crate) fn new(json: bool) -> Self {
        let style = if json {
            Style::Json
        } else if std::io::stdout().is_terminal() {
            let bar = ProgressBar::new(1);
            let template = "  {bar:20.cyan/blue} {wide_msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("━╸─"));
            }
            Style::Bar(bar)
        } else {
            Style::Lines
        };
        Self { style, shown: None }
    }

    /// Shows one state of the study; `Some` once it has ended.
    pub(crate) fn show(&mut self, progress: StudyProgress) -> anyhow::Result<Option<Ended>> {
        match &self.style {
            Style::Json => line(&serde_json::to_string(&json(&progress))?),
            Style::Lines => {
                for text in news(self.shown.as_ref(), &progress) {
                    line(&format!("  {text}"));
                }
            }
            Style::Bar(bar) => {
                bar.set_length(u64::from(progress.rounds_at_most.max(1)));
                bar.set_position(u64::from(progress.round.saturating_sub(1)));
                bar.set_message(status(&progress));
                for text in exceptional(self.shown.as_ref(), &progress) {
                    bar.println(format!("  {text}"));
                }
            }
        }
        let over = is_over(progress.state());
        if over && let Style::Bar(bar) = &self.style {
            bar.finish_and_clear();
            line(&format!("  {}", status(&progress)));
        }
        self.shown = Some(progress.clone());
        Ok(over.then_some(Ended { last: progress }))
    }
}

pub(crate) fn state_word(state: StudyState) -> &'static str {
    match state {
        StudyState::Unspecified => "unknown",
        StudyState::Queued => "queued",
        StudyState::Consenting => "consenting",
        StudyState::Running => "running",
        StudyState::Completed => "completed",
        StudyState::Refused => "refused",
        StudyState::Failed => "failed",
        StudyState::Cancelled => "cancelled",
    }
}

fn is_over(state: StudyState) -> bool {
    match state {
        StudyState::Completed
        | StudyState::Refused
        | StudyState::Failed
        | StudyState::Cancelled => true,
        StudyState::Unspecified
        | StudyState::Queued
        | StudyState::Consenting
        | StudyState::Running => false,
    }
}

/// Everything in one line.
fn status(progress: &StudyProgress) -> String {
    let mut parts = vec![state_word(progress.state()).to_owned()];
    if progress.round > 0 {
        parts.push(match progress.attempt {
            0 | 1 => format!(
                "round {} of at most {}",
                progress.round, progress.rounds_at_most
            ),
            attempt => format!(
                "round {} of at most {}, attempt {attempt}",
                progress.round, progress.rounds_at_most
            ),
        });
    }
    if progress.state() == StudyState::Running && !progress.phase.is_empty() {
        parts.push(progress.phase.clone());
    }
    let connected = progress.silos.iter().filter(|silo| silo.connected).count();
    if !progress.silos.is_empty() {
        parts.push(format!("{connected}/{} silos", progress.silos.len()));
    }
    if progress.state() == StudyState::Consenting {
        let granted = progress
            .silos
            .iter()
            .filter(|silo| silo.answer() == SiloAnswer::Granted)
            .count();
        parts.push(format!("{granted} consented"));
    }
    if progress.bytes_received > 0 {
        parts.push(format!(
            "{} received masked",
            bytes(progress.bytes_received)
        ));
    }
    if progress.attempts_reserved > 0 {
        parts.push(format!(
            "privacy: {} of {} attempts spent, epsilon at most {}",
            progress.attempts_charged,
            progress.attempts_reserved,
            rounded_up(&progress.epsilon)
        ));
    }
    if !progress.reason.is_empty() && is_over(progress.state()) {
        parts.push(progress.reason.clone());
    }
    parts.join(" · ")
}

/// Plain lines: a line per state and per round, and everything exceptional.
fn news(shown: Option<&StudyProgress>, progress: &StudyProgress) -> Vec<String> {
    let mut lines = exceptional(shown, progress);
    let changed = shown.is_none_or(|shown| {
        (shown.state, shown.round, shown.attempt)
            != (progress.state, progress.round, progress.attempt)
    });
    if changed {
        lines.push(status(progress));
    }
    lines
}

/// New drops and refusals.
fn exceptional(shown: Option<&StudyProgress>, progress: &StudyProgress) -> Vec<String> {
    let drops = shown.map_or(0, |shown| shown.dropouts.len());
    let refusals = shown.map_or(0, |shown| shown.refusals.len());
    let mut lines = Vec::new();
    for drop in progress.dropouts.iter().skip(drops) {
        lines.push(format!(
            "`{}` dropped out of round {} while {}; the others go on",
            drop.silo, drop.round, drop.phase
        ));
    }
    for refusal in progress.refusals.iter().skip(refusals) {
        lines.push(format!(
            "refused by `{}` (policy version {}):",
            refusal.silo, refusal.policy_version
        ));
        lines.extend(
            refusal
                .conditions
                .iter()
                .map(|condition| format!("  - {}", stated(condition))),
        );
    }
    lines
}

fn json(progress: &StudyProgress) -> serde_json::Value {
    let conditions = |refusal: &consilium_wire::v1::SiloRefusal| -> Vec<String> {
        refusal.conditions.iter().map(stated).collect()
    };
    serde_json::json!({
        "study_id": progress.study_id,
        "name": progress.name,
        "state": state_word(progress.state()),
        "phase": progress.phase,
        "round": progress.round,
        "rounds_at_most": progress.rounds_at_most,
        "attempt": progress.attempt,
        "silos": progress.silos.iter().map(|silo| serde_json::json!({
            "name": silo.name, "connected": silo.connected,
        })).collect::<Vec<_>>(),
        "bytes_received": progress.bytes_received,
        "attempts_charged": progress.attempts_charged,
        "attempts_reserved": progress.attempts_reserved,
        "epsilon": progress.epsilon,
        "delta": progress.delta,
        "refusals": progress.refusals.iter().map(|refusal| serde_json::json!({
            "silo": refusal.silo, "conditions": conditions(refusal),
        })).collect::<Vec<_>>(),
        "dropouts": progress.dropouts.iter().map(|drop| serde_json::json!({
            "silo": drop.silo, "round": drop.round, "phase": drop.phase,
        })).collect::<Vec<_>>(),
        "reason": progress.reason,
    })
}

/// A failed condition with the rule that it breaks.
pub(crate) fn stated(condition: &Condition) -> String {
    format!("{}: {}", condition.rule, condition.text)
}

/// A privacy loss for people: three decimals, never less than the loss.
pub(crate) fn rounded_up(epsilon: &str) -> String {
    match epsilon.parse::<f64>() {
        Ok(value) => format!("{:.3}", (value * 1000.0).ceil() / 1000.0),
        Err(_) => epsilon.to_owned(),
    }
}

/// Bytes in the unit that reads best.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{}.{} kB", count / 1_000, count % 1_000 / 100),
        _ => format!("{}.{} MB", count / 1_000_000, count % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_wire::v1::Dropout;

    #[test]
    fn a_line_is_printed_per_round_and_per_drop_and_not_per_phase() {
        let mut progress = StudyProgress {
            round: 1,
            rounds_at_most: 15,
            ..StudyProgress::default()
        };
        progress.set_state(StudyState::Running);
        assert_eq!(news(None, &progress).len(), 1);
        let before = progress.clone();
        progress.phase = "uploading".to_owned();
        assert!(news(Some(&before), &progress).is_empty());
        progress.dropouts.push(Dropout {
            silo: "3_UK".to_owned(),
            round: 1,
            phase: "uploading".to_owned(),
        });
        let lines = news(Some(&before), &progress);
        assert_eq!(
            lines,
            ["`3_UK` dropped out of round 1 while uploading; the others go on"]
        );
    }

    #[test]
    fn bytes_are_readable() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(12_345), "12.3 kB");
        assert_eq!(bytes(7_300_000), "7.3 MB");
    }
}
