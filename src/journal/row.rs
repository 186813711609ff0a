//! The rows' shapes: the journal's own, neither the engine's types nor the API's.

use std::time::Duration;

use rusqlite::Row;
use serde_json::Value;

/// The newest version of a record's body that this program reads; versions count from 1.
pub const RECORD_VERSION: u32 = 1;

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It did what it should.
    Done,
    /// It failed, and said so.
    Failed,
    /// Nobody knows: it may have happened.
    Unknown,
    /// It was reserved and not started.
    Withdrawn,
}

impl Outcome {
    /// The word in the row.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::Unknown => "unknown",
            Outcome::Withdrawn => "withdrawn",
        }
    }

    /// The outcome with this word.
    #[must_use]
    pub fn named(name: &str) -> Option<Outcome> {
        [Outcome::Done, Outcome::Failed, Outcome::Unknown, Outcome::Withdrawn].into_iter().find(|o| o.name() == name)
    }
}

/// A moment by the machine's own count: which boot it was, and how long that had lasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The boot's id.
    pub id: String,
    /// Since that boot, time asleep included.
    pub up: Duration,
}

impl Boot {
    /// How long ago `earlier` was; none where the machine booted in between. A count that went back says nothing passed.
    #[must_use]
    pub fn since(&self, earlier: &Boot) -> Option<Duration> {
        (self.id == earlier.id).then(|| self.up.saturating_sub(earlier.up))
    }
}

/// One step that was meant: intent and reservation in one row. Whatever its outcome, it is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntentRow {
    /// The step's id, unique for ever.
    pub step: String,
    /// The run it belongs to.
    pub run: String,
    /// The incident that called for it.
    pub incident: Option<String>,
    /// The cluster's name.
    pub cluster: String,
    /// The playbook's name.
    pub playbook: String,
    /// The action in words.
    pub action: String,
    /// The node's name.
    pub node: String,
    /// The action's class.
    pub class: String,
    /// When it was reserved, Unix milliseconds.
    pub reserved_at_ms: i64,
    /// The same by the machine's own count, where it was known.
    pub reserved_boot: Option<Boot>,
    /// What came of it; none while it is open.
    pub outcome: Option<Outcome>,
    /// The outcome in words.
    pub detail: Option<String>,
    /// When it ended, Unix milliseconds.
    pub ended_at_ms: Option<i64>,
}

/// The outcome of a step whose intent is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The step's id.
    pub step: String,
    /// What came of it.
    pub outcome: Outcome,
    /// In words; cut at 4 KiB.
    pub detail: String,
    /// When, Unix milliseconds.
    pub ended_at_ms: i64,
}

/// A record to be written; the journal numbers it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRecord {
    /// When it happened, Unix milliseconds.
    pub at_ms: i64,
    /// The cluster it is about; empty where it concerns them all.
    pub cluster: String,
    /// What kind of record.
    pub kind: String,
    /// The version of the body's shape, from 1.
    pub version: u32,
    /// The body; at most 256 KiB as JSON.
    pub body: Value,
}

/// A record as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordRow {
    /// Its number: ever growing, never used twice.
    pub seq: i64,
    /// When it happened, Unix milliseconds.
    pub at_ms: i64,
    /// The cluster it is about; empty where it concerns them all.
    pub cluster: String,
    /// What kind of record.
    pub kind: String,
    /// The version of the body's shape.
    pub version: u32,
    /// The body.
    pub body: Value,
}

/// What is written in one transaction: all of it or nothing. The intents come first, then outcomes, then records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteBatch {
    /// Steps that are meant and reserved. With any of them the batch is a barrier: committed at once.
    pub intents: Vec<IntentRow>,
    /// Outcomes of open intents.
    pub outcomes: Vec<Ended>,
    /// Records.
    pub records: Vec<NewRecord>,
}

/// The columns that [`intent`] reads, in its order.
pub(super) const INTENT_COLUMNS: &str = "step, run, incident, cluster, playbook, action, node, class, reserved_at_ms, outcome, detail, ended_at_ms, \
     boot, boot_ms";

/// The columns that [`record`] reads, in its order.
pub(super) const RECORD_COLUMNS: &str = "seq, at_ms, cluster, kind, version, body";

/// One intent, and whether it was sound. An outcome that is no known word reads as *unknown*, which is spent: a row is
/// never left out of a limit because it cannot be understood.
pub(super) fn intent(row: &Row<'_>) -> rusqlite::Result<(IntentRow, bool)> {
    let word: Option<String> = row.get(9)?;
    let outcome = word.as_deref().map(|word| Outcome::named(word).ok_or(word));
    let sound = !matches!(outcome, Some(Err(_)));
    let intent = IntentRow {
        step: row.get(0)?,
        run: row.get(1)?,
        incident: row.get(2)?,
        cluster: row.get(3)?,
        playbook: row.get(4)?,
        action: row.get(5)?,
        node: row.get(6)?,
        class: row.get(7)?,
        reserved_at_ms: row.get(8)?,
        reserved_boot: boot(row.get(12)?, row.get(13)?),
        outcome: outcome.map(|outcome| outcome.unwrap_or(Outcome::Unknown)),
        detail: row.get(10)?,
        ended_at_ms: row.get(11)?,
    };
    Ok((intent, sound))
}

fn boot(id: Option<String>, up_ms: Option<i64>) -> Option<Boot> {
    Some(Boot { id: id?, up: Duration::from_millis(u64::try_from(up_ms?).ok()?) })
}

/// One record; none when its version or its body is not understood.
pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<Option<RecordRow>> {
    let version = u32::try_from(row.get::<_, i64>(4)?).ok().filter(|version| (1..=RECORD_VERSION).contains(version));
    let body = serde_json::from_str(&row.get::<_, String>(5)?).ok();
    let (Some(version), Some(body)) = (version, body) else { return Ok(None) };
    Ok(Some(RecordRow { seq: row.get(0)?, at_ms: row.get(1)?, cluster: row.get(2)?, kind: row.get(3)?, version, body }))
}
