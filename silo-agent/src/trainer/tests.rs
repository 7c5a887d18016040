// SPDX-License-Identifier: Apache-2.0
use std::fs;
use std::time::Instant;

use super::*;

/// A program that gives this answer, whatever it is asked.
pub(crate) fn answering(folder: &Path, answer: &Answer) -> TrainerCommand {
    let file = folder.join("answer");
    let mut bytes = Vec::new();
    write_message(&mut bytes, answer).unwrap();
    fs::write(&file, bytes).unwrap();
    let script = format!("/bin/cat {}; exec /bin/cat > /dev/null", file.display());
    TrainerCommand(vec!["/bin/sh".into(), "-c".into(), script.into()])
}

/// What a trainer finds in a file of 300 patients, behind walls of that height.
pub(crate) fn description(isolation: Isolation) -> Answer {
    Answer {
        isolation,
        outcome: Ok(Finding::Described(Description {
            sha256: [5; 32],
            rows: 310,
            patients: 300,
            columns: vec!["id".to_owned()],
            patient_marks: Vec::new(),
            row_marks: Vec::new(),
        })),
    }
}

#[test]
fn a_description_from_behind_lower_walls_than_needed_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let command = answering(folder.path(), &description(Isolation::Process));
    let trainer = Trainer::new(command);
    let describe = |needed| trainer.describe("x.csv", None, None, needed);
    assert!(describe(Isolation::Process).is_ok());
    let fault = describe(Isolation::Sandbox).unwrap_err();
    assert!(matches!(fault, TrainerFault::Isolation { .. }), "{fault}");
}

#[test]
fn a_trainer_that_does_not_answer_is_killed() {
    let command = TrainerCommand(vec!["/bin/sleep".into(), "600".into()]);
    let trainer = Trainer::within(command, Duration::from_millis(50));
    let before = Instant::now();
    let fault = trainer
        .describe("x.csv", None, None, Isolation::Process)
        .unwrap_err();
    assert!(matches!(fault, TrainerFault::TooLong(_)), "{fault}");
    assert!(before.elapsed() < Duration::from_secs(60));
}

#[cfg(target_os = "linux")]
#[test]
fn a_trainer_is_the_very_program_that_runs() {
    let TrainerCommand(words) = TrainerCommand::this_executable(&["trainer"]);
    assert_eq!(words, ["/proc/self/exe", "trainer"]);
}
