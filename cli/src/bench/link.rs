// SPDX-License-Identifier: Apache-2.0
//! Values between a parent and a child process: each is a length of eight bytes and the encoding.

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{Read, Write};

/// Writes one value.
pub(super) fn write<T: Serialize>(pipe: &mut impl Write, value: &T) -> anyhow::Result<()> {
    let bytes = postcard::to_allocvec(value)?;
    pipe.write_all(&u64::try_from(bytes.len())?.to_le_bytes())
        .and_then(|()| pipe.write_all(&bytes))
        .context("the other process has ended")
}

/// Reads one value; nothing when the other end was closed before it.
pub(super) fn read<T: DeserializeOwned>(pipe: &mut impl Read) -> anyhow::Result<Option<T>> {
    let mut length = [0; 8];
    match pipe.read_exact(&mut length) {
        Err(fault) if fault.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other.context("the other process cannot be read")?,
    }
    let mut bytes = vec![0; usize::try_from(u64::from_le_bytes(length))?];
    pipe.read_exact(&mut bytes)
        .context("the other process ended within a value")?;
    Ok(Some(postcard::from_bytes(&bytes)?))
}
