// SPDX-License-Identifier: Apache-2.0
//! Generates the committed code of `wire/src/generated` from `wire/proto`,
//! with a protobuf compiler written in Rust: no system `protoc` is needed.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

const PROTOS: [&str; 3] = [
    "consilium/v1/enrolment.proto",
    "consilium/v1/federation.proto",
    "consilium/v1/studies.proto",
];

/// Writes the generated code, or with `check` only compares it with what is committed.
pub(crate) fn generate(check: bool) -> Result<()> {
    let wire = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the folder of xtask has a parent")?
        .join("wire");
    let committed = wire.join("src/generated");
    let fresh = fresh_folder()?;
    let outcome = compile(&wire.join("proto"), &fresh).and_then(|()| {
        if check {
            compare(&fresh, &committed)
        } else {
            replace(&fresh, &committed)
        }
    });
    fs::remove_dir_all(&fresh).ok();
    outcome
}

fn compile(proto: &Path, into: &Path) -> Result<()> {
    let descriptors = protox::compile(PROTOS, [proto]).context("the proto files do not compile")?;
    tonic_prost_build::configure()
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .out_dir(into)
        .compile_fds(descriptors)
        .context("no code could be generated from the proto files")?;
    for file in files(into)? {
        let text = fs::read_to_string(&file)?;
        fs::write(
            &file,
            format!("// SPDX-License-Identifier: Apache-2.0\n{text}"),
        )?;
    }
    Ok(())
}

fn compare(fresh: &Path, committed: &Path) -> Result<()> {
    let (fresh_files, committed_files) = (files(fresh)?, files(committed)?);
    ensure!(
        names(&fresh_files) == names(&committed_files),
        "`{}` holds other files than the proto files give; run `cargo xtask generate`",
        committed.display()
    );
    for (new, old) in fresh_files.iter().zip(&committed_files) {
        ensure!(
            fs::read(new)? == fs::read(old)?,
            "`{}` differs from what the proto files give; run `cargo xtask generate`",
            old.display()
        );
    }
    Ok(())
}

fn replace(fresh: &Path, committed: &Path) -> Result<()> {
    fs::create_dir_all(committed)?;
    for old in files(committed)? {
        fs::remove_file(old)?;
    }
    for new in files(fresh)? {
        let name = new.file_name().context("a generated file has a name")?;
        fs::copy(&new, committed.join(name))?;
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("`{}` cannot be read", folder.display()))?
    {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

fn names(files: &[PathBuf]) -> Vec<Option<&std::ffi::OsStr>> {
    files.iter().map(|file| file.file_name()).collect()
}

fn fresh_folder() -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("consilium-generate-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
