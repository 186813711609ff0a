//! Opening the journal to write: lock, check, migrate, settle what a crash left open, start the writer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use defib_engine::time::UnixMs;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::FILE;
use super::error::JournalError;
use super::lock::Lock;
use super::prune;
use super::row::{self, INTENT_COLUMNS, IntentRow, Outcome, WriteBatch};
use super::schema;
use super::writer::{Job, Writer};

/// So many batches may wait for the disk; one more is refused.
const QUEUE_MAX: usize = 256;
/// A reader's snapshot or a foreign tool may hold the file this long before a write is given up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// The file may grow to 512 MiB of 4 KiB pages.
const PAGES_MAX: u32 = 131_072;
/// Intents of this time before the newest are handed back at open: longer than every sliding window.
const RECENT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// And never more than so many, the newest.
const RECENT_MAX: u32 = 10_000;
/// Every place in which a run is named before or beside its intent.
const RUNS: &str =
    "SELECT cluster, run FROM intent UNION ALL SELECT cluster, CAST(body ->> '$.run' AS TEXT) FROM record
    WHERE kind IN ('command', 'announced') AND json_valid(body)";
/// What an intent says that a crash left open.
const INTERRUPTED: &str = "the program ended before the outcome was known";

/// The journal, open for writing; one a folder. Dropping it writes what is queued, and waits for that.
#[derive(Debug)]
pub struct Journal {
    file: PathBuf,
    jobs: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
    /// Let go only after the writer has ended: fields drop after `Drop::drop`.
    _lock: Lock,
}

/// An open journal and what it remembers.
#[derive(Debug)]
pub struct Opened {
    /// The journal itself.
    pub journal: Journal,
    /// The intents of the last 30 days, in the order of their reservation; at most 10,000, the newest. The days count
    /// back from `now` or from the newest intent, whichever is earlier: a clock that jumped ahead hides nothing.
    pub intents_recent: Vec<IntentRow>,
    /// The intents that an earlier process left open, at most 10,000: marked *unknown* just now, or since the last start was
    /// written down, by an open that told nobody.
    pub interrupted: Vec<IntentRow>,
    /// The runs, with their cluster, that the process before began and whose end it did not write: at most 10,000.
    pub unended: Vec<(String, String)>,
    /// The highest number of a run that each cluster ever used, whatever its age: a step's id is never used twice.
    pub last_run: BTreeMap<String, u64>,
    /// The newest runs whose end was written, at most 10,000, with their cluster.
    pub ended_runs: BTreeSet<(String, String)>,
    /// The highest number of an incident that each cluster's records name.
    pub last_incident: BTreeMap<String, u64>,
    /// The body of the newest record of each cluster's route.
    pub routes: BTreeMap<String, serde_json::Value>,
    /// The bodies of the newest commands, at most 10,000, with their cluster and time, the oldest first.
    pub commands: Vec<(String, i64, serde_json::Value)>,
    /// The newest rows, at most 10,000, that tell which incidents are open and where ladders stand: cluster, kind and body,
    /// the oldest first.
    pub story: Vec<(String, String, serde_json::Value)>,
    /// Intents with an outcome that is no known word; they count as *unknown*, hence as spent.
    pub bad_rows: u64,
}

impl Journal {
    /// Opens, or creates, the journal in this folder; `now` stamps what a crash left open.
    ///
    /// The folder is created with mode 0700, the file with 0600; existing ones keep their modes.
    ///
    /// # Errors
    /// [`JournalError::Held`] where another process has it, [`JournalError::Corrupt`], [`JournalError::Newer`], and what
    /// the system or SQLite says. Nothing is ever deleted.
    pub fn open(folder: &Path, now: UnixMs) -> Result<Opened, JournalError> {
        Journal::open_bounded(folder, now, PAGES_MAX)
    }

    pub(super) fn open_bounded(folder: &Path, now: UnixMs, pages_max: u32) -> Result<Opened, JournalError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(JournalError::io("create folder", folder))?;
        let lock = Lock::take(folder)?;
        let file = folder.join(FILE);
        let mut connection = connect(&file, pages_max)?;
        schema::migrate(&mut connection, &file)?;
        let interrupted = settle(&mut connection, now).map_err(JournalError::sqlite("settle", &file))?;
        let (intents_recent, bad_rows) = recent(&connection, now).map_err(JournalError::sqlite("read", &file))?;
        let last_run = numbers(&connection, RUNS).map_err(JournalError::sqlite("read", &file))?;
        let ended_runs = ended_runs(&connection).map_err(JournalError::sqlite("read", &file))?;
        let unended = unended(&connection, &ended_runs).map_err(JournalError::sqlite("read", &file))?;
        let interrupted = with_untold(interrupted, &intents_recent, &unended);
        let named = "SELECT cluster, CAST(body ->> '$.incident' AS TEXT) FROM record WHERE kind = 'incident' AND json_valid(body)";
        let last_incident = numbers(&connection, named).map_err(JournalError::sqlite("read", &file))?;
        let routes = routes(&connection).map_err(JournalError::sqlite("read", &file))?;
        let commands = commands(&connection).map_err(JournalError::sqlite("read", &file))?;
        let story = story(&connection).map_err(JournalError::sqlite("read", &file))?;
        prune::prune(&mut connection, now.0, pages_max).map_err(JournalError::sqlite("prune", &file))?;

