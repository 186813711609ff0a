//! Reading the journal beside its writer, or after the writer died, without changing anything.
//!
//! A reader of a WAL needs the shared-memory file beside it, so the file is opened for writing and told not to write; in
//! a folder that cannot be written it is opened as immutable, which is only right when no WAL waits there. Closing leaves
//! the WAL as it is: what a crash left behind stays evidence.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter, types::Value};

use super::FILE;
use super::error::JournalError;
use super::row::{self, INTENT_COLUMNS, IntentRow, RECORD_COLUMNS, RecordRow};
use super::schema;

/// A page never has more rows than this, whatever was asked for.
const ROWS_MAX: usize = 100_000;
/// Rows that were not understood are counted, and so many of them named.
const BAD_NAMED_MAX: usize = 5;
/// How long a writer's checkpoint or recovery is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// The journal, open for reading.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    file: PathBuf,
}

/// Rows, newest first, and how many were not understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// What was read.
    pub rows: Vec<T>,
    /// Rows that were not understood: a newer version, a damaged body. Records among them are left out; an intent with
    /// an outcome that is no known word is shown as *unknown*.
    pub bad: Bad,
}

/// Rows that were not understood: how many, and where the newest of them lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bad {
    /// How many.
    pub count: u64,
    /// The numbers of the newest five, the newest first: a record's `seq`, an intent's `rowid`.
    pub newest: Vec<i64>,
}

impl Bad {
    fn note(&mut self, number: i64) {
        self.count += 1;
        if self.newest.len() < BAD_NAMED_MAX {
            self.newest.push(number);
        }
    }

    /// `2 of \`record\` (seq 7, 4)`; none where all were understood.
    #[must_use]
    pub fn words(&self, table: &str, number: &str) -> Option<String> {
        let newest: Vec<String> = self.newest.iter().map(ToString::to_string).collect();
        let more = if self.count > newest.len() as u64 { ", …" } else { "" };
        (self.count > 0).then(|| format!("{} of `{table}` ({number} {}{more})", self.count, newest.join(", ")))
    }
}

/// Which records are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Of one cluster; none: of all.
    pub cluster: Option<&'a str>,
    /// And those of the program's own life, which belong to no cluster.
    pub own_life: bool,
    /// Of these kinds; empty: of any.
    pub kinds: &'a [&'a str],
    /// Since this time, Unix milliseconds, and from the last one of these kinds before it on: what says how it was then.
    pub since: Option<(i64, &'a [&'a str])>,
}

impl Wanted<'_> {
    /// As a condition of SQL with its values.
    fn filter(&self, kinds: &[&str]) -> (String, Vec<Value>) {
        let mut filter = String::from("1");
        let mut values: Vec<Value> = Vec::new();
        if let Some(cluster) = self.cluster {
            filter.push_str(if self.own_life { " AND cluster IN (?, '')" } else { " AND cluster = ?" });
            values.push(Value::Text(cluster.to_owned()));
        }
        if !kinds.is_empty() {
            filter.push_str(&format!(" AND kind IN ({})", vec!["?"; kinds.len()].join(", ")));
            values.extend(kinds.iter().map(|kind| Value::Text((*kind).to_owned())));
        }
        (filter, values)
    }
}

