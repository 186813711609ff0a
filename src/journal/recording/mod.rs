//! The flight recorder: what went into the engine around an incident, in a file, so that the same engine can be led
//! through it again with other playbooks or other limits.
//!
//! One file for each incident that opens while nothing of its cluster is recorded: the minutes before it, then everything
//! until the cluster has been quiet for a while or a bound is met. Each line stands by itself: a checksum, and one JSON
//! object. A process that dies leaves a file that ends early and says so. It holds what the probes saw, names and addresses
//! among it, and the playbooks; no credential ever enters the engine. Left out: playing it (`replay`), and what other
//! clusters answered at the same time.
//!
//! ```text
//! 0123456789abcdef {"format":1,"program":"0.1.0","model":false,"cluster":"prod", …}         the header
//! …                {"turn":{"now":{…},"events":[…]}}                                      what came, and when
//! …                {"wrote":{"now":{…},"records":[…],"steps":[…]}}                        what the engine made of it
//! …                {"end":"quiet for 1m"}                                                 why it ends
//! ```

mod keep;
mod read;
mod recorder;
mod shape;
mod shapes;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use defib_engine::event::{Event, Saved};
use defib_engine::settings::{ClusterSettings, Mode};
use defib_engine::time::Now;
use serde_json::{Map, Value};
use thiserror::Error;

use shape::{Misshapen, Shape, field, fields};

pub use keep::Keeper;
pub use read::Recording;
pub use recorder::Recorder;

/// The newest format that this program reads, and the one that it writes.
pub const FORMAT: u64 = 1;
/// The recordings' folder, beside the journal.
pub const FOLDER: &str = "recordings";
/// How a recording's name ends.
pub const EXTENSION: &str = "recording";
/// One line is so long at most: a turn takes 256 events, of a few kilobytes each.
const LINE_MAX: usize = 8 * 1024 * 1024;
/// One file is so long at most: hours of a cluster of three.
const FILE_MAX: u64 = 64 * 1024 * 1024;

/// Why a recording cannot be read.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// The file cannot be opened or read.
    #[error("cannot read {}", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// It is something else.
    #[error("{} is no recording of defib: {why}", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// What gives it away.
        why: String,
    },
    /// A later program wrote it.
    #[error("{} has format {format}; this defib reads {FORMAT}: take the one that wrote it", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        format: u64,
    },
    /// A line is not what was written.
    #[error("{}:{line}: {why}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// It is longer than any that is written.
    #[error("{} is longer than {} MiB, the longest that is written", .0.display(), FILE_MAX / 1024 / 1024)]
    TooLong(PathBuf),
}

/// What a recording begins with: everything that a fresh engine must be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The program's version.
    pub program: String,
    /// What was recorded is a model, played by `defib rehearse`: nothing of it is real.
    pub model: bool,
    /// The cluster.
    pub cluster: String,
    /// The incident for which it was kept.
    pub incident: String,
    /// When that opened.
    pub opened: Now,
    /// When the first turn was.
    pub begins: Now,
    /// The program began then, too: nothing came before it.
    pub from_start: bool,
    /// May it act.
    pub mode: Mode,
    /// What is settled about the cluster.
    pub settings: Cluster,
    /// The canaries.
    pub canaries: Vec<String>,
    /// The playbooks, as they were written, each with its name, in order.
    pub playbooks: Vec<(String, String)>,
    /// What was reserved, paused and routed when it begins.
    pub saved: Memory,
}

/// [`ClusterSettings`] that can be compared.
#[derive(Clone, Debug, Default)]
pub struct Cluster(pub ClusterSettings);

/// [`Saved`] that can be compared.
#[derive(Clone, Debug, Default)]
pub struct Memory(pub Saved);

impl PartialEq for Cluster {
    fn eq(&self, other: &Cluster) -> bool {
        self.0.put() == other.0.put()
    }
}

impl PartialEq for Memory {
    fn eq(&self, other: &Memory) -> bool {
        self.0.put() == other.0.put()
    }
}

/// What came into the engine in one turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Both clocks.
    pub now: Now,
    /// In this order.
    pub events: Vec<Event>,
}

/// What the engine wrote down in the turn before.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrote {
    /// Both clocks.
    pub now: Now,
    /// The number by which the journal answers.
    pub batch: u64,
    /// Its account, as the journal has it.
    pub records: Vec<Told>,
    /// The steps that it intended.
    pub steps: Vec<Intended>,
}

/// One row of the account.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Its kind.
    pub kind: String,
    /// Its body, as the journal has it.
    pub body: Value,
}

/// One step that was reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intended {
    /// Its id.
    pub step: String,
    /// Its run.
    pub run: String,
    /// By which playbook.
    pub playbook: String,
    /// On which node.
    pub node: String,
    /// What, in words.
    pub action: String,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// The first.
    Header(Box<Header>),
    /// What came.
    Turn(Turn),
    /// What the engine made of it.
    Wrote(Wrote),
    /// The last: why it ends.
    End(String),
}

fields! {
    Turn { now, events }
    Wrote { now, batch, records, steps }
    Told { kind, body }
    Intended { step, run, playbook, node, action }
}

impl Shape for Value {
    fn put(&self) -> Value {
        self.clone()
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        Ok(value.clone())
    }
}

impl Shape for Cluster {
    fn put(&self) -> Value {
        self.0.put()
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        Shape::take(value).map(Cluster)
    }
}

impl Shape for Memory {
    fn put(&self) -> Value {
        self.0.put()
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        Shape::take(value).map(Memory)
    }
}

fields! {
    Header {
        program, model, cluster, incident, opened, begins, from_start, mode, settings, canaries, playbooks, saved,
    }
}

impl Line {
    /// As it stands in the file, its end among it.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let value = match self {
            Line::Header(header) => {
                let mut value = header.put();
                if let Value::Object(map) = &mut value {
                    map.insert("format".to_owned(), FORMAT.put());
                }
                value
            }
            Line::Turn(turn) => one("turn", turn.put()),
            Line::Wrote(wrote) => one("wrote", wrote.put()),
            Line::End(why) => one("end", why.put()),
        };
        sealed(&value)
    }

    /// A line after the first, without its end.
    fn read(line: &[u8]) -> Result<Line, String> {
        let value = value(line)?;
        let Value::Object(map) = &value else { return Err("not an object".to_owned()) };
        let line = match map.iter().next().map(|(name, body)| (name.as_str(), body)) {
            Some(("turn", body)) => Turn::take(body).map(Line::Turn),
            Some(("wrote", body)) => Wrote::take(body).map(Line::Wrote),
            Some(("end", body)) => String::take(body).map(Line::End),
            _ => Err(Misshapen::new("neither a turn, nor what was written, nor the end")),
        };
        line.map_err(|error| error.to_string())
    }
}

/// A value as a line, with its checksum and its end.
fn sealed(value: &Value) -> Vec<u8> {
    let text = value.to_string();
    format!("{} {text}\n", checksum(text.as_bytes())).into_bytes()
}

fn one(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

/// What is behind a line's checksum, if that is right.
fn value(line: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(line).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
    let (sum, text) = text.split_once(' ').ok_or("no checksum")?;
    if sum != checksum(text.as_bytes()) {
        return Err("its checksum does not fit: the line is damaged".to_owned());
    }
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

/// The first 64 bits of SHA-256, in hex: against damage, not against malice.
fn checksum(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
