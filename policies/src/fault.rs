// SPDX-License-Identifier: Apache-2.0

//! What is wrong with a policy file: all of it at once, each with its line, its key and the fix.

use std::fmt;

/// A policy file that cannot be used. Nothing in it is in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidPolicy {
    faults: Vec<PolicyFault>,
}

impl InvalidPolicy {
    pub(crate) fn new(mut faults: Vec<PolicyFault>) -> Self {
        faults.sort_by_key(|fault| fault.line);
        Self { faults }
    }

    /// Every fault, in the order of the file.
    pub fn faults(&self) -> &[PolicyFault] {
        &self.faults
    }
}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{fault}")?;
        }
        Ok(())
    }
}

/// One fault of a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFault {
    /// The line, counted from 1.
    pub line: usize,
    /// The key with its sections, for example `grant.epsilon_per_job`; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: ", self.line)?;
        if !self.key.is_empty() {
            write!(formatter, "`{}` ", self.key)?;
        }
        write!(formatter, "{}", self.problem)
    }
}

/// The kinds of fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The file is not text.
    NotUtf8,
    /// The file is not TOML.
    Syntax(String),
    /// A key that no policy has.
    UnknownKey {
        /// The known key with the most similar spelling, if any is similar.
        nearest: Option<&'static str>,
        /// The keys that may stand there.
        known: &'static [&'static str],
    },
    /// A key that every policy must have.
    Missing {
        /// What to write.
        wanted: &'static str,
    },
    /// A value that may not stand there.
    Invalid {
        /// The value in the file, or its kind.
        found: String,
        /// What to write instead.
        wanted: String,
    },
    /// A value that stands in conflict with another part of the file.
    Conflict(String),
    /// An `[[example]]` of the file is decided otherwise than it says.
    ExampleFailed(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => formatter.write_str("the file is not UTF-8 text; save it as UTF-8"),
            Self::Syntax(message) => write!(formatter, "not valid TOML: {message}"),
            Self::UnknownKey {
                nearest: Some(nearest),
                ..
            } => {
                write!(
                    formatter,
                    "is not a key of a policy; did you mean `{nearest}`?"
                )
            }
            Self::UnknownKey {
                nearest: None,
                known,
            } => {
                write!(
                    formatter,
                    "is not a key of a policy; here may stand `{}`",
                    known.join("`, `")
                )
            }
            Self::Missing { wanted } => write!(formatter, "is missing; write {wanted}"),
            Self::Invalid { found, wanted } => write!(formatter, "is {found}; write {wanted}"),
            Self::Conflict(message) => formatter.write_str(message),
            Self::ExampleFailed(message) => formatter.write_str(message),
        }
    }
}
