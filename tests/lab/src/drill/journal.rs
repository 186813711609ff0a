//! defib's journal as the judge reads it: by SQL, sharing no code with defib.
//!
//! Two tables matter: `intent` (what was reserved before it was done, with its outcome) and `record` (what was found,
//! decided and held, as JSON). Reading opens the database for the moment only, so it never holds back a checkpoint.
//! Left out: writing, and every kind of record that no drill judges.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde::Deserialize;

use super::clock::UnixMs;

/// The most rows that are read of either table; a drill writes some hundreds.
const ROWS_MAX: u32 = 100_000;
/// How long a locked database is waited for.
const BUSY_DEADLINE: Duration = Duration::from_secs(5);

/// Why the journal tells nothing.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The database could not be opened or read.
    #[error("cannot read the journal {}", path.display())]
    Read {
        /// The database.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// A record of a known kind has another shape than the lab knows.
    #[error("record {seq} ({kind}) of the journal is not understood")]
    Record {
        /// Its number.
        seq: i64,
        /// Its kind.
        kind: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// One row of `intent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Intent {
    /// What is to be done, such as `restart-service kubelet`.
    pub(super) action: String,
    /// Where.
    pub(super) node: String,
    /// When it was reserved.
    pub(super) reserved_at: UnixMs,
    /// `done`, `failed`, `unknown`, `withdrawn`; none while it is open.
    pub(super) outcome: Option<String>,
}

/// One row of `record` that a judge looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A finding was raised or cleared.
    Finding(Finding),
    /// An incident as it stands from here on.
    Incident(Incident),
    /// A hold was raised or cleared.
    Hold(Hold),
    /// A run was chosen.
    Decision(Run),
    /// A run ended: recovered, failed or withdrawn.
    Run(Run),
    /// The way to the API servers changed.
    Route(Route),
}

/// The body of a `route`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Route {
    /// People are sent to a node.
    pub(super) direct: bool,
}

/// What matters in the bodies of a `decision` and a `run`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Run {
    /// The run's id.
    pub(super) run: String,
}

/// Whether something began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Change {
    /// It began.
    Raised,
    /// It ended.
    Cleared,
}

/// The body of a `finding`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Finding {
    /// Its public name.
    pub(super) finding: String,
    /// Begun or ended.
    pub(super) change: Change,
}

/// The body of an `incident`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Incident {
    /// Its name.
    pub(super) incident: String,
    /// The root finding's name.
    pub(super) root: Option<String>,
    /// The findings that belong to it.
    #[serde(default)]
    pub(super) findings: Vec<Named>,
}

/// A finding by name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Named {
    /// Its public name.
    pub(super) finding: String,
}

/// The body of a `hold`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Hold {
    /// The playbook that would have run.
    #[serde(default)]
    pub(super) playbook: Option<String>,
    /// Where.
    #[serde(default)]
    pub(super) node: Option<String>,
    /// The check that said no.
    pub(super) check: String,
    /// The same in a sentence.
    #[serde(default)]
    pub(super) text: String,
    /// Begun or ended.
    pub(super) change: Change,
}

/// What the journal holds for a judge; rows in the order in which they were written.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    /// All intents.
    pub(super) intents: Vec<Intent>,
    /// The records that matter, with their times.
    pub(super) records: Vec<(UnixMs, Record)>,
}

impl Journal {
    /// Reads the database at `path`.
    pub(super) fn read(path: &Path) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Read { path: path.to_owned(), source };
        // A reader of a WAL database writes to its shared memory, hence not read-only.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(path, flags).map_err(failed)?;
        database.busy_timeout(BUSY_DEADLINE).map_err(failed)?;
        let intents = intents(&database).map_err(failed)?;
        let mut records = Vec::new();
        for (seq, at, kind, body) in rows(&database).map_err(failed)? {
            let record = Record::parse(&kind, &body);
            let record = record.map_err(|source| JournalError::Record { seq, kind, source })?;
            records.extend(record.map(|record| (at, record)));
        }
        Ok(Self { intents, records })
    }
}

impl Journal {
    /// Whether defib has done with `finding`: every intent has an outcome, every run an end, and no incident holds it.
    /// An incident that held it may stay open for other reasons.
    pub(super) fn is_settled(&self, finding: &str) -> bool {
        let (mut runs, mut incidents) = (BTreeMap::new(), BTreeMap::new());
        for (_, record) in &self.records {
            match record {
                Record::Decision(decision) => runs.insert(&decision.run, false),
                Record::Run(run) => runs.insert(&run.run, true),
                Record::Incident(incident) => {
                    incidents.insert(&incident.incident, incident.findings.iter().any(|named| named.finding == finding))
                }
                Record::Finding(_) | Record::Hold(_) | Record::Route(_) => None,
            };
        }
        self.intents.iter().all(|intent| intent.outcome.is_some())
            && runs.values().all(|ended| *ended)
            && !incidents.values().any(|holds| *holds)
    }
}

