// SPDX-License-Identifier: Apache-2.0
//! What the journal remembers of data sets for good: under which one name a file was registered, which cohort saw it
//! without noise, and how often a researcher heard that it is not ready.

use consilium_crypto::digest::Digest;
use rusqlite::{OptionalExtension, params};

use super::{Journal, JournalFault};

/// One file under one name: what a sum without noise was, or would be, about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegisteredFile<'a> {
    /// The name that studies use; its budget is the same whatever file stands behind it.
    pub(crate) data: &'a str,
    /// The file's SHA-256.
    pub(crate) sha256: &'a Digest,
}

/// An officer's word that a changed file may meet a cohort of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewCohort<'a> {
    /// Who says so.
    pub(crate) person: &'a str,
    /// Why.
    pub(crate) reason: &'a str,
}

impl Journal {
    /// Remembers a registration.
    ///
    /// SECURITY: one file has one name. Under two it would have two budgets and could meet two cohorts.
    pub(crate) fn register(
        &mut self,
        file: RegisteredFile<'_>,
        new_cohort: Option<NewCohort<'_>>,
    ) -> Result<(), JournalFault> {
        let RegisteredFile { data, sha256 } = file;
        let digest = sha256.as_bytes().as_slice();
        let other = self.transact("written", |transaction| {
            let other: Option<String> = transaction
                .query_row(
                    "SELECT data FROM registrations WHERE sha256 = ?1 AND data <> ?2",
                    params![digest, data],
                    |row| row.get(0),
                )
                .optional()?;
            if other.is_some() {
                return Ok(other);
            }
            transaction.execute(
                "INSERT OR IGNORE INTO registrations (data, sha256) VALUES (?1, ?2)",
                params![data, digest],
            )?;
            if let Some(NewCohort { person, reason }) = new_cohort {
                transaction.execute(
                    "INSERT OR IGNORE INTO new_cohorts (data, sha256, person, reason) VALUES (?1, ?2, ?3, ?4)",
                    params![data, digest, person, reason],
                )?;
                transaction.execute(
                    "INSERT INTO notices (kind, object, detail) VALUES ('data_set.registered', ?1, ?2)",
                    params![data, format!("`{person}` opens a new cohort for sha256 {sha256}: {reason}")],
                )?;
            }
            transaction.execute(
                "INSERT INTO notices (kind, object, detail) VALUES ('data_set.registered', ?1, ?2)",
                params![data, format!("sha256 {sha256}")],
            )?;
            Ok(None)
        })?;
        match other {
            None => Ok(()),
            Some(other) => Err(JournalFault::RegisteredElsewhere {
                data: data.to_owned(),
                other,
            }),
        }
    }

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
                params![file.data, file.sha256.as_bytes().as_slice(), cohort],
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
        let RegisteredFile { data, sha256 } = file;
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

    const FIRST: Digest = Digest::from_bytes([1; 32]);
    const CHANGED: Digest = Digest::from_bytes([2; 32]);

    fn file<'a>(data: &'a str, sha256: &'a Digest) -> RegisteredFile<'a> {
        RegisteredFile { data, sha256 }
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
        journal.register(file("trial", &FIRST), None).unwrap();
        journal.register(file("trial", &FIRST), None).unwrap();
        let fault = journal.register(file("alias", &FIRST), None).unwrap_err();
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
        journal.register(file("trial", &CHANGED), None).unwrap();
        journal.register(file("trial", &FIRST), None).unwrap();
        journal.bind_cohort(file("trial", &FIRST), &cohort).unwrap();
        // One patient was taken out; the difference of two sums would be that patient.
        journal.register(file("trial", &CHANGED), None).unwrap();
        let fault = journal
            .bind_cohort(file("trial", &CHANGED), &cohort)
            .unwrap_err();
        assert!(matches!(fault, JournalFault::ReplacedData { .. }));
        assert!(fault.to_string().contains("--new-cohort"), "{fault}");
        journal
            .check_cohort(file("trial", &FIRST), &cohort)
            .unwrap();
        let said = NewCohort {
            person: "m.keller",
            reason: "follow-up closed",
        };
        journal
            .register(file("trial", &CHANGED), Some(said))
            .unwrap();
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
