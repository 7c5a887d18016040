// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask performance`: measures, and writes the figures of `docs/performance.md`.
//!
//! Every section of the document stands between two markers and begins with the command that made it and the machine
//! that it ran on. Only the sections that are asked for are measured; the others stay as they are.

mod machine;
mod rounds;
mod suites;

use anyhow::{Context, bail};
use clap::ValueEnum;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What stands between two markers of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Section {
    /// Whole rounds: processor time by step, bytes, memory
    Rounds,
    /// How many bytes a silo sends, against the bound
    Upload,
    /// The mask loop against aws-lc-rs
    MaskLoop,
    /// What rounds are made of
    Primitives,
    /// The bench suite of whole rounds and of what is done with a chunk
    Suite,
    /// A round of separate processes, by the clock
    Loopback,
    /// Large rounds, each once: half an hour and ten gigabytes of disk
    Scale,
    /// Against Flower's SecAgg+, which pip installs: a quarter of an hour
    Flower,
}

const DOCUMENT: &str = "docs/performance.md";

/// What is measured when nothing is named: all that takes minutes and installs nothing.
const USUAL: [Section; 6] = [
    Section::Rounds,
    Section::Upload,
    Section::MaskLoop,
    Section::Primitives,
    Section::Suite,
    Section::Loopback,
];

/// Measures the sections, one after another, and writes each as soon as it is measured.
pub(crate) fn measure(sections: &[Section]) -> anyhow::Result<()> {
    let sections = match sections {
        [] => &USUAL,
        named => named,
    };
    let consilium = build()?;
    for section in sections {
        let name = section.name();
        println!("measuring {name}");
        let figures = match section {
            Section::Rounds => rounds::usual(&consilium)?,
            Section::Upload => rounds::upload(&consilium)?,
            Section::MaskLoop => suites::mask_loop()?,
            Section::Primitives => suites::primitives()?,
            Section::Suite => suites::rounds()?,
            Section::Loopback => suites::loopback(&consilium)?,
            Section::Scale => rounds::scale(&consilium)?,
            Section::Flower => suites::flower()?,
        };
        let text = fs::read_to_string(DOCUMENT).with_context(|| format!("`{DOCUMENT}`"))?;
        fs::write(DOCUMENT, replaced(&text, &name, &figures)?)?;
    }
    println!("written to {DOCUMENT}");
    Ok(())
}

impl Section {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// The text with what stands between the markers of `name` replaced.
fn replaced(text: &str, name: &str, figures: &str) -> anyhow::Result<String> {
    let (begin, end) = (
        format!("<!-- begin {name} -->\n"),
        format!("<!-- end {name} -->"),
    );
    let (before, rest) = text
        .split_once(&begin)
        .with_context(|| format!("`{DOCUMENT}` has no `{}`", begin.trim()))?;
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("`{DOCUMENT}` has no `{end}`"))?;
    Ok(format!("{before}{begin}{}\n{end}{after}", figures.trim()))
}

/// The command line's executable, built as it is shipped.
fn build() -> anyhow::Result<PathBuf> {
    printed(Command::new("cargo").args(["build", "--release", "--locked", "--bin", "consilium"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    Ok(target.join("release/consilium"))
}

/// What a command prints; it must succeed.
fn printed(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("{command:?} cannot be started"))?;
    if !output.status.success() {
        bail!("{command:?} failed");
    }
    String::from_utf8(output.stdout).context("its output is no text")
}

/// What the executable prints with `--json`.
fn printed_json(consilium: &Path, arguments: &str) -> anyhow::Result<serde_json::Value> {
    let arguments = arguments.split_whitespace().chain(["--json"]);
    let text = printed(Command::new(consilium).args(arguments))?;
    serde_json::from_str(&text).context("no JSON was printed")
}

/// A number of a report, by the path to it.
fn number(report: &serde_json::Value, path: &str) -> anyhow::Result<f64> {
    let value = report.pointer(path).and_then(serde_json::Value::as_f64);
    value.with_context(|| format!("the report has no number `{path}`"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let text = "a\n<!-- begin one -->\nold\n<!-- end one -->\nb\n<!-- begin two -->\n<!-- end two -->\n";
        let new = replaced(text, "one", "figures\n").unwrap();
        assert_eq!(
            new,
            "a\n<!-- begin one -->\nfigures\n<!-- end one -->\nb\n<!-- begin two -->\n<!-- end two -->\n"
        );
        assert!(replaced(text, "three", "").is_err());
    }

    #[test]
    fn the_document_has_a_place_for_every_section() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(DOCUMENT);
        let text = fs::read_to_string(path).unwrap();
        for section in Section::value_variants() {
            replaced(&text, &section.name(), "").unwrap();
        }
    }
}
