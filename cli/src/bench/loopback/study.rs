// SPDX-License-Identifier: Apache-2.0
//! What the agents compute: a contingency table of made-up patients, with as many cells as there are parameters.

use consilium_learning::result::StudyResult;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The name under which every silo registers its data.
pub(super) const DATA: &str = "loopback";
/// Who submits the studies.
pub(super) const RESEARCHER: &str = "operator@loopback.example";

/// Patients of each silo.
const PATIENTS: u32 = 40;

/// The table's shape and everybody's patients.
pub(super) struct Workload {
    silos: u32,
    rows: u64,
    columns: u64,
    bits: u8,
}

impl Workload {
    /// A table of `parameters` cells, or of a few more where no table of even sides has that many.
    pub(super) fn new(silos: u32, parameters: u64, bits: u8) -> Self {
        let side = parameters.isqrt().max(2);
        let rows = (side / 2 + 1..=side)
            .rev()
            .find(|rows| *rows > 1 && parameters.is_multiple_of(*rows))
            .unwrap_or(side);
        Self {
            silos,
            rows,
            columns: parameters.div_ceil(rows),
            bits,
        }
    }

    pub(super) fn parameters(&self) -> u64 {
        self.rows * self.columns
    }

    pub(super) fn silo_name(&self, at: u32) -> String {
        format!("silo-{:03}", at + 1)
    }

    pub(super) fn silos(&self) -> impl Iterator<Item = u32> {
        0..self.silos
    }

    /// The file of one silo's patients.
    pub(super) fn patients(&self, silo: u32) -> String {
        let mut text = "id,row,column\n".to_owned();
        for (patient, (row, column)) in self.cells(silo).enumerate() {
            let _ = writeln!(text, "{silo}-{patient},r{row},c{column}");
        }
        text
    }

    /// A study of its own for every round.
    pub(super) fn study(&self, number: u32) -> String {
        let fraction_bits = 8;
        format!(
            r#"[study]
name = "loopback-{number}"
researcher = "{RESEARCHER}"
purpose = "measurement"
ethics = "none: no patient exists"
data = "{DATA}"
deadline_hours = 1

[data]
patient = "id"
missing = "refuse"

[data.columns.row]
type = "category"
levels = {{ {} }}
[data.columns.column]
type = "category"
levels = {{ {} }}

[analysis]
kind = "statistics"

[[analysis.tables]]
rows = "row"
columns = "column"

[privacy]
mode = "none"

[aggregation]
fraction_bits = {fraction_bits}
word_bits = {}
"#,
            levels('r', self.rows),
            levels('c', self.columns),
            self.bits,
        )
    }

    /// A policy that permits these studies and nothing else.
    pub(super) fn policy(&self, silo: u32) -> String {
        let (name, silos) = (self.silo_name(silo), self.silos);
        format!(
            r#"[policy]
silo = "{name}"
version = 1

[floor]
aggregation = "secure"
min_silos = {silos}
min_survivors = {silos}
differential_privacy = "required-unless-agreed"
min_patients = {PATIENTS}
isolation = "process"
release = "aggregate"

[budget."{DATA}"]
epsilon = "1"
delta = "1e-6"

[[grant]]
name = "measurement"
who = ["{RESEARCHER}"]
data = ["{DATA}"]
purpose = ["measurement"]
analyses = ["statistics"]
basis = "consent"
ethics = {{ ref = "none: no patient exists", until = "2099-12-31" }}
without_noise = "permitted by agreement MEASUREMENT"
modes = ["distributed"]
epsilon_per_job = "1"
delta_per_job = "1e-6"
rounds_per_job = 1
person_must_approve = false
"#
        )
    }

    /// Whether every cell holds the patients of all silos.
    pub(super) fn is_right(&self, result: &StudyResult) -> bool {
        let Some(table) = result.statistics().and_then(|all| all.tables.first()) else {
            return false;
        };
        let mut expected: BTreeMap<(String, String), f64> = BTreeMap::new();
        for (row, column) in self.silos().flat_map(|silo| self.cells(silo)) {
            let place = (format!("r{row}"), format!("c{column}"));
            *expected.entry(place).or_default() += 1.0;
        }
        let mut count = 0;
        for (row, cells) in table.row_labels.iter().zip(&table.cells) {
            for (column, found) in table.column_labels.iter().zip(cells) {
                let place = (row.clone(), column.clone());
                if found.0 != expected.remove(&place).unwrap_or_default() {
                    return false;
                }
                count += 1;
            }
        }
        expected.is_empty() && count == self.parameters()
    }

    /// In which cell each of a silo's patients is. Some cells hold several, the first and the last one among them.
    fn cells(&self, silo: u32) -> impl Iterator<Item = (u64, u64)> {
        let parameters = self.parameters();
        (0..PATIENTS).map(move |patient| {
            let place = match patient {
                0 => 0,
                1 => parameters - 1,
                _ => (u64::from(silo) * 7919 + u64::from(patient) * 104_729) % parameters,
            };
            (place / self.columns, place % self.columns)
        })
    }
}

/// `{ r0 = "r0", r1 = "r1", … }`, without the braces.
fn levels(letter: char, count: u64) -> String {
    let levels: Vec<String> = (0..count)
        .map(|level| format!("{letter}{level} = \"{letter}{level}\""))
        .collect();
    levels.join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use consilium_learning::study::Study;

    #[test]
    fn a_table_has_as_many_cells_as_were_asked_for_or_a_few_more() {
        for (asked, made) in [
            (100_000, 100_000),
            (4, 4),
            (101, 110),
            (1_000_003, 1_001_000),
        ] {
            assert_eq!(Workload::new(3, asked, 32).parameters(), made);
        }
    }

    #[test]
    fn the_study_is_one_and_its_vector_has_the_length() {
        let workload = Workload::new(10, 10_000, 32);
        let study = Study::parse(workload.study(1).as_bytes()).unwrap();
        let plan = study.vector_plan(10, 0, 3).unwrap();
        assert_eq!((plan.dimension, plan.word_bits), (10_000, 32));
    }

    #[test]
    fn the_policy_is_one() {
        let policy = Workload::new(3, 100, 32).policy(0);
        consilium_policies::Policy::parse(policy.as_bytes()).unwrap();
    }
}
