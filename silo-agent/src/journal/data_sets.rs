// SPDX-License-Identifier: Apache-2.0
//! What the journal remembers of data sets for good: which cohort saw a file without noise, and how often a researcher heard
//! that it is not ready.

use consilium_crypto::digest::Digest;
use rusqlite::{OptionalExtension, params};

use super::{Journal, JournalFault};

/// One file of one lineage: what a sum without noise was, or would be, about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegisteredFile<'a> {
    /// The data set whose budget and cohort these patients share, whatever names and files they stand in.
    pub(crate) lineage: &'a str,
    /// The file's SHA-256.
    pub(crate) sha256: &'a Digest,
}

impl Journal {
    /// Binds a file to the one cohort that it may meet without noise; refuses another.
    pub(crate) fn bind_cohort(
        &mut self,
        file: RegisteredFile<'_>,
        invited: &[String],
    ) -> Result<(), JournalFault> {
        self.check_cohort(file, invited)?;
        let cohort = cohort_text(invited);
        self.transact("written", |transaction| {
            transaction.execute(
                "INSERT OR IGNORE INTO cohorts (data, sha256, invited) VALUES (?1, ?2, ?3)",
                params![file.lineage, file.sha256.as_bytes().as_slice(), cohort],
            )
        })?;
        Ok(())
    }

    /// Refuses work without noise in another cohort than the one that the file met before, and on a file that replaced
    /// one which met a cohort: two such sums could be subtracted.
    pub(crate) fn check_cohort(
        &self,
        file: RegisteredFile<'_>,
        invited: &[String],
    ) -> Result<(), JournalFault> {
        let RegisteredFile {
            lineage: data,
            sha256,
        } = file;
        let digest = sha256.as_bytes().as_slice();
        let met: Option<String> = self
            .connection
            .query_row(
                "SELECT invited FROM cohorts WHERE sha256 = ?1 AND (invited <> ?2 OR data = ?3)
                 ORDER BY invited = ?2 LIMIT 1",
                params![digest, cohort_text(invited), data],
                |row| row.get(0),
            )
            .optional()
            .map_err(self.fault("read"))?;
        match met {
            Some(recorded) if recorded != cohort_text(invited) => {
                return Err(JournalFault::OtherCohort {
                    data: data.to_owned(),
                    recorded,
                });
            }
            Some(_) => return Ok(()),
            None => {}
        }
        let replaced: bool = self
            .connection
            .query_row(
                "SELECT EXISTS (SELECT 1 FROM cohorts WHERE data = ?1)
                 AND NOT EXISTS (SELECT 1 FROM new_cohorts WHERE data = ?1 AND sha256 = ?2)",
                params![data, digest],
                |row| row.get(0),
            )
            .map_err(self.fault("read"))?;
        if replaced {
            return Err(JournalFault::ReplacedData {
                data: data.to_owned(),
            });
        }
        Ok(())
    }

    /// Counts a study whose researcher heard that a data set is not ready.
    pub(crate) fn record_not_ready(
        &mut self,
        study: &str,
        researcher: &str,
        data: &str,
    ) -> Result<(), JournalFault> {
        self.transact("written", |transaction| {
            transaction.execute(
                "INSERT OR IGNORE INTO not_ready (study, researcher, data) VALUES (?1, ?2, ?3)",
                params![study, researcher, data],
            )
        })?;
        Ok(())
    }

    /// For how many studies a researcher has heard that a data set is not ready.
    pub(crate) fn not_ready_answers(
        &self,
        researcher: &str,
        data: &str,
    ) -> Result<u64, JournalFault> {
        let count: i64 = self
            .connection
            .query_row(
                "SELECT count(*) FROM not_ready WHERE researcher = ?1 AND data = ?2",
                [researcher, data],
                |row| row.get(0),
            )
            .map_err(self.fault("read"))?;
        u64::try_from(count).map_err(|_| self.unreadable("count"))
    }
}

