// SPDX-License-Identifier: Apache-2.0

//! Reading a TOML table against a closed list of keys. Every fault is noted and reading goes on, so that an
//! officer sees all of them at once.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::values::{kind, text};
use crate::{PolicyFault, Problem};

/// The faults met so far, and the text that lines are counted in.
pub(super) struct Faults<'t> {
    text: &'t str,
    noted: Vec<PolicyFault>,
}

impl<'t> Faults<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            noted: Vec::new(),
        }
    }

    pub(super) fn line_of(&self, offset: usize) -> usize {
        1 + self
            .text
            .bytes()
            .take(offset)
            .filter(|byte| *byte == b'\n')
            .count()
    }

    pub(super) fn note(&mut self, line: usize, key: impl Into<String>, problem: Problem) {
        self.noted.push(PolicyFault {
            line,
            key: key.into(),
            problem,
        });
    }

    pub(super) fn into_noted(self) -> Vec<PolicyFault> {
        self.noted
    }

    pub(super) fn is_empty(&self) -> bool {
        self.noted.is_empty()
    }
}

/// One table of the file with the path that leads to it.
pub(super) struct Section<'d> {
    table: &'d DeTable<'d>,
    path: String,
    line: usize,
}

impl<'d> Section<'d> {
    /// Takes the table and notes every key that is not in `known`.
    pub(super) fn new(
        table: &'d DeTable<'d>,
        path: impl Into<String>,
        line: usize,
        known: &'static [&'static str],
        faults: &mut Faults<'_>,
    ) -> Self {
        let section = Self {
            table,
            path: path.into(),
            line,
        };
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let line = faults.line_of(key.span().start);
                let nearest = nearest(name, known);
                faults.note(
                    line,
                    section.path_of(name),
                    Problem::UnknownKey { nearest, known },
                );
            }
        }
        section
    }

    pub(super) fn line(&self) -> usize {
        self.line
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The line of a key that is there, otherwise of the section.
    pub(super) fn line_of(&self, key: &str, faults: &Faults<'_>) -> usize {
        self.table
            .get_key_value(key)
            .map_or(self.line, |(key, _)| faults.line_of(key.span().start))
    }

    /// Notes a fault about a key of this section.
    pub(super) fn fault(&self, key: &str, problem: Problem, faults: &mut Faults<'_>) {
        let line = self.line_of(key, faults);
        faults.note(line, self.path_of(key), problem);
    }

    /// Reads a key that must be there.
    pub(super) fn required<T>(
        &self,
        key: &str,
        wanted: &'static str,
        faults: &mut Faults<'_>,
        read: impl FnOnce(&'d DeValue<'d>) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.fault(key, Problem::Missing { wanted }, faults);
        }
        self.optional(key, wanted, faults, read)
    }

    /// Reads a key that may be left out. `None` also when it is at fault.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        wanted: &str,
        faults: &mut Faults<'_>,
        read: impl FnOnce(&'d DeValue<'d>) -> Result<T, String>,
    ) -> Option<T> {
        let value: &'d Spanned<DeValue<'d>> = self.table.get(key)?;
        match read(value.get_ref()) {
            Ok(value) => Some(value),
            Err(found) => {
                self.fault(
                    key,
                    Problem::Invalid {
                        found,
                        wanted: wanted.to_owned(),
                    },
                    faults,
                );
                None
            }
        }
    }

    /// The sub-table under a key.
    pub(super) fn table(
        &self,
        key: &str,
        known: &'static [&'static str],
        faults: &mut Faults<'_>,
    ) -> Option<Section<'d>> {
        let value = self.table.get(key)?;
        match value.get_ref() {
            DeValue::Table(table) => {
                let line = self.line_of(key, faults);
                Some(Section::new(table, self.path_of(key), line, known, faults))
            }
            other => {
                let problem = Problem::Invalid {
                    found: kind(other).to_owned(),
                    wanted: format!("a section `[{}]`", self.path_of(key)),
                };
                self.fault(key, problem, faults);
                None
            }
        }
    }

    /// The sub-tables under a key whose own keys are names chosen by the writer.
    pub(super) fn named_tables(
        &self,
        key: &str,
        known: &'static [&'static str],
        faults: &mut Faults<'_>,
    ) -> Vec<(String, Section<'d>)> {
        let Some(value) = self.table.get(key) else {
            return Vec::new();
        };
        let DeValue::Table(table) = value.get_ref() else {
            let problem = Problem::Invalid {
                found: kind(value.get_ref()).to_owned(),
                wanted: format!("sections `[{key}.\"data set\"]`"),
            };
            self.fault(key, problem, faults);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, value) in table {
            let path = format!("{key}.\"{}\"", name.get_ref());
            let line = faults.line_of(name.span().start);
            match value.get_ref() {
                DeValue::Table(table) => {
                    sections.push((
                        name.get_ref().to_string(),
                        Section::new(table, path, line, known, faults),
                    ));
                }
                other => {
                    let wanted = format!("a section `[{path}]`");
                    faults.note(
                        line,
                        path,
                        Problem::Invalid {
                            found: kind(other).to_owned(),
                            wanted,
                        },
                    );
                }
            }
        }
        sections
    }

    /// The tables of an array of tables.
    pub(super) fn tables(
        &self,
        key: &str,
        known: &'static [&'static str],
        faults: &mut Faults<'_>,
    ) -> Vec<Section<'d>> {
        let Some(value) = self.table.get(key) else {
            return Vec::new();
        };
        let wrong = |found: &DeValue<'_>| Problem::Invalid {
            found: kind(found).to_owned(),
            wanted: format!("sections `[[{key}]]`"),
        };
        let DeValue::Array(items) = value.get_ref() else {
            self.fault(key, wrong(value.get_ref()), faults);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in items.iter() {
            let line = faults.line_of(item.span().start);
            match item.get_ref() {
                DeValue::Table(table) => {
                    sections.push(Section::new(table, key, line, known, faults))
                }
                other => faults.note(line, key, wrong(other)),
            }
        }
        sections
    }
}

/// The most similar of some words, if it is similar enough to be what was meant.
pub(super) fn nearest(word: &str, among: &[&'static str]) -> Option<&'static str> {
    among
        .iter()
        .map(|known| {
            (
                strsim::damerau_levenshtein(&word.to_lowercase(), known),
                *known,
            )
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance <= known.chars().count().max(3) / 3)
        .map(|(_, known)| known)
}

/// Notes the second of two sections with one `name`.
pub(super) fn note_repeated_names(sections: &[Section<'_>], faults: &mut Faults<'_>) {
    let mut names = std::collections::BTreeSet::new();
    for section in sections {
        let name = section.optional("name", "a name", &mut Faults::new(""), text);
        if let Some(name) = name
            && !names.insert(name.clone())
        {
            section.fault(
                "name",
                Problem::Conflict(format!("is `{name}` a second time; names must differ")),
                faults,
            );
        }
    }
}
