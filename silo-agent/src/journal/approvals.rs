// SPDX-License-Identifier: Apache-2.0
//! Questions to a person at the hospital, and notices from other commands of the same folder.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::{Journal, JournalFault, sql_number};

/// A study that waits for a person, or waited.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Approval {
    /// The study's identifier.
    pub study: String,
    /// What is asked, in words.
    pub summary: String,
    /// When silence becomes a refusal, in Unix milliseconds.
    pub deadline_milliseconds: u64,
    /// What the person said.
    pub answer: Option<Answer>,
}

/// What a person said.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub enum Answer {
    /// Yes.
    Approved {
        /// Who said it.
        person: String,
    },
    /// No.
    Refused {
        /// Who said it.
        person: String,
        /// Why, for the hospital's own log.
        reason: String,
    },
}

/// Something another command did, to be written into the hospital's own log by the agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Notice {
    pub(crate) id: i64,
    pub(crate) kind: String,
    pub(crate) object: String,
    pub(crate) detail: String,
}

impl Journal {
    /// Puts a study before a person.
    pub(crate) fn ask_approval(
        &mut self,
        study: &str,
        summary: &str,
        deadline: u64,
    ) -> Result<(), JournalFault> {
        self.transact("written", |transaction| {
            transaction.execute(
                "INSERT OR IGNORE INTO approvals (study, summary, deadline_milliseconds) VALUES (?1, ?2, ?3)",
                params![study, summary, sql_number(deadline)],
            )
        })?;
        Ok(())
    }

    /// Every question that is open or was just answered.
    pub fn approvals(&self) -> Result<Vec<Approval>, JournalFault> {
        type Row = (
            String,
            String,
            i64,
            Option<String>,
            Option<String>,
            Option<String>,
        );
        let mut statement = self
            .connection
            .prepare("SELECT study, summary, deadline_milliseconds, answer, person, reason FROM approvals ORDER BY rowid")
            .map_err(self.fault("read"))?;
        let rows = statement
            .query_map([], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                ))
            })
            .map_err(self.fault("read"))?;
        rows.map(|row| {
            let (study, summary, deadline, answer, person, reason): Row =
                row.map_err(self.fault("read"))?;
            let person = person.unwrap_or_default();
            let answer = match answer.as_deref() {
                None => None,
                Some("approved") => Some(Answer::Approved { person }),
                Some("refused") => Some(Answer::Refused {
                    person,
                    reason: reason.unwrap_or_default(),
                }),
                Some(_) => return Err(self.unreadable("approval")),
            };
            let deadline_milliseconds =
                u64::try_from(deadline).map_err(|_| self.unreadable("approval"))?;
            Ok(Approval {
                study,
                summary,
                deadline_milliseconds,
                answer,
            })
        })
        .collect()
    }

    /// Writes a person's answer; `study` may be any unambiguous beginning of the identifier. Gives the whole one.
    pub fn answer_approval(
        &mut self,
        study: &str,
        answer: &Answer,
    ) -> Result<String, JournalFault> {
        let (word, person, reason) = match answer {
            Answer::Approved { person } => ("approved", person, ""),
            Answer::Refused { person, reason } => ("refused", person, reason.as_str()),
        };
        let found = self.transact("written", |transaction| {
            let matching = {
                let mut statement = transaction
                    .prepare("SELECT study FROM approvals WHERE answer IS NULL AND substr(study, 1, length(?1)) = ?1")?;
                statement.query_map([study], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?
            };
            let [found] = matching.as_slice() else { return Ok(None) };
            transaction.execute(
                "UPDATE approvals SET answer = ?2, person = ?3, reason = ?4 WHERE study = ?1",
                params![found, word, person, reason],
            )?;
            Ok(Some(found.clone()))
        })?;
        found.ok_or_else(|| JournalFault::NoApproval {
            study: study.to_owned(),
        })
    }

    /// Leaves a note for the hospital's own log, which only the agent writes.
    pub(crate) fn leave_notice(
        &mut self,
        kind: &str,
        object: &str,
        detail: &str,
    ) -> Result<(), JournalFault> {
        self.transact("written", |transaction| {
            transaction.execute(
                "INSERT INTO notices (kind, object, detail) VALUES (?1, ?2, ?3)",
                params![kind, object, detail],
            )
        })?;
        Ok(())
    }

    /// The oldest note that is not in the log yet.
    pub(crate) fn next_notice(&self) -> Result<Option<Notice>, JournalFault> {
        self.connection
            .query_row(
                "SELECT id, kind, object, detail FROM notices ORDER BY id LIMIT 1",
                [],
                |row| {
                    Ok(Notice {
                        id: row.get(0)?,
                        kind: row.get(1)?,
                        object: row.get(2)?,
                        detail: row.get(3)?,
                    })
                },
            )
            .optional()
            .map_err(self.fault("read"))
    }

    /// Forgets a note once it is in the log.
    pub(crate) fn forget_notice(&mut self, notice: &Notice) -> Result<(), JournalFault> {
        self.transact("written", |transaction| {
            transaction.execute("DELETE FROM notices WHERE id = ?1", [notice.id])
        })?;
        Ok(())
    }
}
