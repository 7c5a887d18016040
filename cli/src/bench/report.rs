// SPDX-License-Identifier: Apache-2.0
//! What a measured round is reported as.

use super::accounts::{Step, Steps};
use super::founding::Founding;
use super::mask_speed::MaskSpeed;
use super::round::Cost;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Report {
    silos: u32,
    parameters: u64,
    bits: u8,
    dropped: u32,
    cpu_seconds: CpuSeconds,
    wall_seconds: f64,
    bytes_per_silo: BytesPerSilo,
    /// Of one silo's masked vector with its framing.
    upload: Upload,
    /// Of the process that ran the round.
    peak_memory_bytes: Option<u64>,
    /// Of the coordinator in a process of its own.
    coordinator_peak_memory_bytes: Option<u64>,
    /// Of one silo in a process of its own.
    silo_peak_memory_bytes: Option<u64>,
    sum_correct: bool,
    mask_loop: MaskSpeed,
}

#[derive(Serialize)]
struct CpuSeconds {
    total: f64,
    coordinator: f64,
    silo_mean: f64,
    by_step: Steps,
    /// Of the total, what ML-KEM takes: counted operations, each timed in this run.
    post_quantum: f64,
    /// Making inputs and passing messages; not in the total. Unknown when parties have processes of their own.
    harness: Option<f64>,
}

/// The mean over the silos that stayed.
#[derive(Serialize)]
struct BytesPerSilo {
    up: u64,
    down: u64,
}

#[derive(Serialize)]
struct Upload {
    bytes: u64,
    /// d * bits/8 * 1.01 + 64 KiB.
    most: u64,
}

/// What cannot be timed where it happens, and is timed on its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    /// Packing one silo's vector.
    pub(super) packing: f64,
    /// ML-KEM, all silos.
    pub(super) post_quantum: f64,
}

impl Report {
    pub(super) fn new(
        founding: &Founding,
        cost: &Cost,
        parts: Parts,
        wall_seconds: f64,
        peak_memory_bytes: Option<u64>,
        mask_loop: MaskSpeed,
    ) -> Self {
        let size = founding.size;
        let mut by_step = cost.coordinator;
        let mut of_silos = Steps::default();
        for silo in &cost.silos {
            let mut steps = silo.steps;
            steps.shift(Step::Expansion, Step::Packing, parts.packing);
            of_silos.add(&steps);
        }
        by_step.add(&of_silos);
        let total = by_step.total();
        let one_process = cost.coordinator_peak.is_none() && cost.silo_peak.is_none();
        let stayed = cost.silos.iter().filter(|silo| silo.finished);
        let mean = |bytes: u64| bytes / u64::try_from(cost.survivors.max(1)).unwrap_or(1);
        let vectors = stayed.clone().map(|silo| silo.vector);
        Self {
            silos: size.silos,
            parameters: size.parameters,
            bits: size.bits,
            dropped: size.dropped,
            cpu_seconds: CpuSeconds {
                total,
                coordinator: cost.coordinator.total(),
                silo_mean: of_silos.total() / f64::from(size.silos),
                by_step,
                post_quantum: parts.post_quantum,
                harness: one_process.then_some((cost.process_seconds - total).max(0.0)),
            },
            wall_seconds,
            bytes_per_silo: BytesPerSilo {
                up: mean(stayed.clone().map(|silo| silo.up).sum()),
                down: mean(stayed.map(|silo| silo.down).sum()),
            },
            upload: Upload {
                bytes: vectors.max().unwrap_or_default(),
                most: most_upload(size.parameters, size.bits),
            },
            peak_memory_bytes,
            coordinator_peak_memory_bytes: cost.coordinator_peak,
            silo_peak_memory_bytes: cost.silo_peak,
            sum_correct: cost.sum_correct,
            mask_loop,
        }
    }

    /// Whether the sum is right and no upload larger than promised.
    pub(super) fn as_expected(&self) -> bool {
        self.sum_correct && self.upload.bytes <= self.upload.most
    }

    pub(super) fn words(&self) -> String {
        let cpu = &self.cpu_seconds;
        let mut lines = vec![
            format!(
                "{} silos, {} parameters of {} bits, {} dropped",
                self.silos, self.parameters, self.bits, self.dropped
            ),
            String::new(),
            format!("{:<24}{:>12}", "processor time", "seconds"),
        ];
        let row = |name: &str, seconds: f64| format!("  {name:<22}{seconds:>12.4}");
        for (step, seconds) in cpu.by_step.named() {
            lines.push(row(step.name(), seconds));
        }
        lines.push(row("in all", cpu.total));
        lines.push(row("  of the coordinator", cpu.coordinator));
        lines.push(row("  of one silo", cpu.silo_mean));
        lines.push(row("  of ML-KEM, all silos", cpu.post_quantum));
        if let Some(harness) = cpu.harness {
            lines.push(row("beside the round", harness));
        }
        lines.push(format!("{:<24}{:>12.4}", "by the clock", self.wall_seconds));
        lines.push(String::new());
        lines.push(format!(
            "a silo sends {} and receives {}",
            bytes(self.bytes_per_silo.up),
            bytes(self.bytes_per_silo.down)
        ));
        lines.push(format!(
            "its masked vector takes {} of at most {}",
            bytes(self.upload.bytes),
            bytes(self.upload.most)
        ));
        for (whose, peak) in [
            ("this process", self.peak_memory_bytes),
            ("the coordinator", self.coordinator_peak_memory_bytes),
            ("one silo", self.silo_peak_memory_bytes),
        ] {
            if let Some(peak) = peak {
                lines.push(format!("most memory of {whose}: {}", bytes(peak)));
            }
        }
        let sum = if self.sum_correct { "right" } else { "WRONG" };
        lines.push(format!("the sum is {sum}"));
        lines.push(self.mask_loop.words());
        lines.join("\n")
    }
}

fn most_upload(parameters: u64, bits: u8) -> u64 {
    let vector = u128::from(parameters) * u128::from(bits) / 8;
    u64::try_from(vector * 101 / 100 + (64 << 10)).unwrap_or(u64::MAX)
}

fn bytes(count: u64) -> String {
    const MIB: u64 = 1 << 20;
    match count {
        0..MIB => format!("{}.{} KiB", count >> 10, (count % 1024) * 10 / 1024),
        _ => format!("{}.{} MiB", count / MIB, (count % MIB) * 10 / MIB),
    }
}
