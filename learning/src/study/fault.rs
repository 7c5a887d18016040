// SPDX-License-Identifier: Apache-2.0
//! Why a study file is not accepted: each fault names the field and what to write instead.

use thiserror::Error;

/// Why a study file is not accepted.
#[derive(Debug, Error)]
pub enum StudyFault {
    /// The file is not UTF-8 text.
    #[error("the study file is not UTF-8 text; save it as UTF-8")]
    NotText,
    /// The file is not TOML.
    #[error("the study file is not valid TOML; correct the line named below")]
    Malformed(#[source] Box<toml::de::Error>),
    /// A key that no study has.
    #[error("unknown key `{field}`{}", suggestion(.nearest.as_deref()))]
    UnknownKey {
        /// The full name of the key.
        field: String,
        /// The known key that was probably meant.
        nearest: Option<String>,
    },
    /// A key that every study of this kind must have.
    #[error("`{field}` is missing; add it as {expected}")]
    Missing {
        /// The full name of the key.
        field: String,
        /// What its value looks like.
        expected: &'static str,
    },
    /// A value of the wrong TOML type.
    #[error("`{field}` must be {expected}, found {found}")]
    WrongType {
        /// The full name of the key.
        field: String,
        /// What its value looks like.
        expected: &'static str,
        /// The TOML type that was found.
        found: &'static str,
    },
    /// A reference to a column that the study does not declare.
    #[error("`{field}` names the column `{column}`, which has no section `[data.columns.{column}]`{}", suggestion(.nearest.as_deref()))]
    UnknownColumn {
        /// The full name of the key.
        field: String,
        /// The column that is not declared.
        column: String,
        /// The declared column that was probably meant.
        nearest: Option<String>,
    },
    /// A value that cannot be.
    #[error("`{field}`: {problem}; {fix}")]
    Invalid {
        /// The full name of the key.
        field: String,
        /// What is wrong.
        problem: String,
        /// What to write instead.
        fix: String,
    },
    /// No vector can be planned for the privacy amounts and silos of the study.
    #[error("`{field}`: the vector of a round cannot be planned")]
    Noise {
        /// The full name of the key.
        field: String,
        /// What the privacy calculation said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The end of a sentence that proposes the nearest known word.
fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |word| format!("; did you mean `{word}`?"))
}
