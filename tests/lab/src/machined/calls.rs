//! The call log of a machined: what was asked of it, by whom, and what it answered. The lab judges by it.
//!
//! One JSON object a line, in the order of the answers, written before the answer leaves. Calls that change something
//! are always written; of the others, the first [`READS_MAX`].

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The most reading calls that are kept: about a day of one observer, 40 MB.
const READS_MAX: u64 = 200_000;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// When it came in, in Unix milliseconds.
    pub at_ms: u64,
    /// The node that was asked.
    pub node: String,
    /// The call, such as `ServiceRestart`.
    pub rpc: String,
    /// What it was about: a service, `namespace/id` of a log, or empty.
    pub argument: String,
    /// The caller's roles, joined by commas.
    pub role: String,
    /// The caller's address and port.
    pub peer: String,
    /// `OK`, or the gRPC code and message.
    pub answer: String,
    /// Whether the call may change something.
    pub mutating: bool,
}

/// The file, open.
#[derive(Debug)]
pub(super) struct CallLog {
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    file: File,
    reads: u64,
}

impl CallLog {
    /// Opens the log to add to it.
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { kept: Mutex::new(Kept { file, reads: 0 }) })
    }

    /// Adds a call.
    pub(super) fn add(&self, call: &CallRecord) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(call)?;
        line.push(b'\n');
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !call.mutating {
            kept.reads += 1;
            if kept.reads > READS_MAX {
                return Ok(());
            }
        }
        kept.file.write_all(&line)
    }
}

/// The calls in a log, in its order; a last line that is still being written is left out.
pub(crate) fn read(path: &Path) -> std::io::Result<Vec<CallRecord>> {
    let text = match std::fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).map_err(Into::into)).collect()
}

/// This moment in Unix milliseconds.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