        let (sender, jobs) = sync_channel(QUEUE_MAX);
        let writer = Writer { connection, file: file.clone(), pages_max, jobs };
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run())
            .map_err(JournalError::io("start the writer of", &file))?;
        let journal = Journal { file, jobs: Some(sender), writer: Some(writer), _lock: lock };
        Ok(Opened {
            journal,
            intents_recent,
            interrupted,
            unended,
            last_run,
            ended_runs,
            last_incident,
            routes,
            commands,
            story,
            bad_rows,
        })
    }

    /// The journal's file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Queues a batch and returns at once. `reply` is called exactly once: with `Ok` when the batch is on the disk, by
    /// the writer thread; with [`JournalError::QueueFull`] at once, by the caller's; else with what failed, and then
    /// nothing of the batch is written. It must neither block nor panic.
    pub fn append(&self, batch: WriteBatch, reply: impl FnOnce(Result<(), JournalError>) + Send + 'static) {
        let job = Job { batch, reply: Box::new(reply) };
        let Some(jobs) = &self.jobs else { return (job.reply)(Err(JournalError::Closed)) };
        match jobs.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(job)) => (job.reply)(Err(JournalError::QueueFull(QUEUE_MAX))),
            Err(TrySendError::Disconnected(job)) => (job.reply)(Err(JournalError::Closed)),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!(file = %self.file.display(), "the journal's writer panicked");
        }
    }
}

fn connect(file: &Path, pages_max: u32) -> Result<Connection, JournalError> {
    // SQLite would create the file with the umask's mode; its side files take the mode of this one.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)
        .map_err(JournalError::io("open", file))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(JournalError::sqlite("open", file))?;
    let prepare = || {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // The format is read before anything is written, so that a newer file stays as it is.
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
    };
    let verdict = prepare().map_err(JournalError::sqlite("check", file))?;
    if verdict != "ok" {
        return Err(JournalError::Corrupt { file: file.to_owned(), detail: verdict });
    }
    schema::check(&connection, file)?;
    let settle = || {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(()))?;
        Ok(mode)
    };
    let mode = settle().map_err(JournalError::sqlite("prepare", file))?;
    if mode != "wal" {
        // A file system without shared memory: readers beside the writer would not work.
        let reason = rusqlite::Error::InvalidParameterName(format!("journal mode is {mode}, not wal"));
        return Err(JournalError::Sqlite { doing: "prepare", file: file.to_owned(), source: Arc::new(reason) });
    }
    Ok(connection)
}

/// Marks every open intent as *unknown*, in one transaction, and returns them as marked.
fn settle(connection: &mut Connection, now: UnixMs) -> rusqlite::Result<Vec<IntentRow>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut open = transaction
        .prepare(&format!("SELECT {INTENT_COLUMNS} FROM intent WHERE outcome IS NULL ORDER BY rowid LIMIT ?1"))?
        .query_map([RECENT_MAX], row::intent)?
        .map(|read| read.map(|(intent, _)| intent))
        .collect::<rusqlite::Result<Vec<_>>>()?;
    transaction.execute(
        "UPDATE intent SET outcome = ?1, detail = ?2, ended_at_ms = ?3 WHERE outcome IS NULL",
        params![Outcome::Unknown.name(), INTERRUPTED, now.0],
    )?;
    transaction.commit()?;
    for intent in &mut open {
        intent.outcome = Some(Outcome::Unknown);
        intent.detail = Some(INTERRUPTED.to_owned());
        intent.ended_at_ms = Some(now.0);
    }
    Ok(open)
}

/// The steps that were settled just now, and those that an open settled after which no start was written.
fn with_untold(settled: Vec<IntentRow>, recent: &[IntentRow], unended: &[(String, String)]) -> Vec<IntentRow> {
    let known: BTreeSet<&str> = settled.iter().map(|intent| intent.step.as_str()).collect();
    let untold = |intent: &&IntentRow| {
        let begun = || unended.iter().any(|(cluster, run)| (cluster, run) == (&intent.cluster, &intent.run));
        intent.detail.as_deref() == Some(INTERRUPTED) && !known.contains(intent.step.as_str()) && begun()
    };
    let untold: Vec<_> = recent.iter().filter(untold).cloned().collect();
    untold.into_iter().chain(settled).collect()
}

