// SPDX-License-Identifier: Apache-2.0
//! Lineages: which registered data sets share one budget and one cohort, and by which marks the patients of one are
//! recognised in the file of another.
//!
//! The first registration of a name settles its lineage for good: its own, or that of a data set which it continues. The
//! marks of all files of a lineage are kept, also of those that were replaced: their patients were paid for by its budget.
//!
//! SECURITY: marks are keyed, and the key stands beside them: a copy of the journal answers whether a patient whose name is
//! known was registered here. It is as private as the data.

use std::collections::BTreeMap;

use consilium_crypto::digest::Digest;
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Journal, JournalFault};
use crate::randomness;
use crate::trainer_child::pipe::Mark;

/// A statement of a person that the hospital's own log keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfficersWord<'a> {
    /// Who says so.
    pub(crate) person: &'a str,
    /// Why.
    pub(crate) reason: &'a str,
}

/// A file that is to be registered under a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRegistration<'a> {
    /// The name that studies use.
    pub(crate) data: &'a str,
    /// The file's SHA-256.
    pub(crate) sha256: &'a Digest,
    /// Of its patients by name.
    pub(crate) patient_marks: &'a [Mark],
    /// Of its rows.
    pub(crate) row_marks: &'a [Mark],
    /// The data set that it continues, if somebody says so.
    pub(crate) lineage: Option<&'a str>,
    /// That patients who look alike are others.
    pub(crate) other_patients: Option<OfficersWord<'a>>,
    /// That a changed file may meet a cohort of its own without noise.
    pub(crate) new_cohort: Option<OfficersWord<'a>>,
}

/// What a file shares with a lineage, and with its own not yet.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Overlap {
    patients: u64,
    rows: u64,
}

impl Journal {
    /// The key of all marks, made when it is first asked for.
    pub(crate) fn mark_key(&mut self) -> Result<[u8; 32], JournalFault> {
        let key: Vec<u8> = self.transact("written", |transaction| {
            transaction.execute(
                "INSERT OR IGNORE INTO mark_key (id, key) VALUES (1, ?1)",
                [randomness::bytes().as_slice()],
            )?;
            transaction.query_row("SELECT key FROM mark_key WHERE id = 1", [], |row| {
                row.get(0)
            })
        })?;
        key.try_into().map_err(|_| self.unreadable("key of marks"))
    }

    /// Remembers a registration and says to which lineage it belongs.
    ///
    /// SECURITY: one file has one name, and one patient one budget: under two the same patients would be paid for twice,
    /// and could meet two cohorts.
    pub(crate) fn register(
        &mut self,
        registration: NewRegistration<'_>,
    ) -> Result<String, JournalFault> {
        self.transact("written", |transaction| {
            registered(transaction, registration)
        })?
    }
}

