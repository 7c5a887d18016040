// SPDX-License-Identifier: Apache-2.0
//! Fixed-length byte strings as text and on the wire: lower-case hex where people read, raw bytes
//! without a length prefix elsewhere.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserializer, Serializer};

/// Why a text is not the lower-case hex of a value of known length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {} lower-case hexadecimal digits, give exactly those", bytes * 2)]
pub struct HexFault {
    /// How many bytes the digits should stand for.
    pub bytes: usize,
}

pub(crate) fn parse<const N: usize>(text: &str) -> Result<[u8; N], HexFault> {
    let fault = HexFault { bytes: N };
    let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| fault)?;
    bytes.try_into().map_err(|_| fault)
}

pub(crate) fn format(bytes: &[u8], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    formatter.write_str(&HEXLOWER.encode(bytes))
}

pub(crate) fn serialize<S: Serializer, const N: usize>(
    bytes: &[u8; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return serializer.serialize_str(&HEXLOWER.encode(bytes));
    }
    let mut tuple = serializer.serialize_tuple(N)?;
    for byte in bytes {
        tuple.serialize_element(byte)?;
    }
    tuple.end()
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_str(Text)
    } else {
        deserializer.deserialize_tuple(N, Raw)
    }
}

struct Text<const N: usize>;

impl<const N: usize> Visitor<'_> for Text<N> {
    type Value = [u8; N];

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} lower-case hexadecimal digits", N * 2)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<[u8; N], E> {
        parse(text).map_err(E::custom)
    }
}

struct Raw<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for Raw<N> {
    type Value = [u8; N];

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{N} bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<[u8; N], A::Error> {
        let mut value = [0; N];
        for (position, byte) in value.iter_mut().enumerate() {
            *byte = bytes
                .next_element()?
                .ok_or_else(|| A::Error::invalid_length(position, &self))?;
        }
        Ok(value)
    }
}
