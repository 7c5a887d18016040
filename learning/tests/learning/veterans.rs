// SPDX-License-Identifier: Apache-2.0
//! Kaplan-Meier by bins of one day against the published curve of a lung cancer trial, which is not part of the project.

use std::path::PathBuf;

use consilium_learning::{Study, Table};

use crate::federation::run_through_integers;

#[test]
fn bins_of_one_day_give_the_published_curve() {
    let Some(root) = std::env::var_os("CONSILIUM_REFERENCE_DATA").map(PathBuf::from) else {
        eprintln!("SKIPPED: set CONSILIUM_REFERENCE_DATA to the folder that holds data/veterans");
        return;
    };
    let edges: Vec<String> = (0..=1000).map(|day| day.to_string()).collect();
    let text = format!(
        "[study]\nname = \"veterans\"\nresearcher = \"a.ruiz@uni.example\"\npurpose = \"scientific-research\"\n\
         ethics = \"IRB-1\"\ndata = \"trial\"\ndeadline_hours = 1\n[data.columns.survival_days]\ntype = \"number\"\n\
         range = [0, 1000]\n[data.columns.status]\ntype = \"category\"\nlevels = {{ 0 = \"alive\", 1 = \"dead\" }}\n\
         [analysis]\nkind = \"kaplan-meier\"\n[[analysis.survival]]\ntime = \"survival_days\"\nedges = [{}]\n\
         event = {{ column = \"status\", positive = \"dead\" }}\n[privacy]\nmode = \"none\"\n",
        edges.join(", ")
    );
    let study = Study::parse(text.as_bytes()).unwrap();
    let csv = std::fs::read_to_string(root.join("data/veterans/veterans.csv")).unwrap();
    let (header, rows) = csv.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    let tables: Vec<Table> = rows
        .chunks(46)
        .map(|rows| {
            let csv = format!("{header}\n{}\n", rows.join("\n"));
            Table::read(csv.as_bytes(), &study.data).unwrap()
        })
        .collect();
    let outcome = run_through_integers(&study, &tables);
    let curve = &outcome.result.statistics().unwrap().survival[0];
    for (day, expected) in [
        (28, 0.722_554),
        (91, 0.464_038),
        (182, 0.222_411),
        (364, 0.090_045),
    ] {
        let share = curve.survival[day].unwrap();
        assert!((share - expected).abs() < 1e-6, "{day}: {share}");
    }
    // The median is the day itself: the end of the bin that begins with it.
    assert_eq!(curve.median, Some(81.0));
}
