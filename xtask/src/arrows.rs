// SPDX-License-Identifier: Apache-2.0
//! The arrows that the architecture allows between crates, held against `cargo metadata`.

use crate::insecure;
use anyhow::{Context, bail};
use cargo_metadata::{DependencyKind, MetadataCommand};

const PURE: [&str; 7] = [
    "audit", "certs", "crypto", "learning", "policies", "privacy", "protocol",
];

/// What a crate may depend on, dev-dependencies aside.
fn allowed(name: &str) -> Option<Vec<&'static str>> {
    let with_wire = || PURE.into_iter().chain(["wire"]).collect();
    Some(match name {
        "mask-loop" | "curve-lanes" => vec![],
        "crypto" => vec!["mask-loop", "curve-lanes"],
        "privacy" | "audit" | "certs" => vec!["crypto"],
        "protocol" => vec!["crypto", "privacy"],
        "learning" | "policies" => vec!["privacy"],
        "wire" => vec!["protocol", "audit", "policies", "learning", "crypto"],
        "coordinator" | "silo-agent" => with_wire(),
        "cli" | "tests" | "xtask" => {
            let mut all: Vec<&str> = with_wire();
            all.extend(["mask-loop", "coordinator", "silo-agent", "tests"]);
            all
        }
        _ => return None,
    })
}

pub(crate) fn check() -> anyhow::Result<()> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .context("`cargo metadata` failed")?;
    let mut forbidden = Vec::new();
    let mut arrows = 0;
    for package in metadata.workspace_packages() {
        let name = short(&package.name);
        let Some(allowed) = allowed(name) else {
            bail!(
                "`{name}` is not a crate of the architecture: add its arrows to xtask/src/arrows.rs"
            );
        };
        for dependency in &package.dependencies {
            let Some(target) = dependency.name.strip_prefix("consilium-") else {
                continue;
            };
            let counts = dependency.kind != DependencyKind::Development;
            arrows += usize::from(counts);
            if counts && !allowed.contains(&target) {
                forbidden.push(format!("{name} -> {target}"));
            }
        }
    }
    if forbidden.is_empty() {
        println!("{arrows} arrows, all allowed");
        return insecure::check(&metadata);
    }
    bail!(
        "arrows that the architecture does not allow: {}",
        forbidden.join(", ")
    )
}

fn short(package: &str) -> &str {
    package.strip_prefix("consilium-").unwrap_or(package)
}
