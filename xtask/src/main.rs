// SPDX-License-Identifier: Apache-2.0
//! Checks and figures of the workspace: `cargo xtask help`.

mod arrows;
mod figures;
mod generate;
mod insecure;
mod performance;
mod sizes;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Checks and figures of the workspace")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fail when a crate depends on one that the architecture does not allow, or a program could lose its defences
    CheckArrows,
    /// Generate the gRPC code from the proto files
    Generate {
        /// Only compare with what is committed
        #[arg(long)]
        check: bool,
    },
    /// Compute figures on reference data that the repository does not ship
    Figures {
        #[command(subcommand)]
        figure: Figure,
    },
    /// Measure, and write the figures of `docs/performance.md`
    Performance {
        /// What to measure [default: all but `scale` and `flower`]
        sections: Vec<performance::Section>,
    },
    /// Print the lines of every crate and its largest file
    Sizes,
}

#[derive(Subcommand)]
enum Figure {
    /// Heart disease: FedSGD and FedAvg against golden weights, and accuracy with noise, shared and local, against a published table
    Heart {
        /// The folder that holds `heart/` and `golden/`
        #[arg(long)]
        data: PathBuf,
    },
    /// Breast cancer in Wisconsin: accuracy against epsilon
    Wdbc {
        /// The folder that holds `wdbc/`
        #[arg(long)]
        data: PathBuf,
    },
    /// Processor time and memory to noise ten million parameters, in a release build
    Noise,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::CheckArrows => arrows::check(),
        Task::Generate { check } => generate::generate(check),
        Task::Figures {
            figure: Figure::Heart { data },
        } => figures::heart(&data),
        Task::Performance { sections } => performance::measure(&sections),
        Task::Figures {
            figure: Figure::Wdbc { data },
        } => figures::wdbc(&data),
        Task::Figures {
            figure: Figure::Noise,
        } => figures::noise(),
        Task::Sizes => sizes::print(),
    }
}
