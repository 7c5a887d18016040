// SPDX-License-Identifier: Apache-2.0
//! Figures on data that are not shipped: `cargo xtask figures NAME --data DIR`; and what noise costs.

use std::path::Path;

use anyhow::Result;

pub(crate) mod heart;
mod local;
mod noise;
mod private;
mod wdbc;

/// Heart disease: gradient methods against golden weights. `data` holds `heart/` and `golden/`.
pub(crate) fn heart(data: &Path) -> Result<()> {
    let split = heart::import(data, Path::new("target/figures/heart"))?;
    println!("per hospital: {}", split.folder.display());
    heart::print_header();
    heart::reproduce_plain(&split)?;
    heart::reproduce_in_integers(&split, "fixed point", 1e-4, &mut |_, vectors| {
        Ok(heart::add_up(vectors))
    })?;
    let mut federation = consilium_tests::Federation::new(&heart::HOSPITALS)?;
    heart::reproduce_in_integers(&split, "secure aggregation", 1e-4, &mut |plan, vectors| {
        federation.sum(plan, &vectors)
    })?;
    private::heart(&split)?;
    local::print(&split)
}

/// Breast cancer: accuracy against epsilon. `data` holds `wdbc/`.
pub(crate) fn wdbc(data: &Path) -> Result<()> {
    wdbc::print(data)
}

/// The time and the memory that noise takes.
pub(crate) fn noise() -> Result<()> {
    noise::print()
}
