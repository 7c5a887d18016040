// SPDX-License-Identifier: Apache-2.0
//! What the agent must remember across a crash: `journal.sqlite`.
//!
//! Every method that writes is one transaction, and has reached the disk when it returns. The agent writes before it
//! sends. Other commands of the same folder (approvals, registrations) write to their own tables while the agent runs.

mod approvals;
mod data_sets;
mod lineages;
mod schema;
mod studies;

use std::path::{Path, PathBuf};
use std::time::Duration;

use consilium_audit::witness::WitnessHead;
use consilium_crypto::digest::Digest;
use consilium_protocol::AttemptId;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::durable_file::{self, FileFault};

pub(crate) use approvals::LedgerNotice;
pub use approvals::{Answer, Approval, ApprovalTerms};
pub(crate) use data_sets::RegisteredFile;
pub(crate) use lineages::{NewRegistration, OfficersWord};
pub use studies::{Offer, StudyRecord, StudyState};

/// The journal of one silo.
#[derive(Debug)]
pub struct Journal {
    connection: Connection,
    path: PathBuf,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalFault {
    /// The file is not private, or cannot be created.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The database refused.
    #[error("journal `{}` cannot be {action}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The database's reason.
        #[source]
        source: rusqlite::Error,
    },
    /// A value that this version did not write.
    #[error("journal `{}` holds a {what} that this version cannot read; was it written by a newer one?", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What was read.
        what: &'static str,
    },
    /// The same data set without noise in another cohort would let two sums be subtracted.
    #[error(
        "data set `{data}` already took part without noise with {recorded}; another cohort without noise would let sums be subtracted"
    )]
    OtherCohort {
        /// The data set.
        data: String,
        /// The silos that were invited then.
        recorded: String,
    },
    /// A changed file without noise in any cohort would let two sums be subtracted.
    #[error(
        "the file behind data set `{data}` is not the one that took part without noise before; another sum without noise would let the two be subtracted; if that is acceptable, register it with `--new-cohort REASON --person NAME`"
    )]
    ReplacedData {
        /// The data set.
        data: String,
    },
    /// One file under two names would have two budgets.
    #[error("this very file is registered as `{other}`; it is not registered as `{data}` too")]
    RegisteredElsewhere {
        /// The name that was asked for.
        data: String,
        /// The name that it has.
        other: String,
    },
    /// The same patients under two names would have two budgets.
    #[error(
        "the file for `{data}` shares {patients} patients and {rows} rows with what is registered in the lineage of `{lineage}`; let it be paid for by the same budget with `--lineage {lineage}`, or say that the patients are others with `--other-patients REASON --person NAME`"
    )]
    SharedPatients {
        /// The name that was asked for.
        data: String,
        /// The lineage that has them.
        lineage: String,
        /// Patients of the same name.
        patients: u64,
        /// Rows alike.
        rows: u64,
    },
    /// A lineage is settled by the first registration.
    #[error(
        "`{data}` is in the lineage of `{lineage}` for good; register the file under another name"
    )]
    OtherLineage {
        /// The data set.
        data: String,
        /// Its lineage.
        lineage: String,
    },
    /// Nothing to join.
    #[error(
        "no data set `{lineage}` was registered, whose lineage could be joined; `data list` shows them"
    )]
    UnknownLineage {
        /// What was named.
        lineage: String,
    },
    /// Only a consent that was given is taken back.
    #[error("study `{study}` is {state}; only a granted one is withdrawn")]
    NotGranted {
        /// The study.
        study: String,
        /// Its state.
        state: String,
    },
    /// No study here has that name.
    #[error("no study of this silo is `{study}`; `status` lists them")]
    NoStudy {
        /// What was named.
        study: String,
    },
    /// No approval is waited for under that name.
    #[error("no study `{study}` waits for an approval; `approvals list` shows those that do")]
    NoApproval {
        /// What was named.
        study: String,
    },
}

/// One step of the protocol's state machine, made durable whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    /// The machine's public state.
    pub(crate) snapshot: &'a [u8],
    /// Counts steps; the secrets file carries the same number.
    pub(crate) number: u64,
    /// The attempt whose secrets are beside this step, if there are any.
    pub(crate) secrets_of: Option<AttemptId>,
    /// The attempt opened last and its study.
    pub(crate) attempt: Option<(AttemptId, &'a str)>,
    /// A study whose model this step advances.
    pub(crate) advance: Option<Advance<'a>>,
    /// The newest release that this silo has verified, of whatever study, when this step brings one.
    pub(crate) released: Option<(AttemptId, Digest)>,
}

/// A study's progress through a verified release.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Advance<'a> {
    /// The study.
    pub(crate) study: &'a str,
    /// Rounds released so far.
    pub(crate) rounds_done: u32,
    /// The public model's canonical bytes.
    pub(crate) model: &'a [u8],
    /// Whether the study needs no further round.
    pub(crate) complete: bool,
    /// The attempt that was released, and H(S).
    pub(crate) release: (AttemptId, Digest),
}

