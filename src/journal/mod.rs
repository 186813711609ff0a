//! The durable record: what was meant, what was reserved, what came of it, what was found and decided.
//!
//! One SQLite file in one folder, one writer thread, any number of readers beside it, also after the writer died. An
//! intent's row is its reservation too, so a limit can never be refilled by a crash: what was reserved stays spent, and
//! an intent without an outcome becomes *unknown* at the next start. The folder is locked, so that two programs cannot
//! spend the same budget twice.
//!
//! Promised: a batch that was answered `Ok` is on the disk (WAL, `synchronous=FULL`); a caller never waits for the disk;
//! nothing is deleted because it cannot be read. Left out: what the records mean (that is the engine's), and any clock:
//! every time comes from the caller.

pub mod account;
pub mod alive;
mod error;
mod lock;
mod prune;
mod reader;
pub mod recording;
mod row;
mod schema;
mod store;
mod writer;

#[cfg(test)]
mod tests;

pub use error::JournalError;
pub use lock::holder;
pub use reader::{Bad, Page, Reader, Wanted};
pub use row::{Boot, Ended, IntentRow, NewRecord, Outcome, RECORD_VERSION, RecordRow, WriteBatch};
pub use store::{Journal, Opened};

/// The journal's file in its folder.
const FILE: &str = "journal.sqlite";
