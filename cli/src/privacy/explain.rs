// SPDX-License-Identifier: Apache-2.0
//! `privacy explain`: what an epsilon means for one patient.

use crate::output::OutputArguments;
use clap::Args;
use consilium_privacy::accountant::meaning::Meaning;
use consilium_privacy::loss::{Delta, Epsilon};
use serde::Serialize;

#[derive(Args)]
pub(crate) struct ExplainArguments {
    /// The epsilon of everything that was released about the patient
    #[arg(long, value_name = "E")]
    epsilon: Epsilon,
    /// The probability with which it may not hold
    #[arg(long, value_name = "D")]
    delta: Delta,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, Serialize)]
struct Explained {
    epsilon: Epsilon,
    delta: Delta,
    #[serde(flatten)]
    meaning: Meaning,
}

pub(super) fn run(arguments: &ExplainArguments) -> anyhow::Result<()> {
    let ExplainArguments {
        epsilon,
        delta,
        output,
    } = *arguments;
    let explained = Explained {
        epsilon,
        delta,
        meaning: Meaning::of(epsilon, delta),
    };
    output.print(&explained, |explained| {
        explained.meaning.words(explained.epsilon, explained.delta)
    })
}
