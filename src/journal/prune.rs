//! What is forgotten, and when: records by age, by number and by size; intents by age alone, long after every limit.
//!
//! A prune is small and often rather than large and seldom: it looks at the oldest rows only, so it costs the same however
//! large the journal is, and it deletes faster than rows are written.

use rusqlite::{Connection, TransactionBehavior, params};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// A record is kept this long.
const RECORD_AGE_MS: i64 = 90 * DAY_MS;
/// An intent is kept this long: beyond every sliding window, and a year for people.
const INTENT_AGE_MS: i64 = 400 * DAY_MS;
/// So many commands are kept beside the others, so that no flood of records makes a pause be forgotten.
const COMMANDS_MAX: i64 = 10_000;
/// So many records are kept.
const RECORDS_MAX: i64 = 200_000;
/// A prune is due after so many records.
pub(super) const EVERY_RECORDS: usize = 256;
/// A prune deletes at most so many records, and as many intents: more than are written between two prunes.
const ROWS_MAX: i64 = 512;

/// Forgets what is due at `now_ms`, within `pages_max` pages of file: beyond three quarters of them the oldest records
/// go, so that the file reuses its pages instead of refusing the next row.
///
/// # Errors
/// What SQLite says; nothing was deleted then.
pub(super) fn prune(connection: &mut Connection, now_ms: i64, pages_max: u32) -> rusqlite::Result<()> {
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let free: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    let crowded = pages - free > i64::from(pages_max) / 4 * 3;

    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute(
        "DELETE FROM record WHERE seq IN (
             SELECT seq FROM (SELECT seq, at_ms FROM record WHERE kind <> 'command' ORDER BY seq LIMIT ?1)
             WHERE ?2 OR at_ms < ?3 OR seq <= (SELECT max(seq) FROM record) - ?4)",
        params![ROWS_MAX, crowded, now_ms - RECORD_AGE_MS, RECORDS_MAX],
    )?;
    transaction.execute(
        "DELETE FROM record WHERE kind = 'command' AND (at_ms < ?1 OR seq <= (
             SELECT seq FROM record WHERE kind = 'command' ORDER BY seq DESC LIMIT 1 OFFSET ?2))",
        params![now_ms - RECORD_AGE_MS, COMMANDS_MAX],
    )?;
    transaction.execute(
        "DELETE FROM intent WHERE outcome IS NOT NULL AND rowid IN (
             SELECT rowid FROM (SELECT rowid, reserved_at_ms FROM intent ORDER BY rowid LIMIT ?1)
             WHERE reserved_at_ms < ?2)",
        params![ROWS_MAX, now_ms - INTENT_AGE_MS],
    )?;
    transaction.commit()
}