/// The highest number behind the last dash of an id (`R-3`, `I-7`) by cluster; an id without one counts as 0.
fn numbers(connection: &Connection, query: &str) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut highest = BTreeMap::new();
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: Option<String> = row.get(1)?;
        let number = id.as_deref().and_then(|id| id.rsplit('-').next()?.parse().ok()).unwrap_or(0);
        let known: &mut u64 = highest.entry(row.get(0)?).or_default();
        *known = number.max(*known);
    }
    Ok(highest)
}

/// The newest runs whose end was written.
fn ended_runs(connection: &Connection) -> rusqlite::Result<BTreeSet<(String, String)>> {
    let query = "SELECT cluster, CAST(body ->> '$.run' AS TEXT) FROM record WHERE kind = 'run' AND json_valid(body) \
                 ORDER BY seq DESC LIMIT ?1";
    Ok(runs(connection, query)?.into_iter().collect())
}

/// The runs that were decided since the newest start and are not among those that ended.
fn unended(connection: &Connection, ended: &BTreeSet<(String, String)>) -> rusqlite::Result<Vec<(String, String)>> {
    let query = "SELECT cluster, CAST(body ->> '$.run' AS TEXT) FROM record WHERE kind = 'decision' AND json_valid(body) \
                 AND seq > (SELECT coalesce(max(seq), 0) FROM record WHERE kind = 'start') ORDER BY seq LIMIT ?1";
    Ok(runs(connection, query)?.into_iter().filter(|run| !ended.contains(run)).collect())
}

/// What a query names of clusters and runs, bounded by its one parameter; a body that names no run is passed over.
fn runs(connection: &Connection, query: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([RECENT_MAX], |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?)))?;
    rows.filter_map(|row| row.map(|(cluster, run)| Some((cluster, run?))).transpose()).collect()
}

/// The newest commands; a body that is no JSON is passed over.
fn commands(connection: &Connection) -> rusqlite::Result<Vec<(String, i64, serde_json::Value)>> {
    let query = "SELECT cluster, at_ms, body FROM record WHERE kind = 'command' ORDER BY seq DESC LIMIT ?1";
    let mut statement = connection.prepare(query)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?));
    let rows = statement.query_map([RECENT_MAX], read)?.collect::<rusqlite::Result<Vec<(String, i64, String)>>>()?;
    let parsed = rows.into_iter().rev();
    Ok(parsed.filter_map(|(cluster, at, body)| Some((cluster, at, serde_json::from_str(&body).ok()?))).collect())
}

/// The newest rows of these kinds; a body that is no JSON is passed over.
fn story(connection: &Connection) -> rusqlite::Result<Vec<(String, String, serde_json::Value)>> {
    let query = "SELECT cluster, kind, body FROM record WHERE kind IN ('incident', 'run', 'finding', 'command') \
                 ORDER BY seq DESC LIMIT ?1";
    let mut statement = connection.prepare(query)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?));
    let rows = statement.query_map([RECENT_MAX], read)?.collect::<rusqlite::Result<Vec<(String, String, String)>>>()?;
    let parsed = rows.into_iter().rev();
    Ok(parsed.filter_map(|(cluster, kind, body)| Some((cluster, kind, serde_json::from_str(&body).ok()?))).collect())
}

/// The newest route of each cluster; a body that is no JSON is passed over.
fn routes(connection: &Connection) -> rusqlite::Result<BTreeMap<String, serde_json::Value>> {
    let query = "SELECT cluster, body, max(seq) FROM record WHERE kind = 'route' AND json_valid(body) GROUP BY cluster";
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    let sound = |(cluster, body): (String, String)| Some((cluster, serde_json::from_str(&body).ok()?));
    rows.filter_map(|row| row.map(sound).transpose()).collect()
}

fn recent(connection: &Connection, now: UnixMs) -> rusqlite::Result<(Vec<IntentRow>, u64)> {
    let newest: Option<i64> = connection.query_row("SELECT max(reserved_at_ms) FROM intent", [], |row| row.get(0))?;
    let since = UnixMs(newest.map_or(now.0, |newest| newest.min(now.0))).before(RECENT);
    let mut bad_rows = 0;
    let mut intents = connection
        .prepare(&format!(
            "SELECT {INTENT_COLUMNS} FROM intent WHERE reserved_at_ms >= ?1 ORDER BY rowid DESC LIMIT ?2"
        ))?
        .query_map(params![since.0, RECENT_MAX], row::intent)?
        .map(|read| {
            read.map(|(intent, sound)| {
                bad_rows += u64::from(!sound);
                intent
            })
        })
        .collect::<rusqlite::Result<Vec<_>>>()?;
    intents.reverse();
    Ok((intents, bad_rows))
}