impl Reader {
    /// Opens the journal in this folder.
    ///
    /// # Errors
    /// [`JournalError::Missing`] where there is none, [`JournalError::Unsettled`] after a crash in a folder that cannot be
    /// written, [`JournalError::Io`] in one that is not ours to open, [`JournalError::Corrupt`], [`JournalError::Newer`], and
    /// what SQLite says.
    pub fn open(folder: &Path) -> Result<Reader, JournalError> {
        let file = folder.join(FILE);
        match std::fs::metadata(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(JournalError::io("open", &file)(error));
            }
            Ok(found) if found.is_file() => {}
            _ => return Err(JournalError::Missing(file)),
        }
        let connection = match beside_writer(&file) {
            Err(error) if is_read_only(&error) && has_wal(&file) => return Err(JournalError::Unsettled(file)),
            Err(error) if is_read_only(&error) => immutable(&file),
            other => other,
        }
        .map_err(JournalError::sqlite("open", &file))?;
        // A writer creates the file before its tables, so version 0 is a journal with nothing in it yet.
        if schema::check(&connection, &file)? == 0 {
            return Err(JournalError::Missing(file));
        }
        Ok(Reader { connection, file })
    }

    /// What is watched here is a model, played by `defib rehearse`: the oldest row says so, and nothing else ever writes to
    /// such a journal. False where that cannot be read.
    #[must_use]
    pub fn is_model(&self) -> bool {
        let query = "SELECT body ->> '$.model' FROM (SELECT kind, body FROM record ORDER BY seq LIMIT 1)
                     WHERE kind = 'start' AND json_valid(body)";
        self.connection.query_row(query, [], |row| row.get::<_, Option<bool>>(0)).is_ok_and(|model| model == Some(true))
    }

    /// The newest records, newest first: at most `limit`, of one cluster where it is named, of these kinds where any is.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn recent_records(
        &self,
        limit: usize,
        cluster: Option<&str>,
        kinds: &[&str],
    ) -> Result<Page<RecordRow>, JournalError> {
        self.recent(limit, &Wanted { cluster, kinds, ..Wanted::default() })
    }

    /// The newest of the records that are wanted, newest first: at most `limit`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn recent(&self, limit: usize, wanted: &Wanted<'_>) -> Result<Page<RecordRow>, JournalError> {
        let (mut filter, mut values) = wanted.filter(wanted.kinds);
        if let Some((since_ms, states)) = wanted.since {
            let (before, more) = wanted.filter(states);
            filter.push_str(&format!(
                " AND seq >= coalesce((SELECT seq FROM record WHERE {before} AND at_ms < ? ORDER BY seq DESC LIMIT 1), 0)"
            ));
            values.extend(more);
            values.push(Value::Integer(since_ms));
        }
        let limit = limit.min(ROWS_MAX);
        let query = format!("SELECT {RECORD_COLUMNS}, seq FROM record WHERE {filter} ORDER BY seq DESC LIMIT {limit}");
        self.page(&query, values, |row| row::record(row).map(|record| (record, true)))
    }

    /// The newest intents, newest first: at most `limit`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn intents(&self, limit: usize) -> Result<Page<IntentRow>, JournalError> {
        let limit = limit.min(ROWS_MAX);
        let query = format!("SELECT {INTENT_COLUMNS}, rowid FROM intent ORDER BY rowid DESC LIMIT {limit}");
        self.page(&query, Vec::new(), |row| row::intent(row).map(|(intent, sound)| (Some(intent), sound)))
    }

    #[cfg(test)]
    pub(super) fn connection_for_test(&self) -> &Connection {
        &self.connection
    }

    #[cfg(test)]
    pub(super) fn immutable_for_test(folder: &Path) -> rusqlite::Result<Reader> {
        let file = folder.join(FILE);
        Ok(Reader { connection: immutable(&file)?, file })
    }

    /// `read` gives the row where it can be shown at all, and whether it was sound; the last column is the row's number.
    fn page<T>(
        &self,
        query: &str,
        values: Vec<Value>,
        read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<(Option<T>, bool)>,
    ) -> Result<Page<T>, JournalError> {
        let failed = JournalError::sqlite("read", &self.file);
        let mut statement = self.connection.prepare(query).map_err(&failed)?;
        let number = statement.column_count().saturating_sub(1);
        let mut found = statement.query(params_from_iter(values)).map_err(&failed)?;
        let mut page = Page { rows: Vec::new(), bad: Bad::default() };
        while let Some(row) = found.next().map_err(&failed)? {
            let (shown, sound) = read(row).unwrap_or((None, false));
            if !sound || shown.is_none() {
                page.bad.note(row.get(number).unwrap_or_default());
            }
            page.rows.extend(shown);
        }
        Ok(page)
    }
}

fn beside_writer(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "query_only", true)?;
    touch(&connection)?;
    Ok(connection)
}

fn immutable(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(file), flags)?;
    touch(&connection)?;
    Ok(connection)
}

/// SQLite opens lazily; only a read shows whether it can.
fn touch(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)).map(|_| ())
}

fn is_read_only(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied))
}

fn has_wal(file: &Path) -> bool {
    let mut wal = file.as_os_str().to_owned();
    wal.push("-wal");
    std::fs::metadata(wal).is_ok_and(|metadata| metadata.len() > 0)
}

/// The path as a `file:` address: every byte but the plainest escaped, since `?`, `#` and `%` mean something there.
fn uri(file: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in file.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}
