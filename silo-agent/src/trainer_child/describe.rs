// SPDX-License-Identifier: Apache-2.0
//! What a file that is being registered holds: rows, patients, columns, and marks by which the same patients are
//! recognised in another file.
//!
//! A mark is a keyed digest, cut to 16 bytes: of a patient's name in the patient column, and of a row, cell by cell in the
//! order of the columns' names. Where patients have names, a row is marked without its patient too, so that a copy in which
//! only the names were changed is recognised.

use std::collections::{BTreeSet, HashSet};

use consilium_crypto::label::Label;
use consilium_crypto::transcript::{hash, sha256};
use consilium_learning::table::is_missing;
use csv::{ReaderBuilder, StringRecord, Trim};

use super::pipe::{Description, Mark};

/// Reads the whole file; `patient` names the column in which patients have names, `key` makes marks.
///
/// COST: two or three digests a row, and 16 bytes of memory for each that differs from all others.
pub(super) fn describe(
    bytes: &[u8],
    patient: Option<&str>,
    key: Option<&[u8; 32]>,
) -> Result<Description, String> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(bytes);
    let columns: Vec<String> = reader
        .headers()
        .map_err(|fault| csv_fault(&fault))?
        .iter()
        .map(str::to_owned)
        .collect();
    if columns.iter().all(String::is_empty) {
        return Err("the data file is empty; its first line must name the columns".to_owned());
    }
    let patient = patient.map(|name| position(&columns, name)).transpose()?;
    let mut marks = key.map(|key| Marks::new(key, &columns, patient));
    let mut names = HashSet::new();
    let mut rows = 0;
    let mut record = StringRecord::new();
    while reader
        .read_record(&mut record)
        .map_err(|fault| csv_fault(&fault))?
    {
        rows += 1;
        if let Some(position) = patient {
            let name = record.get(position).unwrap_or_default();
            if is_missing(name) {
                let line = record.position().map_or(0, csv::Position::line);
                return Err(format!(
                    "line {line}: the patient is missing; complete the cell"
                ));
            }
            if !names.contains(name) {
                names.insert(name.to_owned());
            }
        }
        if let Some(marks) = &mut marks {
            marks.add(&record);
        }
    }
    if rows == 0 {
        return Err("the data file has no rows below its heading".to_owned());
    }
    let patients = match patient {
        Some(_) => u64::try_from(names.len()).unwrap_or(u64::MAX),
        None => rows,
    };
    let (patient_marks, row_marks) = marks.map_or_else(Default::default, Marks::finish);
    Ok(Description {
        sha256: *sha256(bytes).as_bytes(),
        rows,
        patients,
        columns,
        patient_marks,
        row_marks,
    })
}

struct Marks<'a> {
    key: &'a [u8; 32],
    columns: &'a [String],
    /// Columns by name, so that a file with its columns in another order has the same marks.
    order: Vec<usize>,
    patient: Option<usize>,
    patients: BTreeSet<Mark>,
    rows: BTreeSet<Mark>,
}

impl<'a> Marks<'a> {
    fn new(key: &'a [u8; 32], columns: &'a [String], patient: Option<usize>) -> Self {
        let mut order: Vec<usize> = (0..columns.len()).collect();
        order.sort_by_key(|place| columns.get(*place));
        Self {
            key,
            columns,
            order,
            patient,
            patients: BTreeSet::new(),
            rows: BTreeSet::new(),
        }
    }

    fn add(&mut self, record: &StringRecord) {
        self.rows.insert(self.row(record, None));
        if let Some(patient) = self.patient {
            self.rows.insert(self.row(record, Some(patient)));
            let name = record.get(patient).unwrap_or_default();
            let mark = self.mark(&[b"patient", name.as_bytes()]);
            self.patients.insert(mark);
        }
    }

    /// A row but for one column, if one is left out.
    fn row(&self, record: &StringRecord, without: Option<usize>) -> Mark {
        let cells = self
            .order
            .iter()
            .filter(|place| Some(**place) != without)
            .flat_map(|place| {
                let name = self.columns.get(*place).map_or("", String::as_str);
                let cell = record.get(*place).unwrap_or_default();
                [name.as_bytes(), cell.as_bytes()]
            });
        let parts: Vec<&[u8]> = std::iter::once(b"row".as_slice()).chain(cells).collect();
        self.mark(&parts)
    }

