//! The tables and how they came to be: migrations forward only, counted by `PRAGMA user_version`.

use std::path::Path;

use rusqlite::Connection;

use super::error::JournalError;

/// One entry a version; entry `n` leads from version `n` to `n + 1`. Entries are never changed, only added.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE intent (
        step           TEXT PRIMARY KEY,
        run            TEXT NOT NULL,
        incident       TEXT,
        cluster        TEXT NOT NULL,
        playbook       TEXT NOT NULL,
        action         TEXT NOT NULL,
        node           TEXT NOT NULL,
        class          TEXT NOT NULL,
        reserved_at_ms INTEGER NOT NULL,
        outcome        TEXT,
        detail         TEXT,
        ended_at_ms    INTEGER
    ) STRICT;
    CREATE TABLE record (
        seq     INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms   INTEGER NOT NULL,
        cluster TEXT NOT NULL,
        kind    TEXT NOT NULL,
        version INTEGER NOT NULL,
        body    TEXT NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE intent ADD COLUMN boot TEXT;
    ALTER TABLE intent ADD COLUMN boot_ms INTEGER;
",
];

/// The format that this program writes.
const VERSION: i64 = MIGRATIONS.len() as i64;

/// The format of the file: 0 for an empty one.
///
/// # Errors
/// [`JournalError::Newer`] where the file is from a newer program, and what SQLite says.
pub(super) fn check(connection: &Connection, file: &Path) -> Result<usize, JournalError> {
    let found: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(JournalError::sqlite("read the format of", file))?;
    match usize::try_from(found) {
        Ok(version) if found <= VERSION => Ok(version),
        _ => Err(JournalError::Newer { file: file.to_owned(), found, known: VERSION }),
    }
}

/// Brings the file to the current format, each step in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection, file: &Path) -> Result<(), JournalError> {
    let version = check(connection, file)?;
    for (from, statements) in MIGRATIONS.iter().enumerate().skip(version) {
        let step = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            transaction.execute_batch(statements)?;
            transaction.pragma_update(None, "user_version", from as i64 + 1)?;
            transaction.commit()
        };
        step(connection).map_err(JournalError::sqlite("migrate", file))?;
    }
    Ok(())
}
