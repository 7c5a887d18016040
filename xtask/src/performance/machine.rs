// SPDX-License-Identifier: Apache-2.0
//! What the figures were measured on.

use std::fs;
use std::process::Command;

/// Processor features that change what the fast paths are.
const FEATURES: [&str; 6] = ["aes", "pclmulqdq", "avx2", "avx512f", "vaes", "sha_ni"];

/// Under a table: the command, the processor with its features, how many of it, and the compiler.
pub(super) fn made_by(command: &str) -> String {
    let described = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = described.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = value("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let has = value("flags")
        .or_else(|| value("Features"))
        .unwrap_or_default();
    let features: Vec<&str> = FEATURES
        .into_iter()
        .filter(|feature| has.split_whitespace().any(|one| one == *feature))
        .collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kibibytes: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
        Some(format!(", {} GiB", kibibytes >> 20))
    });
    let compiler = Command::new("rustc").arg("--version").output();
    let compiler = compiler.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!(
        "`{command}` on {model} ({}), {cores} cores{}, {}:\n\n",
        features.join(", "),
        memory.unwrap_or_default(),
        compiler.unwrap_or_default()
    )
}
