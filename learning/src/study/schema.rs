// SPDX-License-Identifier: Apache-2.0
//! `[data]`: what the study says about the columns of every silo's table, in public constants only.

use std::collections::BTreeMap;

use serde::Serialize;
use toml::Table as Toml;

use super::section::{FromToml, Section, nearest};
use super::{Mode, StudyFault};

/// The columns a study uses, how rows belong to patients, and what becomes of missing values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataSchema {
    /// The column whose equal values mark the rows of one patient; without it every row is a patient.
    pub patient: Option<String>,
    /// What becomes of a row in which a declared column is missing.
    pub missing: Missing,
    /// How a regression scales numbers.
    #[serde(skip_serializing_if = "Scaling::is_public")]
    pub scaling: Scaling,
    /// The declared columns by their name in the file.
    pub columns: BTreeMap<String, Column>,
}

/// What becomes of a row in which a declared column is missing (empty, `NA` or `?`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// The row is left out and counted.
    CompleteCase,
    /// The whole table is refused.
    Refuse,
}

/// How a regression scales numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// By the public centre and scale of each column.
    #[default]
    PublicRanges,
    /// By the mean and the standard deviation of each silo's own rows. A row's numbers then depend on all other patients
    /// of its silo, which no noise of this version accounts for.
    PerSite,
}

impl Scaling {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature that the serialiser calls"
    )]
    fn is_public(&self) -> bool {
        *self == Self::PublicRanges
    }
}

/// One declared column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// The name under which results show it, given by `as`.
    pub shown_as: Option<String>,
    /// What its cells hold.
    pub kind: ColumnKind,
}

/// What the cells of a column hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnKind {
    /// One of finitely many values.
    Category(Category),
    /// A number with a public range.
    Number(Number),
}

/// A column of categories.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Category {
    /// Value in the file = label in results.
    pub levels: BTreeMap<String, String>,
    /// The label that a regression compares the others with.
    pub reference: Option<String>,
}

/// A column of numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Number {
    /// The unit, for people.
    pub unit: Option<String>,
    /// The public clinical range; cells beyond it are clipped.
    pub range: [f64; 2],
    /// A regression uses (value - centre) / scale. The middle of the range if the study does not say.
    pub centre: f64,
    /// A regression uses (value - centre) / scale. Half of the range's width if the study does not say.
    pub scale: f64,
}

impl DataSchema {
    pub(crate) fn read(mut section: Section) -> Result<Self, StudyFault> {
        let patient = section.optional("patient")?;
        let missing = section
            .word(
                "missing",
                &[
                    ("complete-case", Missing::CompleteCase),
                    ("refuse", Missing::Refuse),
                ],
            )?
            .unwrap_or(Missing::Refuse);
        let scaling = section
            .word(
                "scaling",
                &[
                    ("public-ranges", Scaling::PublicRanges),
                    ("per-site", Scaling::PerSite),
                ],
            )?
            .unwrap_or_default();
        let tables: Toml = section.required("columns")?;
        let mut columns = BTreeMap::new();
        for (name, value) in tables {
            let path = format!("data.columns.{name}");
            let Some(table) = Toml::from_toml(value) else {
                return Err(StudyFault::WrongType {
                    field: path,
                    expected: Toml::EXPECTED,
                    found: "another value",
                });
            };
            if patient.as_deref() == Some(name.as_str()) {
                return Err(StudyFault::Invalid {
                    field: path,
                    problem: "the patient column cannot be analysed".to_owned(),
                    fix: "remove this section".to_owned(),
                });
            }
            columns.insert(name, Column::read(&path, table)?);
        }
        Ok(Self {
            patient,
            missing,
            scaling,
            columns,
        })
    }

    /// SECURITY: with noise every vector must depend on its own patient and on public values only.
    pub(crate) fn check_scaling(&self, mode: Mode) -> Result<(), StudyFault> {
        match (mode, self.scaling) {
            (Mode::Distributed | Mode::Local, Scaling::PerSite) => Err(StudyFault::Invalid {
                field: "data.scaling".to_owned(),
                problem: "a z-score of a silo's own rows lets every patient's vector depend on all others, which the \
                          noise does not cover"
                    .to_owned(),
                fix: "write `public-ranges`, or leave it out: `range`, `centre` and `scale` of each column are used"
                    .to_owned(),
            }),
            (Mode::Distributed | Mode::Local, Scaling::PublicRanges) | (Mode::None, _) => Ok(()),
        }
    }

    /// The declared column that `field` of the study refers to.
    pub(crate) fn column(&self, field: &str, column: &str) -> Result<&Column, StudyFault> {
        self.columns
            .get(column)
            .ok_or_else(|| StudyFault::UnknownColumn {
                field: field.to_owned(),
                column: column.to_owned(),
                nearest: nearest(column, self.columns.keys().map(String::as_str)),
            })
    }

    /// The declared column of categories that `field` of the study refers to.
    pub(crate) fn category(&self, field: &str, column: &str) -> Result<&Category, StudyFault> {
        match &self.column(field, column)?.kind {
            ColumnKind::Category(category) => Ok(category),
            ColumnKind::Number(_) => Err(wrong_kind(field, column, "numbers", "a category column")),
        }
    }