fn cohort_text(invited: &[String]) -> String {
    let mut names = invited.to_vec();
    names.sort();
    names.join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::journal::{NewRegistration, OfficersWord};

    const FIRST: Digest = Digest::from_bytes([1; 32]);
    const CHANGED: Digest = Digest::from_bytes([2; 32]);

    fn file<'a>(lineage: &'a str, sha256: &'a Digest) -> RegisteredFile<'a> {
        RegisteredFile { lineage, sha256 }
    }

    fn register(
        journal: &mut Journal,
        file: RegisteredFile<'_>,
        new_cohort: Option<OfficersWord<'_>>,
    ) -> Result<String, JournalFault> {
        journal.register(NewRegistration {
            data: file.lineage,
            sha256: file.sha256,
            patient_marks: &[],
            row_marks: &[],
            lineage: None,
            other_patients: None,
            new_cohort,
        })
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_data_set_meets_one_cohort_without_noise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let mut journal = Journal::open(&path).unwrap();
        let (trial, other) = (file("trial", &FIRST), file("other", &CHANGED));
        for _ in 0..2 {
            journal
                .bind_cohort(trial, &names(&["c", "a", "b"]))
                .unwrap();
        }
        journal.bind_cohort(other, &names(&["a", "b"])).unwrap();
        drop(journal);
        let mut journal = Journal::open(&path).unwrap();
        let fault = journal.bind_cohort(trial, &names(&["a", "b"])).unwrap_err();
        assert!(matches!(fault, JournalFault::OtherCohort { .. }));
    }

    #[test]
    fn the_same_file_under_another_name_is_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&folder.path().join("journal.sqlite")).unwrap();
        register(&mut journal, file("trial", &FIRST), None).unwrap();
        register(&mut journal, file("trial", &FIRST), None).unwrap();
        let fault = register(&mut journal, file("alias", &FIRST), None).unwrap_err();
        assert!(fault.to_string().contains("`trial`"), "{fault}");
        // Even if a description was written by hand.
        journal
            .bind_cohort(file("trial", &FIRST), &names(&["a", "b", "c"]))
            .unwrap();
        let fault = journal
            .check_cohort(file("alias", &FIRST), &names(&["a", "b"]))
            .unwrap_err();
        assert!(matches!(fault, JournalFault::OtherCohort { .. }));
    }

    #[test]
    fn a_changed_file_meets_no_cohort_without_noise_before_an_officer_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&folder.path().join("journal.sqlite")).unwrap();
        let cohort = names(&["a", "b", "c"]);
        // Replaced before anything was computed without noise.
        register(&mut journal, file("trial", &CHANGED), None).unwrap();
        register(&mut journal, file("trial", &FIRST), None).unwrap();
        journal.bind_cohort(file("trial", &FIRST), &cohort).unwrap();
        // One patient was taken out; the difference of two sums would be that patient.
        register(&mut journal, file("trial", &CHANGED), None).unwrap();
        let fault = journal
            .bind_cohort(file("trial", &CHANGED), &cohort)
            .unwrap_err();
        assert!(matches!(fault, JournalFault::ReplacedData { .. }));
        assert!(fault.to_string().contains("--new-cohort"), "{fault}");
        journal
            .check_cohort(file("trial", &FIRST), &cohort)
            .unwrap();
        let said = OfficersWord {
            person: "m.keller",
            reason: "follow-up closed",
        };
        register(&mut journal, file("trial", &CHANGED), Some(said)).unwrap();
        journal
            .bind_cohort(file("trial", &CHANGED), &cohort)
            .unwrap();
        let fewer = names(&["a", "b"]);
        assert!(
            journal
                .check_cohort(file("trial", &CHANGED), &fewer)
                .is_err()
        );
    }

    #[test]
    fn answers_that_tell_of_the_data_are_counted_once_a_study() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&folder.path().join("journal.sqlite")).unwrap();
        for study in ["s1", "s2", "s2"] {
            journal.record_not_ready(study, "a.ruiz", "trial").unwrap();
        }
        journal.record_not_ready("s3", "b.sato", "trial").unwrap();
        assert_eq!(journal.not_ready_answers("a.ruiz", "trial").unwrap(), 2);
        assert_eq!(journal.not_ready_answers("a.ruiz", "other").unwrap(), 0);
    }
}
