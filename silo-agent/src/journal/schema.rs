// SPDX-License-Identifier: Apache-2.0
//! The journal's tables and how durable a commit is.

use rusqlite::Connection;

/// Brings a new or older database to this version. Migrations go forward only.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // SECURITY: a commit has reached the disk when it returns; the machine's promises depend on it.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.execute_batch(TABLES)
}

const TABLES: &str = "
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS machine (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL,
    snapshot BLOB NOT NULL,
    secrets_of BLOB,
    attempt BLOB,
    study TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS studies (
    id TEXT PRIMARY KEY,
    offer BLOB NOT NULL,
    state TEXT NOT NULL,
    rounds_done INTEGER NOT NULL DEFAULT 0,
    model BLOB,
    complete INTEGER NOT NULL DEFAULT 0,
    last_release BLOB
) STRICT;
CREATE TABLE IF NOT EXISTS newest_release (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    release BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS approvals (
    study TEXT PRIMARY KEY,
    summary TEXT NOT NULL,
    terms TEXT NOT NULL,
    deadline_milliseconds INTEGER NOT NULL,
    answer TEXT,
    person TEXT,
    reason TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS withdrawals (
    study TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS registrations (
    data TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    PRIMARY KEY (data, sha256)
) STRICT;
CREATE TABLE IF NOT EXISTS lineages (
    data TEXT PRIMARY KEY,
    lineage TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS marks (
    mark BLOB NOT NULL,
    lineage TEXT NOT NULL,
    PRIMARY KEY (mark, lineage)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mark_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS cohorts (
    data TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    invited TEXT NOT NULL,
    PRIMARY KEY (data, sha256)
) STRICT;
CREATE TABLE IF NOT EXISTS new_cohorts (
    data TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    person TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (data, sha256)
) STRICT;
CREATE TABLE IF NOT EXISTS not_ready (
    study TEXT PRIMARY KEY,
    researcher TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS witness (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    head BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS ledger_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    entries INTEGER NOT NULL,
    head BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS installation (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    instance BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS status (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
COMMIT;
";