    /// The declared column of numbers that `field` of the study refers to.
    pub(crate) fn number(&self, field: &str, column: &str) -> Result<&Number, StudyFault> {
        match &self.column(field, column)?.kind {
            ColumnKind::Number(number) => Ok(number),
            ColumnKind::Category(_) => {
                Err(wrong_kind(field, column, "categories", "a number column"))
            }
        }
    }
}

impl Column {
    fn read(path: &str, table: Toml) -> Result<Self, StudyFault> {
        let mut section = Section::open(path, table, KEYS)?;
        let shown_as = section.optional("as")?;
        let kind = match section.required::<String>("type")?.as_str() {
            "category" => {
                section.refuse_all(
                    &["unit", "range", "centre", "scale"],
                    "a category column has no such key",
                )?;
                ColumnKind::Category(Category::read(section)?)
            }
            "number" => {
                section.refuse_all(&["levels", "reference"], "a number column has no such key")?;
                ColumnKind::Number(Number::read(section)?)
            }
            other => {
                return Err(section.invalid(
                    "type",
                    format!("`{other}` is not available"),
                    "write `category` or `number`",
                ));
            }
        };
        Ok(Self { shown_as, kind })
    }
}

impl Category {
    fn read(mut section: Section) -> Result<Self, StudyFault> {
        let table: Toml = section.required("levels")?;
        let mut levels = BTreeMap::new();
        for (value, label) in table {
            match String::from_toml(label) {
                Some(label) => levels.insert(value, label),
                None => {
                    return Err(section.invalid(
                        "levels",
                        format!("the label of `{value}` is not a text"),
                        "write each level as \"value in the file\" = \"label\"",
                    ));
                }
            };
        }
        let reference: Option<String> = section.optional("reference")?;
        let category = Self { levels, reference };
        let labels = category.labels();
        if labels.len() < 2 {
            return Err(section.invalid(
                "levels",
                "fewer than two labels",
                "name at least two levels",
            ));
        }
        match &category.reference {
            Some(reference) if !labels.contains(&reference.as_str()) => Err(section.invalid(
                "reference",
                format!("`{reference}` is no label of this column"),
                format!("write one of {}", listed(&labels)),
            )),
            Some(_) | None => Ok(category),
        }
    }

    /// The labels, each once, in the order of the values in the file.
    pub fn labels(&self) -> Vec<&str> {
        let mut labels = Vec::new();
        for label in self.levels.values() {
            if !labels.contains(&label.as_str()) {
                labels.push(label.as_str());
            }
        }
        labels
    }

    /// Where the label of each value in the file stands among [`Self::labels`].
    pub(crate) fn positions(&self) -> BTreeMap<&str, usize> {
        let labels = self.labels();
        self.levels
            .iter()
            .filter_map(|(value, label)| {
                Some((
                    value.as_str(),
                    labels.iter().position(|known| known == label)?,
                ))
            })
            .collect()
    }

    /// The values that a file may hold, for a message.
    pub(crate) fn listed_values(&self) -> String {
        let values: Vec<&str> = self.levels.keys().map(String::as_str).collect();
        listed(&values)
    }

    /// The labels without the reference.
    pub fn compared_labels(&self) -> Vec<&str> {
        let mut labels = self.labels();
        labels.retain(|label| Some(*label) != self.reference.as_deref());
        labels
    }
}

impl Number {
    fn read(mut section: Section) -> Result<Self, StudyFault> {
        let unit = section.optional("unit")?;
        let range: Vec<f64> = section.required("range")?;
        let range = match range.as_slice() {
            [low, high] if low < high => [*low, *high],
            _ => {
                return Err(section.invalid(
                    "range",
                    "not a lowest and a highest value",
                    "write two numbers in rising order, such as [18, 100]",
                ));
            }
        };
        let [low, high] = range;
        let half = high / 2.0 - low / 2.0;
        let centre = section.optional("centre")?.unwrap_or(low + half);
        let scale = section.optional("scale")?.unwrap_or(half);
        if scale <= 0.0 {
            return Err(section.invalid("scale", "not above zero", "write a positive number"));
        }
        Ok(Self {
            unit,
            range,
            centre,
            scale,
        })
    }

    /// The value as a regression uses it.
    pub fn standardise(&self, value: f64) -> f64 {
        (value - self.centre) / self.scale
    }

    /// The largest square of a standardised value within the range.
    pub(crate) fn largest_square(&self) -> f64 {
        let [low, high] = self.range.map(|end| self.standardise(end).abs());
        let largest = low.max(high);
        largest * largest
    }

    /// The width of the range in units of the scale.
    pub(crate) fn standard_width(&self) -> f64 {
        let [low, high] = self.range;
        (high - low) / self.scale
    }

    /// The middle of the range and half its width: in these units every value lies between -1 and 1.
    pub(crate) fn middle_and_half(&self) -> (f64, f64) {
        let [low, high] = self.range;
        let half = high / 2.0 - low / 2.0;
        (low + half, half)
    }
}

fn wrong_kind(field: &str, column: &str, holds: &str, wanted: &str) -> StudyFault {
    StudyFault::Invalid {
        field: field.to_owned(),
        problem: format!("`{column}` holds {holds}"),
        fix: format!("name {wanted}"),
    }
}

/// Words in backticks, separated by commas.
pub(crate) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

const KEYS: &[&str] = &[
    "type",
    "as",
    "levels",
    "reference",
    "unit",
    "range",
    "centre",
    "scale",
];
