// SPDX-License-Identifier: Apache-2.0
//! One table of the study file, read key by key, so that every fault can name its field.

use toml::{Table, Value};

use super::StudyFault;

/// A TOML table together with the path that leads to it.
pub(crate) struct Section {
    path: String,
    table: Table,
}

impl Section {
    /// Takes `table` as the section at `path`, after checking that it has no key besides `known`.
    pub(crate) fn open(path: &str, table: Table, known: &[&str]) -> Result<Self, StudyFault> {
        let section = Self {
            path: path.to_owned(),
            table,
        };
        match section
            .table
            .keys()
            .find(|key| !known.contains(&key.as_str()))
        {
            None => Ok(section),
            Some(key) => Err(StudyFault::UnknownKey {
                field: section.field(key),
                nearest: nearest(key, known.iter().copied()),
            }),
        }
    }

    /// The full name of a key of this section, such as `data.columns.age.range`.
    pub(crate) fn field(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// A fault about one key of this section.
    pub(crate) fn invalid(
        &self,
        key: &str,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> StudyFault {
        StudyFault::Invalid {
            field: self.field(key),
            problem: problem.into(),
            fix: fix.into(),
        }
    }

    /// Whether `key` is there.
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The text of `key`, left in place.
    pub(crate) fn peek(&self, key: &str) -> Option<&str> {
        self.table.get(key).and_then(Value::as_str)
    }

    /// Refuses keys that are known, but not in this kind of study.
    pub(crate) fn refuse_all(&self, keys: &[&str], problem: &str) -> Result<(), StudyFault> {
        match keys.iter().find(|key| self.contains(key)) {
            Some(key) => Err(self.invalid(key, problem, "remove it")),
            None => Ok(()),
        }
    }

    /// The value of `key`, which must be there.
    pub(crate) fn required<T: FromToml>(&mut self, key: &str) -> Result<T, StudyFault> {
        self.optional(key)?.ok_or_else(|| StudyFault::Missing {
            field: self.field(key),
            expected: T::EXPECTED,
        })
    }

    /// The value of `key`, if it is there.
    pub(crate) fn optional<T: FromToml>(&mut self, key: &str) -> Result<Option<T>, StudyFault> {
        let Some(value) = self.table.remove(key) else {
            return Ok(None);
        };
        let found = value.type_str();
        T::from_toml(value)
            .map(Some)
            .ok_or_else(|| StudyFault::WrongType {
                field: self.field(key),
                expected: T::EXPECTED,
                found,
            })
    }

    /// The sub-section `key`, which must be there.
    pub(crate) fn section(&mut self, key: &str, known: &[&str]) -> Result<Self, StudyFault> {
        let table: Table = self.required(key)?;
        Self::open(&self.field(key), table, known)
    }

    /// The sub-section `key`, if it is there.
    pub(crate) fn optional_section(
        &mut self,
        key: &str,
        known: &[&str],
    ) -> Result<Option<Self>, StudyFault> {
        match self.optional::<Table>(key)? {
            None => Ok(None),
            Some(table) => Self::open(&self.field(key), table, known).map(Some),
        }
    }

    /// The list of sub-sections `[[key]]`; empty when absent.
    pub(crate) fn list(&mut self, key: &str, known: &[&str]) -> Result<Vec<Self>, StudyFault> {
        let tables: Vec<Table> = self.optional(key)?.unwrap_or_default();
        tables
            .into_iter()
            .enumerate()
            .map(|(index, table)| {
                Self::open(&format!("{}[{index}]", self.field(key)), table, known)
            })
            .collect()
    }

    /// One word out of a closed list.
    pub(crate) fn word<T: Copy>(
        &mut self,
        key: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, StudyFault> {
        let Some(word) = self.optional::<String>(key)? else {
            return Ok(None);
        };
        match words.iter().find(|(name, _)| *name == word) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let names: Vec<String> =
                    words.iter().map(|(name, _)| format!("`{name}`")).collect();
                Err(self.invalid(
                    key,
                    format!("`{word}` is not available"),
                    format!("write {}", names.join(" or ")),
                ))
            }
        }
    }
}

/// A Rust value that one TOML value can become.
pub(crate) trait FromToml: Sized {
    /// What a study file must hold, in words.
    const EXPECTED: &'static str;
    fn from_toml(value: Value) -> Option<Self>;
}

impl FromToml for String {
    const EXPECTED: &'static str = "a text in quotes";
    fn from_toml(value: Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

impl FromToml for f64 {
    const EXPECTED: &'static str = "a finite number without quotes";
    fn from_toml(value: Value) -> Option<Self> {
        match value {
            Value::Float(number) if number.is_finite() => Some(number),
            Value::Integer(number) => i32::try_from(number).ok().map(Self::from),
            _ => None,
        }
    }
}

impl FromToml for u32 {
    const EXPECTED: &'static str = "a whole number, not negative";
    fn from_toml(value: Value) -> Option<Self> {
        value
            .as_integer()
            .and_then(|number| Self::try_from(number).ok())
    }
}

impl FromToml for u64 {
    const EXPECTED: &'static str = "a whole number, not negative";
    fn from_toml(value: Value) -> Option<Self> {
        value
            .as_integer()
            .and_then(|number| Self::try_from(number).ok())
    }
}

impl FromToml for Table {
    const EXPECTED: &'static str = "a table";
    fn from_toml(value: Value) -> Option<Self> {
        match value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
}

impl<T: FromToml> FromToml for Vec<T> {
    const EXPECTED: &'static str = "a list in square brackets";
    fn from_toml(value: Value) -> Option<Self> {
        match value {
            Value::Array(values) => values.into_iter().map(T::from_toml).collect(),
            _ => None,
        }
    }
}

/// The known name that `word` was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, name)| *distance <= name.chars().count().max(3) / 2 + 1)
        .min()
        .map(|(_, name)| name.to_owned())
}
