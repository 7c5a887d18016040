// SPDX-License-Identifier: Apache-2.0
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::study::Study;

const STUDY: &str = r#"
[study]
name = "n"
researcher = "r"
purpose = "p"
ethics = "e"
data = "d"
deadline_hours = 1
[data]
patient = "id"
missing = "complete-case"
[data.columns.sex]
type = "category"
levels = { "f" = "female", "F" = "female", "m" = "male" }
[data.columns.age]
type = "number"
range = [18, 100]
[analysis]
kind = "statistics"
[[analysis.tables]]
rows = "sex"
columns = "sex"
[privacy]
mode = "none"
"#;

fn read(csv: &str) -> Result<Table, TableFault> {
    Table::read(
        csv.as_bytes(),
        &Study::parse(STUDY.as_bytes()).unwrap().data,
    )
}

fn fault(csv: &str) -> String {
    read(csv).unwrap_err().to_string()
}

#[test]
fn columns_are_typed_and_rows_are_grouped_by_patient() {
    let table = read("age, id ,sex,other\n30,a,f,\n40,b,m,x\n50,a,F,y\n").unwrap();
    assert_eq!(
        table.column("sex"),
        Some(&Values::Categories(vec![0, 1, 0]))
    );
    assert_eq!(
        table.column("age"),
        Some(&Values::Numbers(vec![30.0, 40.0, 50.0]))
    );
    assert_eq!(table.column("other"), None);
    assert_eq!(table.patients(), [vec![0, 2], vec![1]]);
    assert_eq!((table.row_count(), table.patient_count()), (3, 2));
    assert!(table.warnings().is_empty());
}

#[test]
fn rows_with_a_missing_declared_column_are_left_out_and_counted() {
    let table = read("id,sex,age\na,f,30\nb,,40\nc,NA,40\nd,m,?\n").unwrap();
    assert_eq!((table.row_count(), table.patient_count()), (1, 1));
    assert_eq!(table.warnings(), [TableWarning::RowsLeftOut { rows: 3 }]);
}

#[test]
fn missing_values_refuse_the_table_where_the_study_says_so() {
    let study = Study::parse(STUDY.replace("complete-case", "refuse").as_bytes()).unwrap();
    let fault = Table::read("id,sex,age\na,f,30\nb,m,\n".as_bytes(), &study.data).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "line 3, column `age`: the value is missing, and the study says `missing = \"refuse\"`; complete the cell"
    );
}

#[test]
fn numbers_beyond_the_public_range_are_clipped_and_counted() {
    let table = read("id,sex,age\na,f,17\nb,m,1e9\nc,m,-5\nd,m,50\n").unwrap();
    assert_eq!(
        table.column("age"),
        Some(&Values::Numbers(vec![18.0, 100.0, 18.0, 50.0]))
    );
    let warnings = table.warnings();
    assert_eq!(
        warnings,
        [TableWarning::CellsClipped {
            column: "age".to_owned(),
            cells: 3
        }]
    );
}