/// Nothing is written when it is refused.
fn registered(
    transaction: &Transaction<'_>,
    registration: NewRegistration<'_>,
) -> rusqlite::Result<Result<String, JournalFault>> {
    let NewRegistration {
        data,
        sha256,
        patient_marks,
        row_marks,
        other_patients,
        new_cohort,
        ..
    } = registration;
    let digest = sha256.as_bytes().as_slice();
    let other: Option<String> = transaction
        .query_row(
            "SELECT data FROM registrations WHERE sha256 = ?1 AND data <> ?2",
            params![digest, data],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(other) = other {
        let data = data.to_owned();
        return Ok(Err(JournalFault::RegisteredElsewhere { data, other }));
    }
    let lineage = match lineage_for(transaction, registration)? {
        Ok(lineage) => lineage,
        Err(fault) => return Ok(Err(fault)),
    };
    let overlaps = overlaps(transaction, registration, &lineage)?;
    let largest = overlaps
        .iter()
        .filter(|(_, overlap)| overlap.patients > 0 || overlap.rows > FEW_ROWS)
        .max_by_key(|(_, overlap)| (overlap.patients, overlap.rows));
    if let (Some((other, overlap)), None) = (largest, other_patients) {
        return Ok(Err(JournalFault::SharedPatients {
            data: data.to_owned(),
            lineage: other.clone(),
            patients: overlap.patients,
            rows: overlap.rows,
        }));
    }

    transaction.execute(
        "INSERT OR IGNORE INTO registrations (data, sha256) VALUES (?1, ?2)",
        params![data, digest],
    )?;
    transaction.execute(
        "INSERT OR IGNORE INTO lineages (data, lineage) VALUES (?1, ?2)",
        params![data, lineage],
    )?;
    let mut keep =
        transaction.prepare("INSERT OR IGNORE INTO marks (mark, lineage) VALUES (?1, ?2)")?;
    for mark in patient_marks.iter().chain(row_marks) {
        keep.execute(params![mark.as_slice(), lineage])?;
    }
    let tell = |detail: String| {
        transaction.execute(
            "INSERT INTO notices (kind, object, detail) VALUES ('data_set.registered', ?1, ?2)",
            params![data, detail],
        )
    };
    if let Some(OfficersWord { person, reason }) = new_cohort {
        transaction.execute(
            "INSERT OR IGNORE INTO new_cohorts (data, sha256, person, reason) VALUES (?1, ?2, ?3, ?4)",
            params![lineage, digest, person, reason],
        )?;
        tell(format!(
            "`{person}` opens a new cohort for sha256 {sha256}: {reason}"
        ))?;
    }
    if let Some(OfficersWord { person, reason }) = other_patients {
        let alike: Vec<String> = overlaps
            .iter()
            .map(|(other, overlap)| {
                let Overlap { patients, rows } = overlap;
                format!(" than those of `{other}` ({patients} names, {rows} rows alike)")
            })
            .collect();
        let alike = alike.join(" and");
        tell(format!(
            "`{person}` says that the patients of sha256 {sha256} are others{alike}: {reason}"
        ))?;
    }
    tell(format!("sha256 {sha256}, lineage `{lineage}`"))?;
    Ok(Ok(lineage))
}

/// The lineage of a name: as it was settled, or as it is settled now.
fn lineage_for(
    transaction: &Transaction<'_>,
    registration: NewRegistration<'_>,
) -> rusqlite::Result<Result<String, JournalFault>> {
    let data = registration.data;
    let settled = lineage_of(transaction, data)?;
    let Some(asked) = registration.lineage else {
        return Ok(Ok(settled.unwrap_or_else(|| data.to_owned())));
    };
    let Some(joined) = lineage_of(transaction, asked)? else {
        let lineage = asked.to_owned();
        return Ok(Err(JournalFault::UnknownLineage { lineage }));
    };
    Ok(match settled {
        Some(settled) if settled != joined => Err(JournalFault::OtherLineage {
            data: data.to_owned(),
            lineage: settled,
        }),
        Some(_) | None => Ok(joined),
    })
}

fn lineage_of(transaction: &Transaction<'_>, data: &str) -> rusqlite::Result<Option<String>> {
    transaction
        .query_row(
            "SELECT lineage FROM lineages WHERE data = ?1
             UNION ALL SELECT data FROM registrations WHERE data = ?1 LIMIT 1",
            [data],
            |row| row.get(0),
        )
        .optional()
}

/// What a file shares with other lineages. What its own lineage has too was looked at when it came there.
fn overlaps(
    transaction: &Transaction<'_>,
    registration: NewRegistration<'_>,
    lineage: &str,
) -> rusqlite::Result<BTreeMap<String, Overlap>> {
    let mut find = transaction.prepare(
        "SELECT lineage FROM marks WHERE mark = ?1 AND lineage <> ?2
         AND NOT EXISTS (SELECT 1 FROM marks AS own WHERE own.mark = ?1 AND own.lineage = ?2)",
    )?;
    let mut others = |mark: &Mark| {
        find.query_map(params![mark.as_slice(), lineage], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()
    };
    let mut overlaps: BTreeMap<String, Overlap> = BTreeMap::new();
    for mark in registration.patient_marks {
        for other in others(mark)? {
            overlaps.entry(other).or_default().patients += 1;
        }
    }
    for mark in registration.row_marks {
        for other in others(mark)? {
            overlaps.entry(other).or_default().rows += 1;
        }
    }
    Ok(overlaps)
}

/// Rows that two files may have alike by chance.
const FEW_ROWS: u64 = 3;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
