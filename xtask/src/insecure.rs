// SPDX-License-Identifier: Apache-2.0
//! Whether the feature that takes defences away is where it belongs: in tests, and in no program.

use anyhow::{Context, Result, ensure};
use cargo_metadata::{DependencyKind, Metadata};
use std::process::Command;

const FEATURE: &str = "insecure_for_test";

/// Only a dev-dependency may ask for it, no feature may imply it, and no program is built with it.
pub(crate) fn check(metadata: &Metadata) -> Result<()> {
    let mut programs = 0;
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        for (feature, implied) in &package.features {
            ensure!(
                !implied.iter().any(|implied| implied.contains(FEATURE)),
                "feature `{feature}` of `{name}` implies `{FEATURE}`"
            );
        }
        for dependency in &package.dependencies {
            let asks = dependency.features.iter().any(|asked| asked == FEATURE);
            ensure!(
                !asks || dependency.kind == DependencyKind::Development,
                "`{name}` asks for `{FEATURE}` of `{}` outside its tests",
                dependency.name
            );
        }
        if package.targets.iter().any(|target| target.is_bin()) {
            ensure!(
                !tree_of(name)?.contains(FEATURE),
                "`{name}` is built with `{FEATURE}`"
            );
            programs += 1;
        }
    }
    println!("{programs} crates with programs, none with `{FEATURE}`");
    Ok(())
}

/// Everything that a program is built of, with features.
fn tree_of(package: &str) -> Result<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal,build,features"])
        .args(["--package", package])
        .output()
        .context("`cargo tree` cannot be run")?;
    ensure!(
        output.status.success(),
        "`cargo tree` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
