// SPDX-License-Identifier: Apache-2.0
//! A study's identifier, checked where it arrives: inside, a text that names a study is one.

use std::fmt;

/// 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StudyId(String);

/// A text that identifies no study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a study's identifier is 64 lower-case hexadecimal digits")]
pub struct StudyIdFault;

impl StudyId {
    /// Checks a text from a peer.
    ///
    /// # Errors
    /// [`StudyIdFault`] for anything but 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, StudyIdFault> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(StudyIdFault)
        }
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StudyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_64_lower_case_hexadecimal_digits_name_a_study() {
        let good = "0123456789abcdef".repeat(4);
        assert_eq!(StudyId::parse(&good).unwrap().as_str(), good);
        let long = "a".repeat(9000);
        for bad in ["", &good[1..], &good.to_uppercase(), &long, &"g".repeat(64)] {
            assert_eq!(StudyId::parse(bad), Err(StudyIdFault));
        }
    }
}
