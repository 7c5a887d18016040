// SPDX-License-Identifier: Apache-2.0
//! How much memory the real trainer process takes: by the length of one patient's vector, and not by how many patients fit.
//!
//! A researcher chooses the levels of a category, and so who fits, and how long a vector is. Memory that grew with those who
//! fit would count them: by whether the trainer still answers.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use consilium_crypto::transcript::sha256;
use consilium_learning::{Study, Task};
use serde::Serialize;

/// The question as it goes through the pipe; others stand before it.
#[derive(Serialize)]
#[expect(dead_code, reason = "their places count")]
enum Request {
    Probe,
    Describe,
    Check,
    Contribute { job: Job, model: Vec<u8> },
}

#[derive(Serialize)]
struct Job {
    data: String,
    registered: [u8; 32],
    study: Vec<u8>,
}

/// A file of patients, of whom so many have `hiv`; two columns beside it.
fn patients(all: u64, fitting: u64) -> String {
    let row = |patient| {
        let level = if patient < fitting { "a" } else { "c" };
        format!("{patient},{level},1,2\n")
    };
    let rows: String = (0..all).map(row).collect();
    format!("id,hiv,left,right\n{rows}")
}

/// A private study of whoever has `hiv`, with so many levels of two columns that most are there for their number.
fn study(levels: usize, analysis: &str) -> String {
    let list: Vec<String> = (0..levels)
        .map(|level| format!("\"{level}\" = \"l{level}\""))
        .collect();
    let list = list.join(", ");
    format!(
        "[study]\nname = \"subgroup\"\nresearcher = \"a.ruiz@uni.example\"\npurpose = \"scientific-research\"\n\
         ethics = \"IRB-2012-0117\"\ndata = \"trial\"\ndeadline_hours = 24\n\
         [data]\npatient = \"id\"\nmissing = \"complete-case\"\n\
         [data.columns.hiv]\ntype = \"category\"\nlevels = {{ \"a\" = \"yes\", \"b\" = \"unused\" }}\n\
         [data.columns.left]\ntype = \"category\"\nlevels = {{ {list} }}\nreference = \"l0\"\n\
         [data.columns.right]\ntype = \"category\"\nlevels = {{ {list} }}\nreference = \"l0\"\n\
         {analysis}\n\
         [privacy]\nmode = \"distributed\"\nepsilon = \"3\"\ndelta = \"1e-5\"\nexpected_patients = 600\n\
         most_patients_per_silo = 1000\n"
    )
}

/// Kilobytes that a trainer has asked for at most when it is about to write the last megabytes of its contribution. What it
/// has asked for, and not what it has touched, is what its limit counts.
fn peak(folder: &Path, study: &str, all: u64, fitting: u64) -> u64 {
    let csv = patients(all, fitting);
    let data = folder.join("patients.csv");
    fs::write(&data, &csv).unwrap();
    let task = Task::new(&Study::parse(study.as_bytes()).unwrap()).unwrap();
    let request = Request::Contribute {
        job: Job {
            data: data.to_str().unwrap().to_owned(),
            registered: *sha256(csv.as_bytes()).as_bytes(),
            study: study.as_bytes().to_vec(),
        },
        model: task.initial_model().to_bytes(),
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_consilium-silo-agent"))
        .arg("trainer")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let question = postcard::to_allocvec(&request).unwrap();
    let mut input = child.stdin.take().unwrap();
    let length = u32::try_from(question.len()).unwrap();
    input.write_all(&length.to_le_bytes()).unwrap();
    input.write_all(&question).unwrap();
    drop(input);

    let mut output = child.stdout.take().unwrap();
    let mut length = [0; 4];
    output.read_exact(&mut length).unwrap();
    skip(&mut output, u64::from(u32::from_le_bytes(length)));
    skip(&mut output, 9);
    let length = all * u64::try_from(task.dimension()).unwrap() * 8;
    // It is longer than what a pipe holds: the trainer waits until it is read.
    let rest = 1 << 20;
    skip(&mut output, length - rest);
    let peak = high_water_mark(&child);
    skip(&mut output, rest);
    assert_eq!(output.read(&mut [0; 8]).unwrap(), 0);
    assert!(child.wait().unwrap().success());
    peak
}

fn skip(output: &mut ChildStdout, length: u64) {
    let skipped = std::io::copy(&mut output.take(length), &mut std::io::sink()).unwrap();
    assert_eq!(skipped, length);
}

fn high_water_mark(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak:"));
    let words = line.unwrap().split_whitespace().nth(1);
    words.unwrap().parse().unwrap()
}

/// A vector is 2 megabytes, and 400 of them would be 800.
#[test]
fn a_trainer_takes_as_much_memory_for_four_hundred_patients_who_fit_as_for_forty() {
    let folder = tempfile::tempdir().unwrap();
    let table = "[analysis]\nkind = \"statistics\"\n[[analysis.counts]]\ncolumn = \"hiv\"\n[[analysis.tables]]\nrows = \"left\"\ncolumns = \"right\"\n";
    let study = study(500, table).replace(
        "most_patients_per_silo = 1000\n",
        "most_patients_per_silo = 1000\nmost_rows_per_patient = 1\n",
    );
    assert_patients_take_no_memory(folder.path(), &study);
}

/// A row of features is 32 kilobytes, and 400 of them, kept twice, would be 26 megabytes; as many vectors are 13.
#[test]
fn a_row_of_features_is_made_when_it_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let model = "[analysis]\nkind = \"logistic-regression\"\n\
         outcome = { column = \"hiv\", positive = \"yes\" }\nfeatures = [\"left\", \"right\"]\nmethod = \"fedsgd\"\n\
         [rounds]\nmost = 1\nlearning_rate = 1\nspare_attempts = 1\n";
    let study = study(2_050, model).replace(
        "most_patients_per_silo = 1000\n",
        "most_patients_per_silo = 1000\nclip = 1.0\n",
    );
    assert_patients_take_no_memory(folder.path(), &study);
}

fn assert_patients_take_no_memory(folder: &Path, study: &str) {
    let few = peak(folder, study, 40, 40);
    for fitting in [40, 400] {
        let many = peak(folder, study, 400, fitting);
        assert!(many < few + MARGIN, "{fitting}: {few} and {many} kilobytes");
    }
}

/// What allocators and the kernel add by themselves, in kilobytes.
const MARGIN: u64 = 4_096;
