// SPDX-License-Identifier: Apache-2.0
//! The code that two people read to each other over the telephone.
//!
//! Sixteen characters, 80 bits. A shorter code could be ground: a hostile coordinator would make keys
//! until one has the code that the officers expect to hear. The alphabet is Crockford's base 32, which
//! has no `I`, `L`, `O` or `U` to be misheard.

use std::fmt;

use consilium_crypto::digest::Digest;

/// The first 80 bits of a digest in four groups of four: `7QKM-2XPA-0D4W-9HBT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShortCode([u8; 10]);

impl ShortCode {
    /// The code of a digest.
    pub fn of(digest: &Digest) -> Self {
        let mut code = [0; 10];
        for (byte, source) in code.iter_mut().zip(digest.as_bytes()) {
            *byte = *source;
        }
        Self(code)
    }

    /// Whether this is what a person typed, forgiving case, spaces, dashes and the letters that look
    /// like digits.
    pub fn is_spelled(&self, typed: &str) -> bool {
        let heard: String = typed
            .chars()
            .filter(|character| !matches!(character, '-' | ' '))
            .map(|character| match character.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            })
            .collect();
        heard == self.characters()
    }

    fn characters(&self) -> String {
        let mut text = String::with_capacity(16);
        let mut held: u16 = 0;
        let mut bits = 0;
        for byte in self.0 {
            held = (held << 8) | u16::from(byte);
            bits += 8;
            while bits >= 5 {
                bits -= 5;
                let index = usize::from((held >> bits) & 31);
                text.extend(ALPHABET.chars().nth(index));
            }
            held &= (1 << bits) - 1;
        }
        text
    }
}

impl fmt::Display for ShortCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, character) in self.characters().chars().enumerate() {
            if index > 0 && index % 4 == 0 {
                formatter.write_str("-")?;
            }
            write!(formatter, "{character}")?;
        }
        Ok(())
    }
}

const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#[cfg(test)]
mod tests {
    use super::*;

    fn code(bytes: [u8; 10]) -> ShortCode {
        ShortCode(bytes)
    }

    #[test]
    fn eighty_bits_are_sixteen_characters_in_four_groups() {
        assert_eq!(code([0; 10]).to_string(), "0000-0000-0000-0000");
        assert_eq!(code([255; 10]).to_string(), "ZZZZ-ZZZZ-ZZZZ-ZZZZ");
        let counted = code([0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf]);
        assert_eq!(counted.to_string(), "0123-4567-89AB-CDEF");
    }

    #[test]
    fn a_code_is_recognised_however_it_was_written_down() {
        let counted = code([0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf]);
        assert!(counted.is_spelled("o123 4567 89ab cdef"));
        assert!(counted.is_spelled("0I23456789ABCDEF"));
        assert!(!counted.is_spelled("0123-4567-89AB-CDE0"));
        assert!(!counted.is_spelled(""));
    }
}
