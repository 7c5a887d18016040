// SPDX-License-Identifier: Apache-2.0
//! Whole rounds, measured by `consilium bench aggregation --json`.

use super::machine::made_by;
use super::{number, printed_json};
use anyhow::{Context, bail};
use serde_json::Value;
use std::path::Path;

/// The rounds of the comparison with Flower, without and with a tenth of the silos dropped.
const USUAL: [&str; 6] = [
    "--silos 10 --parameters 1000000",
    "--silos 10 --parameters 1000000 --drop 1",
    "--silos 30 --parameters 100000",
    "--silos 30 --parameters 100000 --drop 3",
    "--silos 100 --parameters 100",
    "--silos 100 --parameters 100 --drop 10",
];

const SCALE: [&str; 4] = [
    "--silos 500 --parameters 100000",
    "--silos 100 --parameters 1000000 --drop 33",
    "--silos 4 --parameters 100000000",
    "--silos 10 --parameters 100000000",
];

const UPLOAD: [&str; 6] = [
    "--silos 3 --parameters 1 --bits 8",
    "--silos 4 --parameters 100000 --bits 16",
    "--silos 10 --parameters 100000 --bits 20",
    "--silos 10 --parameters 1000000 --bits 24",
    "--silos 30 --parameters 100000 --bits 32",
    "--silos 30 --parameters 1000000 --bits 64",
];

/// Processor time by step and party; bytes and memory.
pub(super) fn usual(consilium: &Path) -> anyhow::Result<String> {
    let reports = run(consilium, &USUAL, "")?;
    let mut table = Table::new("", &USUAL.map(|cell| format!("`{cell}`")));
    table.times(&reports)?;
    table.row(
        "of ML-KEM, all silos",
        &reports,
        "/cpu_seconds/post_quantum",
        seconds,
    )?;
    let steps = reports
        .first()
        .and_then(|report| report.pointer("/cpu_seconds/by_step"))
        .and_then(Value::as_object)
        .context("the report has no steps")?;
    for step in steps.keys() {
        let path = format!("/cpu_seconds/by_step/{step}");
        table.row(&step.replace('_', " "), &reports, &path, seconds)?;
    }
    table.bytes(&reports)?;
    table.row(
        "MiB of memory, all in one process",
        &reports,
        "/peak_memory_bytes",
        mebibytes,
    )?;
    Ok(made_by("consilium bench aggregation …") + &table.0)
}

/// Bytes that a silo sends against d * bits/8 * 1.01 + 64 KiB.
pub(super) fn upload(consilium: &Path) -> anyhow::Result<String> {
    let reports = run(consilium, &UPLOAD, "")?;
    let mut table = Table::new("bytes", &UPLOAD.map(|cell| format!("`{cell}`")));
    table.row(
        "the masked vector, framed",
        &reports,
        "/upload/bytes",
        whole,
    )?;
    table.row(
        "everything that a silo sends",
        &reports,
        "/bytes_per_silo/up",
        whole,
    )?;
    table.row("the bound", &reports, "/upload/most", whole)?;
    Ok(made_by("consilium bench aggregation …") + &table.0)
}

/// Rounds that are large in silos, in parameters or in both.
pub(super) fn scale(consilium: &Path) -> anyhow::Result<String> {
    let reports = run(consilium, &SCALE, " --own-processes")?;
    let mut table = Table::new("", &SCALE.map(|cell| format!("`{cell}`")));
    table.times(&reports)?;
    table.bytes(&reports)?;
    let coordinator = "/coordinator_peak_memory_bytes";
    table.row(
        "MiB of memory of the coordinator",
        &reports,
        coordinator,
        mebibytes,
    )?;
    table.row(
        "MiB of memory of a silo",
        &reports,
        "/silo_peak_memory_bytes",
        mebibytes,
    )?;
    Ok(made_by("consilium bench aggregation … --own-processes") + &table.0)
}

fn run(consilium: &Path, cells: &[&str], more: &str) -> anyhow::Result<Vec<Value>> {
    let mut reports = Vec::new();
    for cell in cells {
        let report = printed_json(consilium, &format!("bench aggregation {cell}{more}"))?;
        if report.get("sum_correct") != Some(&Value::Bool(true)) {
            bail!("the sum of {cell} is wrong");
        }
        reports.push(report);
    }
    Ok(reports)
}

/// A Markdown table that grows by rows.
struct Table(String);

impl Table {
    fn new(corner: &str, columns: &[String]) -> Self {
        let rule = "---:|".repeat(columns.len());
        Self(format!(
            "| {corner} | {} |\n|---|{rule}\n",
            columns.join(" | ")
        ))
    }

    fn row(
        &mut self,
        name: &str,
        reports: &[Value],
        path: &str,
        write: fn(f64) -> String,
    ) -> anyhow::Result<()> {
        let values: Vec<String> = reports
            .iter()
            .map(|report| number(report, path).map(write))
            .collect::<anyhow::Result<_>>()?;
        self.0
            .push_str(&format!("| {name} | {} |\n", values.join(" | ")));
        Ok(())
    }

    /// Processor time in all and of each party.
    fn times(&mut self, reports: &[Value]) -> anyhow::Result<()> {
        self.row(
            "seconds of processor time in all",
            reports,
            "/cpu_seconds/total",
            seconds,
        )?;
        self.row(
            "of the coordinator",
            reports,
            "/cpu_seconds/coordinator",
            seconds,
        )?;
        self.row("of one silo", reports, "/cpu_seconds/silo_mean", seconds)
    }

    /// What a silo sends and receives.
    fn bytes(&mut self, reports: &[Value]) -> anyhow::Result<()> {
        self.row(
            "KiB that a silo sends",
            reports,
            "/bytes_per_silo/up",
            kibibytes,
        )?;
        self.row(
            "KiB that a silo receives",
            reports,
            "/bytes_per_silo/down",
            kibibytes,
        )
    }
}

fn seconds(value: f64) -> String {
    format!("{value:.3}")
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

fn kibibytes(value: f64) -> String {
    format!("{:.1}", value / 1024.0)
}

fn mebibytes(value: f64) -> String {
    format!("{:.1}", value / f64::from(1 << 20))
}
