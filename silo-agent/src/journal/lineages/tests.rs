// SPDX-License-Identifier: Apache-2.0
use super::*;

struct Files {
    _folder: tempfile::TempDir,
    journal: Journal,
    files: u8,
}

impl Files {
    fn new() -> Files {
        let folder = tempfile::tempdir().unwrap();
        Files {
            journal: Journal::open(&folder.path().join("journal.sqlite")).unwrap(),
            _folder: folder,
            files: 0,
        }
    }

    /// Registers a file that nobody has seen, of these patients and rows.
    fn register(
        &mut self,
        data: &str,
        patients: &[u8],
        rows: &[u8],
        says: Says,
    ) -> Result<String, JournalFault> {
        self.files += 1;
        let marks = |kind: u8, of: &[u8]| of.iter().map(|mark| mark_of(kind, *mark)).collect();
        let (patient_marks, row_marks): (Vec<Mark>, Vec<Mark>) =
            (marks(1, patients), marks(2, rows));
        let others = OfficersWord {
            person: "m.keller",
            reason: "numbers begin at 1 in every ward",
        };
        self.journal.register(NewRegistration {
            data,
            sha256: &Digest::from_bytes([self.files; 32]),
            patient_marks: &patient_marks,
            row_marks: &row_marks,
            lineage: match says {
                Says::Continues(lineage) => Some(lineage),
                Says::Nothing | Says::Others => None,
            },
            other_patients: matches!(says, Says::Others).then_some(others),
            new_cohort: None,
        })
    }

    fn notices(&mut self) -> String {
        let mut told = String::new();
        while let Some(notice) = self.journal.next_notice().unwrap() {
            told.push_str(&notice.detail);
            self.journal.forget_notice(&notice).unwrap();
        }
        told
    }
}

fn mark_of(kind: u8, mark: u8) -> Mark {
    let mut bytes = [mark; 16];
    bytes[0] = kind;
    bytes
}

/// What an officer says beside.
#[derive(Clone, Copy)]
enum Says {
    Nothing,
    Continues(&'static str),
    Others,
}

#[test]
fn a_file_that_shares_one_patient_joins_the_budget_or_is_refused() {
    let mut files = Files::new();
    let lineage = files.register("trial", &[1, 2, 3], &[1, 2, 3], Says::Nothing);
    assert_eq!(lineage.unwrap(), "trial");
    // One byte of one row was changed, and the name.
    let fault = files
        .register("trial-2", &[1, 2, 3], &[1, 2, 9], Says::Nothing)
        .unwrap_err();
    let text = fault.to_string();
    assert!(
        text.contains("3 patients") && text.contains("2 rows"),
        "{text}"
    );
    assert!(
        text.contains("--lineage trial") && text.contains("--other-patients"),
        "{text}"
    );
    // Nothing of it was kept.
    assert!(files.register("third", &[], &[9], Says::Nothing).is_ok());
    let lineage = files.register("trial-2", &[1, 2, 3], &[1, 2, 9], Says::Continues("trial"));
    assert_eq!(lineage.unwrap(), "trial");
    // It stays there, also for the next file, and others may join by its name too.
    let lineage = files.register("trial-2", &[1, 7], &[7], Says::Nothing);
    assert_eq!(lineage.unwrap(), "trial");
    let lineage = files.register("trial-3", &[7], &[7], Says::Continues("trial-2"));
    assert_eq!(lineage.unwrap(), "trial");
}

#[test]
fn a_few_rows_alike_are_chance_and_more_are_not() {
    let mut files = Files::new();
    files
        .register("trial", &[], &[1, 2, 3, 4, 5], Says::Nothing)
        .unwrap();
    files
        .register("chance", &[], &[1, 2, 3, 60], Says::Nothing)
        .unwrap();
    let fault = files.register("copy", &[], &[1, 2, 3, 4], Says::Nothing);
    assert!(
        matches!(fault, Err(JournalFault::SharedPatients { ref lineage, rows: 4, .. }) if lineage == "trial")
    );
}

#[test]
fn patients_of_a_file_that_was_replaced_are_remembered() {
    let mut files = Files::new();
    files.register("trial", &[1], &[1], Says::Nothing).unwrap();
    files.register("trial", &[2], &[2], Says::Nothing).unwrap();
    assert!(files.register("other", &[1], &[9], Says::Nothing).is_err());
}

#[test]
fn an_officer_may_say_that_the_patients_are_others_and_is_asked_once() {
    let mut files = Files::new();
    files
        .register("ward-a", &[1, 2], &[1], Says::Nothing)
        .unwrap();
    assert!(
        files
            .register("ward-b", &[1, 2], &[5], Says::Nothing)
            .is_err()
    );
    let lineage = files.register("ward-b", &[1, 2], &[5], Says::Others);
    assert_eq!(lineage.unwrap(), "ward-b");
    let notices = files.notices();
    for word in ["m.keller", "`ward-a`", "2 names", "begin at 1"] {
        assert!(notices.contains(word), "{word}: {notices}");
    }
    files
        .register("ward-b", &[1, 2], &[6], Says::Nothing)
        .unwrap();
    // A further patient of the other ward is a further question.
    files.register("ward-a", &[3], &[7], Says::Nothing).unwrap();
    assert!(
        files
            .register("ward-b", &[1, 2, 3], &[6], Says::Nothing)
            .is_err()
    );
}

#[test]
fn a_lineage_is_settled_once_and_must_exist() {
    let mut files = Files::new();
    files.register("trial", &[1], &[1], Says::Nothing).unwrap();
    files.register("other", &[2], &[2], Says::Nothing).unwrap();
    let fault = files.register("other", &[3], &[3], Says::Continues("trial"));
    assert!(
        matches!(fault, Err(JournalFault::OtherLineage { ref lineage, .. }) if lineage == "other")
    );
    let fault = files.register("new", &[4], &[4], Says::Continues("trail"));
    assert!(matches!(fault, Err(JournalFault::UnknownLineage { .. })));
}

#[test]
fn the_key_of_marks_is_made_once() {
    let mut files = Files::new();
    let key = files.journal.mark_key().unwrap();
    assert_eq!(files.journal.mark_key().unwrap(), key);
    assert_ne!(Files::new().journal.mark_key().unwrap(), key);
}
