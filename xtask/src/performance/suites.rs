// SPDX-License-Identifier: Apache-2.0
//! Figures that a command prints as they should stand in the document.

use super::machine::made_by;
use super::printed;
use std::path::Path;
use std::process::Command;

/// The mask loop, every implementation that this processor has.
pub(super) fn mask_loop() -> anyhow::Result<String> {
    bench("cargo bench --locked -p consilium-mask-loop --features yardstick --bench ratios")
}

pub(super) fn primitives() -> anyhow::Result<String> {
    bench("cargo bench --locked -p consilium-crypto --bench primitives")
}

pub(super) fn rounds() -> anyhow::Result<String> {
    bench("cargo bench --locked -p consilium-tests --bench rounds")
}

pub(super) fn loopback(consilium: &Path) -> anyhow::Result<String> {
    let arguments = "bench loopback --silos 10 --parameters 100000";
    let text = printed(Command::new(consilium).args(arguments.split_whitespace()))?;
    Ok(made_by(&format!("consilium {arguments}")) + &as_printed(&text))
}

pub(super) fn flower() -> anyhow::Result<String> {
    let command = "benches/peers/flower/compare";
    let table = printed(&mut Command::new(command))?;
    Ok(made_by(command) + &table)
}

fn bench(command: &str) -> anyhow::Result<String> {
    let mut words = command.split_whitespace();
    let mut process = Command::new(words.next().unwrap_or("cargo"));
    let text = printed(process.args(words))?;
    Ok(made_by(command) + &as_printed(&text))
}

fn as_printed(text: &str) -> String {
    let lines: Vec<&str> = text.trim_matches('\n').lines().map(str::trim_end).collect();
    format!("```text\n{}\n```\n", lines.join("\n"))
}
