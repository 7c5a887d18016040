// SPDX-License-Identifier: Apache-2.0
//! How results and faults are printed.

use clap::Args;
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;

/// The option that every verb has.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArguments {
    /// Print JSON for machines
    #[arg(long)]
    pub(crate) json: bool,
}

impl OutputArguments {
    /// Prints a value: as JSON, or as the lines that `words` makes of it.
    pub(crate) fn print<T: Serialize>(
        self,
        value: &T,
        words: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            line(&serde_json::to_string_pretty(value)?);
        } else {
            line(&words(value));
        }
        Ok(())
    }
}

/// Prints to standard output; a closed pipe is no fault.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Something could not be done: the chain of causes, and exit code 2.
pub(crate) fn report(fault: &anyhow::Error) -> ExitCode {
    let mut text = format!("error: {fault}");
    for cause in fault.chain().skip(1) {
        let cause = cause.to_string();
        // A transparent wrapper repeats its source.
        if !text.ends_with(&cause) {
            text.push_str(&format!("\n  because {cause}"));
        }
    }
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(2)
}