/// The last step, as it is found after a restart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StoredStep {
    pub(crate) snapshot: Vec<u8>,
    pub(crate) number: u64,
    pub(crate) secrets_of: Option<AttemptId>,
    pub(crate) attempt: Option<(AttemptId, String)>,
}

impl Journal {
    /// Opens the journal, and creates it if it is not there.
    pub fn open(path: &Path) -> Result<Journal, JournalFault> {
        let fault = |action| {
            let path = path.to_owned();
            move |source| JournalFault::Database {
                path,
                action,
                source,
            }
        };
        // SECURITY: it is made private before the first byte; the database gives its side files the same mode.
        durable_file::private_file(path)?;
        let connection = Connection::open(path).map_err(fault("opened"))?;
        connection
            .busy_timeout(Duration::from_secs(10))
            .map_err(fault("opened"))?;
        schema::prepare(&connection).map_err(fault("prepared"))?;
        Ok(Journal {
            connection,
            path: path.to_owned(),
        })
    }

    /// Makes one step durable.
    pub(crate) fn record_step(&mut self, step: &Step<'_>) -> Result<(), JournalFault> {
        let secrets_of = step.secrets_of.map(|id| self.encode(&id)).transpose()?;
        let attempt = step.attempt.map(|(id, _)| self.encode(&id)).transpose()?;
        let study = step.attempt.map(|(_, study)| study);
        let release = step
            .advance
            .map(|advance| self.encode(&advance.release))
            .transpose()?;
        let newest = step
            .released
            .map(|released| self.encode(&released))
            .transpose()?;
        self.transact("written", |transaction| {
            transaction.execute(
                "INSERT INTO machine (id, number, snapshot, secrets_of, attempt, study) VALUES (1, ?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (id) DO UPDATE SET number = ?1, snapshot = ?2, secrets_of = ?3, attempt = ?4, study = ?5",
                params![sql_number(step.number), step.snapshot, secrets_of, attempt, study],
            )?;
            if let Some((advance, release)) = step.advance.zip(release) {
                transaction.execute(
                    "UPDATE studies SET rounds_done = ?2, model = ?3, complete = ?4, last_release = ?5 WHERE id = ?1",
                    params![advance.study, advance.rounds_done, advance.model, advance.complete, release],
                )?;
            }
            if let Some(newest) = newest {
                transaction.execute(
                    "INSERT INTO newest_release (id, release) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET release = ?1",
                    [newest],
                )?;
            }
            Ok(())
        })
    }

    /// The last step, if there was one.
    pub(crate) fn last_step(&self) -> Result<Option<StoredStep>, JournalFault> {
        type Row = (
            i64,
            Vec<u8>,
            Option<Vec<u8>>,
            Option<Vec<u8>>,
            Option<String>,
        );
        let row: Option<Row> = self
            .connection
            .query_row(
                "SELECT number, snapshot, secrets_of, attempt, study FROM machine WHERE id = 1",
                [],
                |row| {
                    Ok((
                        row.get(0)?,
                        row.get(1)?,
                        row.get(2)?,
                        row.get(3)?,
                        row.get(4)?,
                    ))
                },
            )
            .optional()
            .map_err(self.fault("read"))?;
        let Some((number, snapshot, secrets_of, attempt, study)) = row else {
            return Ok(None);
        };
        let attempt: Option<AttemptId> = attempt
            .map(|bytes| self.decode(&bytes, "attempt"))
            .transpose()?;
        Ok(Some(StoredStep {
            snapshot,
            number: u64::try_from(number).map_err(|_| self.unreadable("step"))?,
            secrets_of: secrets_of
                .map(|bytes| self.decode(&bytes, "attempt"))
                .transpose()?,
            attempt: attempt.zip(study),
        }))
    }

    /// The newest release that this silo has verified, of whatever study: its attempt and H(S).
    pub(crate) fn newest_release(&self) -> Result<Option<(AttemptId, Digest)>, JournalFault> {
        let release: Option<Vec<u8>> = self
            .connection
            .query_row(
                "SELECT release FROM newest_release WHERE id = 1",
                [],
                |row| row.get(0),
            )
            .optional()
            .map_err(self.fault("read"))?;
        release
            .map(|release| self.decode(&release, "release"))
            .transpose()
    }

    /// Remembers what was cosigned, before the cosignature leaves.
    pub(crate) fn record_witnessed(&mut self, head: &WitnessHead) -> Result<(), JournalFault> {
        let head = self.encode(head)?;
        self.transact("written", |transaction| {
            transaction.execute(
                "INSERT INTO witness (id, head) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET head = ?1",
                [head],
            )
        })?;
        Ok(())
    }

    /// What this silo cosigned last, as a witness of the shared log.
    pub(crate) fn witnessed(&self) -> Result<WitnessHead, JournalFault> {
        let head: Option<Vec<u8>> = self
            .connection
            .query_row("SELECT head FROM witness WHERE id = 1", [], |row| {
                row.get(0)
            })
            .optional()
            .map_err(self.fault("read"))?;
        head.map_or(Ok(WitnessHead::empty()), |head| {
            self.decode(&head, "log head")
        })
    }