    fn mark(&self, parts: &[&[u8]]) -> Mark {
        let keyed: Vec<&[u8]> = std::iter::once(self.key.as_slice())
            .chain(parts.iter().copied())
            .collect();
        let digest = hash(Label::DataMark, &keyed);
        let mut mark = Mark::default();
        mark.iter_mut()
            .zip(digest.as_bytes())
            .for_each(|(mark, byte)| *mark = *byte);
        mark
    }

    fn finish(self) -> (Vec<Mark>, Vec<Mark>) {
        (
            self.patients.into_iter().collect(),
            self.rows.into_iter().collect(),
        )
    }
}

fn position(columns: &[String], name: &str) -> Result<usize, String> {
    let mut found =
        (0..columns.len()).filter(|place| columns.get(*place).is_some_and(|c| c == name));
    match (found.next(), found.next()) {
        (Some(place), None) => Ok(place),
        (None, _) => Err(format!(
            "it has no column `{name}`, which is to name the patient"
        )),
        (Some(_), Some(_)) => Err(format!("it has two columns `{name}`; rename one of them")),
    }
}

/// Where a CSV file is malformed, without a word of what stands there.
fn csv_fault(fault: &csv::Error) -> String {
    let what = match fault.kind() {
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8",
        csv::ErrorKind::UnequalLengths { .. } => "has another number of cells than the heading",
        _ => "cannot be read as CSV",
    };
    match fault.position() {
        Some(position) => format!("line {} of the data file {what}", position.line()),
        None => format!("the data file {what}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [3; 32];

    fn of(csv: &str, patient: Option<&str>) -> Description {
        describe(csv.as_bytes(), patient, Some(&KEY)).unwrap()
    }

    #[test]
    fn patients_are_counted_by_their_column_and_else_by_rows() {
        let csv = "id, age\n1,50\n2,61\n 1 ,50\n";
        let named = of(csv, Some("id"));
        assert_eq!((named.rows, named.patients), (3, 2));
        assert_eq!(named.patient_marks.len(), 2);
        assert_eq!(named.columns, ["id", "age"]);
        let rows = of(csv, None);
        assert_eq!((rows.rows, rows.patients), (3, 3));
        assert!(rows.patient_marks.is_empty());
    }

    #[test]
    fn the_patient_column_is_there_once_and_filled() {
        let fault = |csv: &str| describe(csv.as_bytes(), Some("id"), None).unwrap_err();
        assert!(fault("age\n50\n").contains("no column `id`"));
        assert!(fault("id,id\n1,2\n").contains("two columns `id`"));
        let missing = fault("id,age\n1,50\nNA,secret\n");
        assert!(missing.contains("line 3") && !missing.contains("secret"));
    }

    #[test]
    fn marks_outlive_the_order_of_columns_and_rows_and_new_names_of_patients() {
        let first = of("id,age,sex\na,50,f\nb,61,m\n", Some("id"));
        let moved = of("sex,id,age\nm,b,61\nf,a,50\n", Some("id"));
        assert_eq!(first.patient_marks, moved.patient_marks);
        assert_eq!(first.row_marks, moved.row_marks);
        let renamed = of("id,age,sex\nx,50,f\ny,61,m\n", Some("id"));
        let shared = |other: &Description| {
            let marks = other.row_marks.iter();
            marks.filter(|mark| first.row_marks.contains(mark)).count()
        };
        assert_eq!(shared(&renamed), 2);
        assert!(
            renamed
                .patient_marks
                .iter()
                .all(|mark| !first.patient_marks.contains(mark))
        );
        assert_eq!(shared(&of("id,age,sex\na,50,f\nb,61,m\n", None)), 2);
        assert_eq!(shared(&of("id,age,sex\nz,51,f\nw,62,m\n", Some("id"))), 0);
        let other_key =
            describe(b"id,age,sex\na,50,f\nb,61,m\n", Some("id"), Some(&[4; 32])).unwrap();
        assert_eq!(shared(&other_key), 0);
        // A cell does not run over into the next.
        assert_eq!(shared(&of("id,age,sex\na,5,0f\n", None)), 0);
    }
}
