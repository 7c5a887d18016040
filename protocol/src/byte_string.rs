// SPDX-License-Identifier: Apache-2.0
//! Byte strings read and written in one piece: the same bytes as element by element, many times faster.

use serde::de::{SeqAccess, Visitor};
use serde::{Deserializer, Serializer};
use std::fmt;

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    deserializer.deserialize_byte_buf(Bytes)
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a byte string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = elements.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct InOnePiece(#[serde(with = "super")] Vec<u8>);

    #[test]
    fn a_byte_string_is_written_as_a_list_of_its_bytes_is() {
        for length in [0, 1, 127, 128, 300, 20_000] {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            let written = postcard::to_allocvec(&bytes).unwrap();
            let piece = InOnePiece(bytes);
            assert_eq!(postcard::to_allocvec(&piece).unwrap(), written);
            assert_eq!(postcard::from_bytes::<InOnePiece>(&written).unwrap(), piece);
            // A length that promises more than there is.
            let cut = &written[..written.len() - usize::from(length > 0)];
            let read = postcard::from_bytes::<InOnePiece>(cut);
            assert_eq!(read.is_ok(), length == 0);
        }
    }
}
