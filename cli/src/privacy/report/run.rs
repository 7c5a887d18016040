// SPDX-License-Identifier: Apache-2.0
//! What became of a study: the rounds that its result tells of, and the attempts that a hospital's ledger was charged for.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::charged::Charged;

/// What is known of a run; nothing before it.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) rounds: Option<u64>,
    pub(super) charged: Option<Charged>,
}

/// The rounds that a result tells of.
pub(super) fn rounds_of(folder: &Path) -> anyhow::Result<u64> {
    let file = folder.join("result.json");
    let context = || format!("the result `{}` cannot be read", file.display());
    let bytes = fs::read(&file).with_context(context)?;
    let result: serde_json::Value = serde_json::from_slice(&bytes).with_context(context)?;
    if result["kind"] == "statistics" {
        // One release and no more.
        return Ok(1);
    }
    result["rounds"]
        .as_u64()
        .or_else(|| result["result"]["rounds"].as_u64())
        .with_context(|| format!("`{}` does not say how many rounds were run", file.display()))
}