    /// Binds a new journal to the installation that writes it. A journal that is bound stays so.
    pub(crate) fn record_instance(&mut self, instance: Digest) -> Result<(), JournalFault> {
        self.transact("written", |transaction| {
            transaction.execute(
                "INSERT OR IGNORE INTO installation (id, instance) VALUES (1, ?1)",
                [instance.as_bytes().as_slice()],
            )
        })?;
        Ok(())
    }

    /// The installation that writes this journal, once it has been bound to one.
    pub(crate) fn instance(&self) -> Result<Option<Digest>, JournalFault> {
        let instance: Option<Vec<u8>> = self
            .connection
            .query_row(
                "SELECT instance FROM installation WHERE id = 1",
                [],
                |row| row.get(0),
            )
            .optional()
            .map_err(self.fault("read"))?;
        instance
            .map(|bytes| {
                Digest::try_from(bytes.as_slice()).map_err(|_| self.unreadable("installation"))
            })
            .transpose()
    }

    /// Remembers how far the ledger went, so that an older copy of it is noticed; with what the hospital's own log is
    /// to say of the last entry, once.
    pub(crate) fn record_ledger_head(
        &mut self,
        entries: u64,
        head: Digest,
        notice: Option<&LedgerNotice>,
    ) -> Result<(), JournalFault> {
        self.transact("written", |transaction| {
            if let Some(LedgerNotice {
                kind,
                object,
                detail,
            }) = notice
            {
                transaction.execute(
                    "INSERT INTO notices (kind, object, detail) VALUES (?1, ?2, ?3)",
                    params![kind, object, detail],
                )?;
            }
            transaction.execute(
                "INSERT INTO ledger_head (id, entries, head) VALUES (1, ?1, ?2)
                 ON CONFLICT (id) DO UPDATE SET entries = ?1, head = ?2",
                params![sql_number(entries), head.as_bytes().as_slice()],
            )
        })?;
        Ok(())
    }

    /// How far the ledger went.
    pub(crate) fn ledger_head(&self) -> Result<Option<(u64, Digest)>, JournalFault> {
        let row: Option<(i64, Vec<u8>)> = self
            .connection
            .query_row(
                "SELECT entries, head FROM ledger_head WHERE id = 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .map_err(self.fault("read"))?;
        let Some((entries, head)) = row else {
            return Ok(None);
        };
        let entries = u64::try_from(entries).map_err(|_| self.unreadable("ledger head"))?;
        let head: [u8; 32] = head
            .try_into()
            .map_err(|_| self.unreadable("ledger head"))?;
        Ok(Some((entries, Digest::from_bytes(head))))
    }

    /// Sets a line of `status`.
    pub(crate) fn set_status(&mut self, name: &str, value: &str) -> Result<(), JournalFault> {
        self.transact("written", |transaction| {
            transaction.execute(
                "INSERT INTO status (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
                params![name, value],
            )
        })?;
        Ok(())
    }

    /// The lines of `status`.
    pub(crate) fn status(&self) -> Result<Vec<(String, String)>, JournalFault> {
        let mut statement = self
            .connection
            .prepare("SELECT name, value FROM status ORDER BY name")
            .map_err(self.fault("read"))?;
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(self.fault("read"))?;
        rows.collect::<Result<_, _>>().map_err(self.fault("read"))
    }

    /// A copy of everything, as a backup would hold it.
    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    pub(crate) fn copy_to(&self, path: &Path) {
        self.connection
            .execute("VACUUM INTO ?1", [path.to_str().unwrap()])
            .unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, mode).unwrap();
    }

    /// One named write, retried whole by the caller or not at all.
    fn transact<T>(
        &mut self,
        action: &'static str,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, JournalFault> {
        let path = self.path.clone();
        let written = (|| {
            let transaction = self
                .connection
                .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let value = write(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })();
        written.map_err(|source| JournalFault::Database {
            path,
            action,
            source,
        })
    }

    fn fault(&self, action: &'static str) -> impl FnOnce(rusqlite::Error) -> JournalFault + use<> {
        let path = self.path.clone();
        move |source| JournalFault::Database {
            path,
            action,
            source,
        }
    }

    fn unreadable(&self, what: &'static str) -> JournalFault {
        JournalFault::Unreadable {
            path: self.path.clone(),
            what,
        }
    }

    fn encode(&self, value: &impl serde::Serialize) -> Result<Vec<u8>, JournalFault> {
        postcard::to_allocvec(value).map_err(|_| self.unreadable("value"))
    }

    fn decode<T: serde::de::DeserializeOwned>(
        &self,
        bytes: &[u8],
        what: &'static str,
    ) -> Result<T, JournalFault> {
        postcard::from_bytes(bytes).map_err(|_| self.unreadable(what))
    }
}

/// The database counts in signed 64-bit numbers; ours never come near their end.
fn sql_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
