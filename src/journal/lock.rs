//! One writer a folder: a lock that the kernel lets go when the process ends, however it ends.
//!
//! The writer holds it exclusively; whoever only asks who the writer is takes a share of it for a moment. The file stays
//! behind and holds the last writer's process id; only the lock on it means anything.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::JournalError;

const FILE: &str = "lock";
/// How often taking the lock is tried while others merely ask who has it, each for microseconds.
const ATTEMPTS_MAX: usize = 1_000;

/// Held while the value lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of this folder, or says who has it.
    pub(super) fn take(folder: &Path) -> Result<Lock, JournalError> {
        let path = folder.join(FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(JournalError::io("open", &path))?;
        if !claim(&file).map_err(JournalError::io("lock", &path))? {
            return Err(JournalError::Held { folder: folder.to_owned(), pid: noted(&mut file) });
        }
        note(&mut file).map_err(JournalError::io("write", &path))?;
        Ok(Lock { _file: file })
    }
}

/// The process that writes to the journal in this folder; none where nothing does, or where it cannot be asked (no such
/// folder, or not ours to read). Right at the writer's start, before it noted its id, none is said too.
#[must_use]
pub fn holder(folder: &Path) -> Option<u32> {
    let mut file = File::open(folder.join(FILE)).ok()?;
    is_held(&file).ok()?.then(|| noted(&mut file)).flatten()
}

/// Whether the lock is ours. That others ask who has it never makes it fail.
fn claim(file: &File) -> io::Result<bool> {
    for _ in 0..ATTEMPTS_MAX {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if is_held(file)? => return Ok(false),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    Ok(false)
}

/// Whether somebody holds the lock exclusively: then no share of it is to be had.
fn is_held(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn note(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn noted(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
