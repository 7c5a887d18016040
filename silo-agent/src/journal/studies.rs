// SPDX-License-Identifier: Apache-2.0
//! The studies that were offered, what was answered, and how far each has come.

use consilium_crypto::digest::Digest;
use consilium_protocol::AttemptId;
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::{Journal, JournalFault};

/// A study as it was offered; nothing here is believed until consent has checked it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// The study file's exact bytes.
    pub study: Vec<u8>,
    /// Who is said to have submitted it.
    pub researcher: String,
    /// The researcher's signature over the bytes.
    pub signature: Vec<u8>,
    /// The silos that are invited.
    pub invited: Vec<String>,
    /// When a person's silence becomes a refusal: so long after the arrival as the researcher signed for, in Unix
    /// milliseconds.
    pub deadline_milliseconds: u64,
}

/// What this silo answered, and what became of the study.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum StudyState {
    /// Nothing decided yet.
    Offered,
    /// A person must approve.
    AwaitingApproval,
    /// Consented.
    Granted,
    /// Refused, with the conditions that others were told.
    Refused {
        /// Each failed condition as rule and statement.
        conditions: Vec<(String, String)>,
    },
    /// The data set cannot serve the study; others were told that one word.
    NotReady,
    /// The study is over.
    Ended {
        /// How, in one word.
        outcome: String,
    },
}

impl StudyState {
    /// The word shown to people.
    pub fn word(&self) -> &str {
        match self {
            StudyState::Offered => "offered",
            StudyState::AwaitingApproval => "awaiting-approval",
            StudyState::Granted => "granted",
            StudyState::Refused { .. } => "refused",
            StudyState::NotReady => "not-ready",
            StudyState::Ended { outcome } => outcome,
        }
    }
}

/// One study of the journal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StudyRecord {
    /// The study's identifier.
    pub id: String,
    /// The offer.
    pub offer: Offer,
    /// What was answered.
    pub state: StudyState,
    /// Rounds whose sums were verified.
    pub rounds_done: u32,
    /// The public model after them; `None` before the first.
    pub model: Option<Vec<u8>>,
    /// Whether the study needs no further round.
    pub complete: bool,
    /// The last verified release: its attempt and H(S).
    pub last_release: Option<(AttemptId, Digest)>,
}

impl Journal {
    /// Remembers an offer. A second offer under the same identifier changes nothing.
    pub(crate) fn record_offer(&mut self, id: &str, offer: &Offer) -> Result<(), JournalFault> {
        let (offer, state) = (self.encode(offer)?, self.state_text(&StudyState::Offered)?);
        self.transact("written", |transaction| {
            transaction.execute(
                "INSERT OR IGNORE INTO studies (id, offer, state) VALUES (?1, ?2, ?3)",
                params![id, offer, state],
            )
        })?;
        Ok(())
    }

    /// Remembers an answer, before it is sent.
    pub(crate) fn record_state(
        &mut self,
        id: &str,
        state: &StudyState,
    ) -> Result<(), JournalFault> {
        let state = self.state_text(state)?;
        self.transact("written", |transaction| {
            transaction.execute("UPDATE studies SET state = ?2 WHERE id = ?1", params![id, state])?;
            transaction.execute(
                "DELETE FROM approvals WHERE study = ?1 AND ?2 <> '{\"state\":\"awaiting-approval\"}'",
                params![id, state],
            )
        })?;
        Ok(())
    }

    /// One study.
    pub(crate) fn study(&self, id: &str) -> Result<Option<StudyRecord>, JournalFault> {
        let row = self
            .connection
            .query_row(&format!("{SELECT} WHERE id = ?1"), [id], columns)
            .optional()
            .map_err(self.fault("read"))?;
        row.map(|row| self.record(row)).transpose()
    }

    /// How many studies are offered, undecided or running.
    pub(crate) fn open_studies(&self) -> Result<u64, JournalFault> {
        let offered = self.state_text(&StudyState::Offered)?;
        let undecided = self.state_text(&StudyState::AwaitingApproval)?;
        let granted = self.state_text(&StudyState::Granted)?;
        let count: i64 = self
            .connection
            .query_row(
                "SELECT count(*) FROM studies WHERE state IN (?1, ?2, ?3)",
                params![offered, undecided, granted],
                |row| row.get(0),
            )
            .map_err(self.fault("read"))?;
        u64::try_from(count).map_err(|_| self.unreadable("study"))
    }

    /// The study with this identifier, or the only one whose identifier begins so.
    pub(crate) fn find_study(&self, beginning: &str) -> Result<StudyRecord, JournalFault> {
        let mut matching = self
            .studies()?
            .into_iter()
            .filter(|record| !beginning.is_empty() && record.id.starts_with(beginning));
        match (matching.next(), matching.next()) {
            (Some(found), None) => Ok(found),
            (None, _) | (Some(_), Some(_)) => Err(JournalFault::NoStudy {
                study: beginning.to_owned(),
            }),
        }
    }

    /// Every study, in the order in which they were offered.
    pub fn studies(&self) -> Result<Vec<StudyRecord>, JournalFault> {
        let mut statement = self
            .connection
            .prepare(&format!("{SELECT} ORDER BY rowid"))
            .map_err(self.fault("read"))?;
        let rows = statement
            .query_map([], columns)
            .map_err(self.fault("read"))?;
        rows.map(|row| self.record(row.map_err(self.fault("read"))?))
            .collect()
    }

    fn record(
        &self,
        (id, offer, state, rounds_done, model, complete, release): Columns,
    ) -> Result<StudyRecord, JournalFault> {
        Ok(StudyRecord {
            id,
            offer: self.decode(&offer, "study")?,
            state: serde_json::from_str(&state).map_err(|_| self.unreadable("study"))?,
            rounds_done,
            model,
            complete,
            last_release: release
                .map(|release| self.decode(&release, "release"))
                .transpose()?,
        })
    }

    fn state_text(&self, state: &StudyState) -> Result<String, JournalFault> {
        serde_json::to_string(state).map_err(|_| self.unreadable("study"))
    }
}

type Columns = (
    String,
    Vec<u8>,
    String,
    u32,
    Option<Vec<u8>>,
    bool,
    Option<Vec<u8>>,
);

const SELECT: &str =
    "SELECT id, offer, state, rounds_done, model, complete, last_release FROM studies";

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
        row.get(6)?,
    ))
}