impl Record {
    fn parse(kind: &str, body: &str) -> Result<Option<Self>, serde_json::Error> {
        Ok(match kind {
            "finding" => Some(Self::Finding(serde_json::from_str(body)?)),
            "incident" => Some(Self::Incident(serde_json::from_str(body)?)),
            "hold" => Some(Self::Hold(serde_json::from_str(body)?)),
            "decision" => Some(Self::Decision(serde_json::from_str(body)?)),
            "route" => Some(Self::Route(serde_json::from_str(body)?)),
            "run" => Some(Self::Run(serde_json::from_str(body)?)),
            _ => None,
        })
    }
}

fn intents(database: &Connection) -> rusqlite::Result<Vec<Intent>> {
    let mut statement = database.prepare(
        "SELECT action, coalesce(node, ''), reserved_at_ms, outcome FROM intent ORDER BY reserved_at_ms, step LIMIT ?1",
    )?;
    let rows = statement.query_map([ROWS_MAX], |row| {
        Ok(Intent { action: row.get(0)?, node: row.get(1)?, reserved_at: ms(row.get(2)?), outcome: row.get(3)? })
    })?;
    rows.collect()
}

type Row = (i64, UnixMs, String, String);

fn rows(database: &Connection) -> rusqlite::Result<Vec<Row>> {
    let mut statement = database.prepare(
        "SELECT seq, at_ms, kind, body FROM record
         WHERE kind IN ('finding', 'incident', 'hold', 'decision', 'run', 'route') ORDER BY seq LIMIT ?1",
    )?;
    let rows = statement.query_map([ROWS_MAX], |row| Ok((row.get(0)?, ms(row.get(1)?), row.get(2)?, row.get(3)?)))?;
    rows.collect()
}

fn ms(stored: i64) -> UnixMs {
    u64::try_from(stored).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_intents_and_the_records_that_matter() {
        let folder = std::env::temp_dir().join(format!("defib-lab-journal-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("journal.sqlite");
        let database = Connection::open(&path).expect("a database");
        database
            .execute_batch(
                "CREATE TABLE intent(step TEXT PRIMARY KEY, run TEXT, incident TEXT, cluster TEXT, playbook TEXT,
                   action TEXT, node TEXT, class TEXT, reserved_at_ms INTEGER, outcome TEXT, detail TEXT,
                   ended_at_ms INTEGER);
                 CREATE TABLE record(seq INTEGER PRIMARY KEY, at_ms INTEGER, cluster TEXT, kind TEXT,
                   version INTEGER, body TEXT);
                 INSERT INTO intent VALUES('s','r','i','lab','restart-kubelet','restart-service kubelet','cp1',
                   'service',5,'done',NULL,9);
                 INSERT INTO record VALUES(1,2,'lab','finding',1,
                   '{\"finding\":\"vip-lost\",\"scope\":\"cluster\",\"change\":\"raised\",\"text\":\"t\"}');
                 INSERT INTO record VALUES(2,3,'lab','start',1,'{}');
                 INSERT INTO record VALUES(3,4,'lab','incident',1,
                   '{\"incident\":\"i\",\"state\":\"open\",\"root\":\"vip-lost\",\"root_scope\":\"cluster\",
                     \"findings\":[{\"finding\":\"vip-lost\",\"scope\":\"cluster\"}]}');",
            )
            .expect("tables");
        let journal = Journal::read(&path).expect("a journal");
        std::fs::remove_dir_all(&folder).expect("gone");
        assert_eq!(journal.intents.len(), 1);
        assert_eq!((journal.intents[0].reserved_at, journal.intents[0].outcome.as_deref()), (5, Some("done")));
        assert_eq!(journal.records.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn it_has_done_when_runs_have_ended_and_no_incident_holds_the_finding() {
        let record = |kind: &str, body: &str| (0, Record::parse(kind, body).expect("json").expect("known"));
        let mut journal = Journal::default();
        assert!(journal.is_settled("vip-lost"));
        let open = r#"{"incident":"I-1","state":"open","root":"x","findings":[{"finding":"vip-lost"}]}"#;
        let other = r#"{"incident":"I-2","state":"open","root":"x","findings":[{"finding":"machine-unreachable"}]}"#;
        journal.records =
            vec![record("incident", open), record("incident", other), record("decision", r#"{"run":"R-1"}"#)];
        assert!(!journal.is_settled("vip-lost"));
        journal.records.push(record("incident", r#"{"incident":"I-1","root":"y","findings":[{"finding":"z"}]}"#));
        assert!(!journal.is_settled("vip-lost"), "R-1 is being verified");
        journal.records.push(record("run", r#"{"run":"R-1","state":"recovered","text":""}"#));
        assert!(journal.is_settled("vip-lost"), "the incidents may stay, for other reasons");
    }
}
