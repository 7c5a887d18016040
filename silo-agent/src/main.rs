// SPDX-License-Identifier: Apache-2.0
//! The deployed binary of a hospital.

use std::process::ExitCode;

fn main() -> ExitCode {
    consilium_silo_agent::trainer_child_main()
}
