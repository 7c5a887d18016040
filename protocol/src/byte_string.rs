// SPDX-License-Identifier: Apache-2.0
//! Byte strings read and written in one piece: the same bytes as element by element, many times faster; where people
//! read, hexadecimal digits.

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserializer, Serializer};
use std::fmt::{self, Write};

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if !serializer.is_human_readable() {
        return serializer.serialize_bytes(bytes);
    }
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A string takes whatever is written to it.
        write!(text, "{byte:02x}").ok();
    }
    serializer.serialize_str(&text)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_str(Text)
    } else {
        deserializer.deserialize_byte_buf(Bytes)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Vec<u8>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("lower-case hexadecimal digits, two for each byte")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return Err(E::invalid_length(text.len(), &self));
        };
        let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        bytes.ok_or_else(|| E::custom("a character that is no lower-case hexadecimal digit"))
    }
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
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

    #[test]
    fn where_people_read_it_is_two_digits_for_each_byte_and_nothing_else() {
        let bytes = InOnePiece((0..=255).collect());
        let text = serde_json::to_string(&bytes).unwrap();
        assert!(text.starts_with("\"000102") && text.ends_with("fdfeff\""));
        assert_eq!(serde_json::from_str::<InOnePiece>(&text).unwrap(), bytes);
        for other in ["\"0\"", "\"0G\"", "\"0A\"", "\"é\"", "[0]", "\" 0\""] {
            assert!(
                serde_json::from_str::<InOnePiece>(other).is_err(),
                "{other}"
            );
        }
    }
}
