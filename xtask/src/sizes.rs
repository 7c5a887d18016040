// SPDX-License-Identifier: Apache-2.0
//! Lines per crate, generated code aside.

use anyhow::Context;
use cargo_metadata::MetadataCommand;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn print() -> anyhow::Result<()> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .context("`cargo metadata` failed")?;
    println!(
        "{:<14}{:>7}{:>8}  {:<44}{:>6}",
        "crate", "source", "tests", "largest file", "lines"
    );
    let (mut source_total, mut test_total) = (0, 0);
    for package in metadata.workspace_packages() {
        let root = package
            .manifest_path
            .parent()
            .context("a manifest has a folder")?;
        let root = root.as_std_path();
        let (mut source, mut tests) = (0, 0);
        let mut largest = (0, PathBuf::new());
        for folder in ["src", "tests", "benches", "examples"] {
            for file in rust_files(&root.join(folder))? {
                let count = fs::read_to_string(&file)?.lines().count();
                let is_test = folder != "src" || file.to_string_lossy().contains("test");
                *(if is_test { &mut tests } else { &mut source }) += count;
                if count > largest.0 {
                    largest = (count, file.strip_prefix(root)?.to_owned());
                }
            }
        }
        let name = package
            .name
            .strip_prefix("consilium-")
            .unwrap_or(&package.name);
        println!(
            "{name:<14}{source:>7}{tests:>8}  {:<44}{:>6}",
            largest.1.display(),
            largest.0
        );
        source_total += source;
        test_total += tests;
    }
    println!("{:<14}{source_total:>7}{test_total:>8}", "all");
    Ok(())
}

fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("generated") {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}
