// SPDX-License-Identifier: Apache-2.0
//! Questions to a person at the hospital, and notices from other commands of the same folder.

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{Journal, JournalFault, StudyState, sql_number};

/// A study that waits for a person, or waited.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Approval {
    /// The study's identifier.
    pub study: String,
    /// What is asked, in words.
    pub summary: String,
    /// What it costs and whom it meets.
    pub terms: ApprovalTerms,
    /// When silence becomes a refusal, in Unix milliseconds.
    pub deadline_milliseconds: u64,
    /// What the person said.
    pub answer: Option<Answer>,
}

/// What a person should know before saying yes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ApprovalTerms {
    /// The privacy loss of the whole study; `None` without noise.
    pub epsilon: Option<String>,
    /// The delta that goes with it.
    pub delta: Option<String>,
    /// Rounds, and spare attempts at them.
    pub attempts: u32,
    /// The silos invited.
    pub silos: Vec<String>,
    /// The share of the data set's budget that the study sets aside.
    pub budget_needed: Option<f64>,
    /// The share that is left then.
    pub budget_left_afterwards: Option<f64>,
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

/// What that log is to say of an entry of the ledger.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LedgerNotice {
    pub(crate) kind: &'static str,
    pub(crate) object: String,
    pub(crate) detail: String,
}

impl Journal {
    /// Puts a study before a person.
    pub(crate) fn ask_approval(
        &mut self,
        study: &str,
        summary: &str,
        terms: &ApprovalTerms,
        deadline: u64,
    ) -> Result<(), JournalFault> {
        let terms = serde_json::to_string(terms).map_err(|_| self.unreadable("approval"))?;
        self.transact("written", |transaction| {
            transaction.execute(
                "INSERT OR IGNORE INTO approvals (study, summary, terms, deadline_milliseconds) VALUES (?1, ?2, ?3, ?4)",
                params![study, summary, terms, sql_number(deadline)],
            )
        })?;
        Ok(())
    }

    /// Every question that is open or was just answered.
    pub fn approvals(&self) -> Result<Vec<Approval>, JournalFault> {
        type Row = (
            String,
            String,
            String,
            i64,
            Option<String>,
            Option<String>,
            Option<String>,
        );
        let mut statement = self
            .connection
            .prepare("SELECT study, summary, terms, deadline_milliseconds, answer, person, reason FROM approvals ORDER BY rowid")
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
                    row.get(6)?,
                ))
            })
            .map_err(self.fault("read"))?;
        rows.map(|row| {
            let (study, summary, terms, deadline, answer, person, reason): Row =
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
                terms: serde_json::from_str(&terms).map_err(|_| self.unreadable("approval"))?,
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

    /// Asks the agent to take part in a study no longer; `study` may be any unambiguous beginning. Gives the whole.
    pub(crate) fn withdraw(
        &mut self,
        study: &str,
        person: &str,
        reason: &str,
    ) -> Result<String, JournalFault> {
        let found = self.find_study(study)?;
        if found.state != StudyState::Granted {
            return Err(JournalFault::NotGranted {
                study: found.id,
                state: found.state.word().to_owned(),
            });
        }
        self.transact("written", |transaction| {
            transaction.execute(
                "INSERT OR IGNORE INTO withdrawals (study, person, reason) VALUES (?1, ?2, ?3)",
                [&found.id, person, reason],
            )
        })?;
        Ok(found.id)
    }

    /// Consents that people took back and the agent has not acted on: study, person and reason.
    pub(crate) fn withdrawals(&self) -> Result<Vec<(String, String, String)>, JournalFault> {
        let mut statement = self
            .connection
            .prepare("SELECT study, person, reason FROM withdrawals ORDER BY rowid")
            .map_err(self.fault("read"))?;
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .map_err(self.fault("read"))?;
        rows.collect::<Result<_, _>>().map_err(self.fault("read"))
    }

    /// Forgets a withdrawal once the agent has acted on it.
    pub(crate) fn forget_withdrawal(&mut self, study: &str) -> Result<(), JournalFault> {
        self.transact("written", |transaction| {
            transaction.execute("DELETE FROM withdrawals WHERE study = ?1", [study])
        })?;
        Ok(())
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