#[test]
fn with_noise_no_cell_refuses_a_table_and_only_its_row_is_left_out() {
    let study = STUDY.replace(
        "mode = \"none\"",
        "mode = \"distributed\"\nepsilon = \"1\"\ndelta = \"1e-5\"\nexpected_patients = 100\n\
         most_patients_per_silo = 50\nmost_rows_per_patient = 2",
    );
    for missing in ["complete-case", "refuse"] {
        let study = study.replace("complete-case", missing);
        let study = Study::parse(study.as_bytes()).unwrap();
        let csv =
            "id,sex,age\na,f,30\na,x,31\nb,m,secret\nc,,40\n,m,50\nd,x,nan\ne,m,1e400\nf,m,17\n";
        assert!(Table::read(csv.as_bytes(), &study.data).is_err());
        let table = Table::of_study(csv.as_bytes(), &study).unwrap();
        assert_eq!(table.patients(), [vec![0], vec![1]]);
        assert_eq!(
            table.column("age"),
            Some(&Values::Numbers(vec![30.0, 18.0]))
        );
        let unfit = |column: &str, cells| TableWarning::CellsUnfit {
            column: column.to_owned(),
            cells,
        };
        let clipped = TableWarning::CellsClipped {
            column: "age".to_owned(),
            cells: 1,
        };
        let counts = [
            TableWarning::RowsLeftOut { rows: 6 },
            unfit("age", 3),
            clipped,
            unfit("sex", 3),
        ];
        assert_eq!(table.warnings(), counts);
        // Nobody fits, or nobody is there.
        for csv in ["id,sex,age\na,x,30\n", "id,sex,age\n"] {
            let table = Table::of_study(csv.as_bytes(), &study).unwrap();
            assert_eq!((table.row_count(), table.patient_count()), (0, 0));
        }
        // The header is public.
        let found = Table::of_study("id,sex\na,x\n".as_bytes(), &study);
        assert!(matches!(found, Err(TableFault::MissingColumn { .. })));
    }
}

#[test]
fn faults_name_line_and_column_and_never_the_value() {
    let found = fault("id,sex,age\na,f,30\nb,m,secret\n");
    assert_eq!(
        found,
        "line 3, column `age`: not a number; correct the cell or leave it empty"
    );
    let found = fault("id,sex,age\na,secret,30\n");
    assert_eq!(
        found,
        "line 2, column `sex`: not one of the levels `F`, `f`, `m`; correct the cell or name its level in the study"
    );
    for number in ["nan", "inf", "-inf", "1,5", "0x10"] {
        let found = fault(&format!("id,sex,age\na,f,\"{number}\"\n"));
        assert!(
            found.contains("line 2, column `age`: not a number"),
            "{found}"
        );
    }
    assert_eq!(
        fault("id,sex,age\n,f,30\n"),
        "line 2, column `id`: the patient is missing; complete the cell"
    );
}

#[test]
fn absent_and_repeated_columns_are_named() {
    assert_eq!(
        fault("id,sex,agee\na,f,30\n"),
        "the data file has no column `age` (there is a column `agee`); rename the column in the file or in the study"
    );
    assert_eq!(
        fault("id,sex,age,age\na,f,30,30\n"),
        "the data file has two columns `age`; rename one of them"
    );
    assert!(fault("patient,sex,age\na,f,30\n").starts_with("the data file has no column `id`"));
}

#[test]
fn files_without_rows_or_with_torn_lines_are_refused() {
    for csv in ["", "id,sex,age\n", "id,sex,age\na,,\n"] {
        let found = fault(csv);
        assert!(
            found.contains("has no usable row") || found.contains("has no column"),
            "{found}"
        );
    }
    assert!(fault("id,sex,age\na,f\n").starts_with("the data file cannot be read as CSV"));
    let latin = [
        b"id,sex,age\na,f,30\n".as_slice(),
        &[0xe4, b',', b'f', b',', b'3', b'\n'],
    ]
    .concat();
    let schema = Study::parse(STUDY.as_bytes()).unwrap().data;
    assert!(matches!(
        Table::read(latin.as_slice(), &schema),
        Err(TableFault::Unreadable(_))
    ));
}

#[test]
fn registration_counts_data_rows_only() {
    assert_eq!(count_rows("a,b\n1,2\n3,4\n".as_bytes()).unwrap(), 2);
    assert!(matches!(
        count_rows("a,b\n".as_bytes()),
        Err(TableFault::Empty)
    ));
}

proptest! {
    #[test]
    fn any_bytes_are_a_table_or_a_fault_but_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let schema = Study::parse(STUDY.as_bytes()).unwrap().data;
        let mut csv = b"id,sex,age\na,f,30\n".to_vec();
        csv.extend(bytes);
        if let Ok(table) = Table::read(csv.as_slice(), &schema) {
            prop_assert!(table.patient_count() <= table.row_count());
        }
    }
}
