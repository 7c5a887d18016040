// SPDX-License-Identifier: Apache-2.0
//! A study's identifier, checked where it arrives: inside, a text that names a study is one.

use std::fmt;

use consilium_crypto::label::Label;
use consilium_crypto::transcript::hash;

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

    /// The one identifier of a signed study: whoever hands the same file in again asks nothing new.
    #[must_use]
    pub fn of(study: &[u8], signature: &[u8]) -> Self {
        Self(hash(Label::StudyId, &[study, signature]).to_string())
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
    fn a_signed_study_has_one_identifier() {
        let id = StudyId::of(b"[study]", b"signature");
        assert_eq!(StudyId::parse(id.as_str()).unwrap(), id);
        assert_eq!(StudyId::of(b"[study]", b"signature"), id);
        assert_ne!(StudyId::of(b"[study]\n", b"signature"), id);
        assert_ne!(StudyId::of(b"[study]", b"other"), id);
        assert_ne!(StudyId::of(b"[study", b"]signature"), id);
    }

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
