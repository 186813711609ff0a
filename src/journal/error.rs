//! What can go wrong with the journal, each error naming its file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

/// Why the journal did not do what it was asked. Cloneable, because one failed commit answers a group of batches.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// The folder or the lock could not be made or opened.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// Another program writes to this journal.
    #[error("journal {} is in use by process {}", folder.display(), pid.map_or("unknown".to_owned(), |pid| pid.to_string()))]
    Held {
        /// The journal's folder.
        folder: PathBuf,
        /// The holder's process id, where it had written it down yet.
        pid: Option<u32>,
    },
    /// There is no journal in this folder.
    #[error("no journal at {}", .0.display())]
    Missing(PathBuf),
    /// What a crash left beside the file can only be read where it can be written.
    #[error("journal {} has unsettled changes in a folder that cannot be written: read a copy of the folder", .0.display())]
    Unsettled(PathBuf),
    /// The file is damaged. It is left as it is, for a person to look at.
    #[error("journal {} is damaged: {detail}; it was left untouched, move it away to begin another", file.display())]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// What SQLite found first.
        detail: String,
    },
    /// The file was written by a newer program.
    #[error("journal {} has format {found}, this program knows up to {known}: use the newer program", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// SQLite failed: a full disk, a read-only file system, a broken disk.
    #[error("cannot {doing} journal {}", file.display())]
    Sqlite {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        file: PathBuf,
        /// What SQLite said.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// More batches wait than the queue holds: the disk is too slow.
    #[error("journal's queue of {0} batches is full")]
    QueueFull(usize),
    /// The writer has ended.
    #[error("journal's writer has ended")]
    Closed,
    /// A record's body is larger than a row may be.
    #[error("record {kind} has {bytes} bytes, more than {limit}")]
    TooLarge {
        /// The record's kind.
        kind: String,
        /// Its size as JSON.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// An outcome came for a step that has no open intent.
    #[error("step {0} has no open intent")]
    NoIntent(String),
}

impl JournalError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
        move |source| JournalError::Io { doing, path: path.to_owned(), source: Arc::new(source) }
    }

    /// Damage is told apart from every other failure, because only a person can cure it.
    pub(super) fn sqlite(doing: &'static str, file: &Path) -> impl Fn(rusqlite::Error) -> JournalError {
        move |source| match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                JournalError::Corrupt { file: file.to_owned(), detail: source.to_string() }
            }
            _ => JournalError::Sqlite { doing, file: file.to_owned(), source: Arc::new(source) },
        }
    }

    /// Nothing that is written afterwards can be trusted: after a failed fsync the kernel may have dropped pages that
    /// later commits build upon, and a damaged file only gets worse.
    pub(super) fn is_final(&self) -> bool {
        match self {
            JournalError::Corrupt { .. } => true,
            JournalError::Sqlite { source, .. } => source.sqlite_error_code() == Some(ErrorCode::SystemIoFailure),
            _ => false,
        }
    }
}
