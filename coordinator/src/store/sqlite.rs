// SPDX-License-Identifier: Apache-2.0
//! The store in one SQLite file.

use super::{
    Participant, Store, StoreFault, StoredAcceptance, StoredInvitation, StoredRelease,
    StoredRoster, StoredStart,
};
use crate::study::{Attempt, Study, StudyState};
use consilium_crypto::digest::Digest;
use consilium_protocol::SiloName;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;

/// The version that this program writes.
const VERSION: u32 = 2;

const SCHEMA: &str = "
CREATE TABLE invitation (token TEXT PRIMARY KEY, invitation TEXT NOT NULL, redeemed_by TEXT) STRICT;
CREATE TABLE participant (name TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
CREATE TABLE roster (version INTEGER PRIMARY KEY, published INTEGER NOT NULL, text TEXT NOT NULL) STRICT;
CREATE TABLE study (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX study_by_state ON study (state, sequence);
CREATE TABLE attempt (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    record TEXT NOT NULL,
    snapshot BLOB NOT NULL,
    pending BLOB NOT NULL
) STRICT;
CREATE TABLE release (
    round INTEGER PRIMARY KEY,
    study_id TEXT NOT NULL,
    delivery BLOB NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX release_by_study ON release (study_id, round);
CREATE TABLE start (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    silo TEXT NOT NULL,
    nonce TEXT NOT NULL UNIQUE,
    log_index INTEGER NOT NULL
) STRICT;
CREATE TABLE acceptance (silo TEXT PRIMARY KEY, round INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO counter VALUES ('round', 0);
";

/// The store in one SQLite file. Several processes may have it open: the service and the operator's commands.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
}

impl SqliteStore {
    /// Opens the file, and makes it when it is missing.
    ///
    /// # Errors
    /// [`StoreFault`] when the file is no database of ours.
    pub fn open(path: &Path) -> Result<Self, StoreFault> {
        Self::prepare(Connection::open(path)?)
    }

    fn prepare(mut connection: Connection) -> Result<Self, StoreFault> {
        connection.busy_timeout(Duration::from_secs(10))?;
        // FULL: what a transaction holds has reached the disk when it returns.
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found: u32 = change.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match found {
            0 => {
                change.execute_batch(SCHEMA)?;
                change.execute_batch(&format!("PRAGMA user_version = {VERSION}"))?;
            }
            VERSION => {}
            found => {
                return Err(StoreFault::Version {
                    found,
                    known: VERSION,
                });
            }
        }
        change.commit()?;
        Ok(Self { connection })
    }

    fn change<T>(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcome = change(&transaction)?;
        transaction.commit()?;
        Ok(outcome)
    }
}

impl Store for SqliteStore {
    fn add_invitation(&mut self, token: &Digest, invitation: &str) -> Result<(), StoreFault> {
        self.connection.execute(
            "INSERT INTO invitation (token, invitation) VALUES (?1, ?2)",
            params![token.to_string(), invitation],
        )?;
        Ok(())
    }

    fn invitation(&self, token: &Digest) -> Result<Option<StoredInvitation>, StoreFault> {
        let row = self
            .connection
            .query_row(
                "SELECT invitation, redeemed_by FROM invitation WHERE token = ?1",
                [token.to_string()],
                |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)),
            )
            .optional()?;
        row.map(|(invitation, redeemed_by)| {
            let redeemed_by = redeemed_by
                .map(|key| from_text("invitation", &key))
                .transpose()?;
            Ok(StoredInvitation {
                invitation,
                redeemed_by,
            })
        })
        .transpose()
    }

    fn enrol(&mut self, token: &Digest, participant: &Participant) -> Result<(), StoreFault> {
        let stored = self
            .invitation(token)?
            .ok_or(StoreFault::UnknownInvitation)?;
        match stored.redeemed_by {
            Some(key) if key == participant.identity => return Ok(()),
            Some(_) => return Err(StoreFault::RedeemedInvitation),
            None => {}
        }
        let record = to_text("participant", participant)?;
        let redeemed_by = to_text("invitation", &participant.identity)?;
        self.change(|change| {
            let redeemed = change.execute(
                "UPDATE invitation SET redeemed_by = ?2 WHERE token = ?1 AND redeemed_by IS NULL",
                params![token.to_string(), redeemed_by],
            )?;
            if redeemed == 0 {
                return Err(StoreFault::RedeemedInvitation);
            }
            let added = change.execute(
                "INSERT INTO participant (name, record) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![participant.name, record],
            )?;
            if added == 0 {
                return Err(StoreFault::TakenName(participant.name.clone()));
            }
            Ok(())
        })
    }

    fn participants(&self) -> Result<Vec<Participant>, StoreFault> {
        texts(
            &self.connection,
            "participant",
            "SELECT record FROM participant ORDER BY name",
            &[],
        )
    }

    fn save_roster(&mut self, roster: &StoredRoster) -> Result<(), StoreFault> {
        self.connection.execute(
            "INSERT INTO roster (version, published, text) VALUES (?1, ?2, ?3)
             ON CONFLICT (version) DO UPDATE SET published = excluded.published, text = excluded.text",
            params![signed(roster.version), roster.published, roster.text],
        )?;
        Ok(())
    }

    fn rosters(&self) -> Result<Vec<StoredRoster>, StoreFault> {
        let mut statement = self
            .connection
            .prepare("SELECT version, published, text FROM roster ORDER BY version")?;
        let rows = statement.query_map([], |row| {
            Ok(StoredRoster {
                version: unsigned(row.get(0)?),
                published: row.get(1)?,
                text: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn add_study(&mut self, study: &Study) -> Result<u64, StoreFault> {
        let record = to_text("study", study)?;
        self.change(|change| {
            let added = change.execute(
                "INSERT INTO study (id, state, record) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![study.id, study.state.as_str(), record],
            )?;
            if added == 0 {
                return Err(StoreFault::RepeatedStudy(study.id.clone()));
            }
            Ok(unsigned(change.last_insert_rowid()))
        })
    }

    fn save_study(&mut self, study: &Study) -> Result<(), StoreFault> {
        self.change(|change| replace_study(change, study))
    }

    fn study(&self, id: &str) -> Result<Option<Study>, StoreFault> {
        let found = texts(
            &self.connection,
            "study",
            "SELECT record FROM study WHERE id = ?1",
            &[&id],
        )?;
        Ok(found.into_iter().next())
    }

    fn studies(&self) -> Result<Vec<Study>, StoreFault> {
        texts(
            &self.connection,
            "study",
            "SELECT record FROM study ORDER BY sequence",
            &[],
        )
    }

    fn oldest_study(&self, states: &[StudyState]) -> Result<Option<Study>, StoreFault> {
        let mut oldest: Option<(i64, String)> = None;
        for state in states {
            let found = self
                .connection
                .query_row(
                    "SELECT sequence, record FROM study WHERE state = ?1 ORDER BY sequence LIMIT 1",
                    [state.as_str()],
                    |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
                )
                .optional()?;
            oldest = match (oldest, found) {
                (Some(one), Some(other)) => Some(if one.0 <= other.0 { one } else { other }),
                (one, other) => one.or(other),
            };
        }
        oldest
            .map(|(_, record)| from_text("study", &record))
            .transpose()
    }

    fn next_round(&mut self) -> Result<u64, StoreFault> {
        let round = self.connection.query_row(
            "UPDATE counter SET value = value + 1 WHERE name = 'round' RETURNING value",
            [],
            |row| row.get(0),
        )?;
        Ok(unsigned(round))
    }

    fn save_attempt(&mut self, study: &Study, attempt: &Attempt) -> Result<(), StoreFault> {
        let record = to_text("attempt", &(&attempt.study_id, attempt.id))?;
        self.change(|change| {
            replace_study(change, study)?;
            change.execute(
                "INSERT INTO attempt (only, record, snapshot, pending) VALUES (1, ?1, ?2, ?3)
                 ON CONFLICT (only) DO UPDATE
                 SET record = excluded.record, snapshot = excluded.snapshot, pending = excluded.pending",
                params![record, attempt.snapshot, attempt.pending],
            )?;
            Ok(())
        })
    }

    fn attempt(&self) -> Result<Option<Attempt>, StoreFault> {
        let row = self
            .connection
            .query_row("SELECT record, snapshot, pending FROM attempt", [], |row| {
                Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        row.map(|(record, snapshot, pending)| {
            let (study_id, id) = from_text("attempt", &record)?;
            Ok(Attempt {
                study_id,
                id,
                snapshot,
                pending,
            })
        })
        .transpose()
    }

    fn end_attempt(
        &mut self,
        study: &Study,
        release: Option<&StoredRelease>,
    ) -> Result<(), StoreFault> {
        self.change(|change| {
            replace_study(change, study)?;
            change.execute("DELETE FROM attempt", [])?;
            if let Some(release) = release {
                let places = (release.sum, release.commitment_index, release.release_index);
                change.execute(
                    "INSERT INTO release (round, study_id, delivery, record) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (round) DO NOTHING",
                    params![
                        signed(release.round),
                        release.study_id,
                        release.delivery,
                        to_text("release", &places)?
                    ],
                )?;
            }
            Ok(())
        })
    }

    fn releases(&self, study_id: &str) -> Result<Vec<StoredRelease>, StoreFault> {
        releases(
            &self.connection,
            "WHERE study_id = ?1 ORDER BY round",
            &[&study_id],
        )
    }

    fn newest_release(&self) -> Result<Option<StoredRelease>, StoreFault> {
        let newest = releases(&self.connection, "ORDER BY round DESC LIMIT 1", &[])?;
        Ok(newest.into_iter().next())
    }

    fn add_start(&mut self, start: &StoredStart) -> Result<(), StoreFault> {
        self.connection.execute(
            "INSERT INTO start (silo, nonce, log_index) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![
                start.silo.as_str(),
                start.nonce.to_string(),
                signed(start.log_index)
            ],
        )?;
        Ok(())
    }

    fn last_start(&self, silo: &SiloName) -> Result<Option<StoredStart>, StoreFault> {
        let row = self
            .connection
            .query_row(
                "SELECT nonce, log_index FROM start WHERE silo = ?1 ORDER BY sequence DESC LIMIT 1",
                [silo.as_str()],
                |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)),
            )
            .optional()?;
        row.map(|(nonce, log_index)| {
            let nonce = from_text("start", &format!("\"{nonce}\""))?;
            Ok(StoredStart {
                silo: silo.clone(),
                nonce,
                log_index: unsigned(log_index),
            })
        })
        .transpose()
    }

    fn accept_release(&mut self, acceptance: &StoredAcceptance) -> Result<(), StoreFault> {
        self.connection.execute(
            "INSERT INTO acceptance (silo, round, record) VALUES (?1, ?2, ?3)
             ON CONFLICT (silo) DO UPDATE SET round = excluded.round, record = excluded.record
             WHERE excluded.round >= acceptance.round",
            params![
                acceptance.silo.as_str(),
                signed(acceptance.id.round),
                to_text("acceptance", acceptance)?
            ],
        )?;
        Ok(())
    }

    fn acceptances(&self) -> Result<Vec<StoredAcceptance>, StoreFault> {
        let mut statement = self
            .connection
            .prepare("SELECT record FROM acceptance ORDER BY silo")?;
        let records = statement.query_map([], |row| row.get::<_, String>(0))?;
        let mut acceptances = Vec::new();
        for record in records {
            acceptances.push(from_text("acceptance", &record?)?);
        }
        Ok(acceptances)
    }
}

fn replace_study(change: &Transaction<'_>, study: &Study) -> Result<(), StoreFault> {
    let replaced = change.execute(
        "UPDATE study SET state = ?2, record = ?3 WHERE id = ?1",
        params![study.id, study.state.as_str(), to_text("study", study)?],
    )?;
    if replaced == 0 {
        return Err(StoreFault::UnknownStudy(study.id.clone()));
    }
    Ok(())
}

fn texts<T: DeserializeOwned>(
    connection: &Connection,
    table: &'static str,
    query: &str,
    parameters: &[&dyn rusqlite::ToSql],
) -> Result<Vec<T>, StoreFault> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query(parameters)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(from_text(table, &row.get::<_, String>(0)?)?);
    }
    Ok(records)
}

fn releases(
    connection: &Connection,
    which: &str,
    parameters: &[&dyn rusqlite::ToSql],
) -> Result<Vec<StoredRelease>, StoreFault> {
    let query = format!("SELECT round, study_id, delivery, record FROM release {which}");
    let mut statement = connection.prepare(&query)?;
    let mut rows = statement.query(parameters)?;
    let mut releases = Vec::new();
    while let Some(row) = rows.next()? {
        let (sum, commitment_index, release_index) =
            from_text("release", &row.get::<_, String>(3)?)?;
        releases.push(StoredRelease {
            round: unsigned(row.get(0)?),
            study_id: row.get(1)?,
            delivery: row.get(2)?,
            sum,
            commitment_index,
            release_index,
        });
    }
    Ok(releases)
}

fn to_text<T: Serialize>(table: &'static str, record: &T) -> Result<String, StoreFault> {
    serde_json::to_string(record).map_err(|source| StoreFault::Record { table, source })
}

fn from_text<T: DeserializeOwned>(table: &'static str, text: &str) -> Result<T, StoreFault> {
    serde_json::from_str(text).map_err(|source| StoreFault::Record { table, source })
}

// SQLite's integers are signed; ours are counters far below either limit.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::contract;

    #[test]
    fn the_sqlite_store_keeps_the_contract() {
        contract::check(|| SqliteStore::prepare(Connection::open_in_memory().unwrap()).unwrap());
    }

    #[test]
    fn what_was_stored_is_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.sqlite");
        let study = contract::study("a1");
        let mut store = SqliteStore::open(&path).unwrap();
        store.add_study(&study).unwrap();
        assert_eq!(store.next_round().unwrap(), 1);
        let mut second = SqliteStore::open(&path).unwrap();
        assert_eq!(second.study("a1").unwrap(), Some(study));
        assert_eq!(second.next_round().unwrap(), 2);
        assert_eq!(store.next_round().unwrap(), 3);
    }

    #[test]
    fn a_database_of_a_later_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.sqlite");
        drop(SqliteStore::open(&path).unwrap());
        Connection::open(&path)
            .unwrap()
            .execute_batch("PRAGMA user_version = 99")
            .unwrap();
        assert!(matches!(
            SqliteStore::open(&path),
            Err(StoreFault::Version {
                found: 99,
                known: VERSION
            })
        ));
    }
}
