//! A snapshot of etcd in a file here: what a person needs before anything is done to a member's data.
//!
//! It promises that the file is whole or absent: what streams in goes to `FILE.partial`, readable by its owner alone, and
//! becomes `FILE` only after it matched the hash that etcd sends last and reached the disk. Nothing that is there is
//! written over. Which are kept is
//! `shelf`'s. Left out: when to take one, and restoring.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use defib_engine::observation::EtcdStatus;
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

use crate::client::Trouble;
use crate::client::etcd::{Member, Snapshot};

mod shelf;

pub use shelf::Shelf;

/// More is not read: etcd advises a quota of 8 GiB at the most.
pub const BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// A member that sends nothing for so long is given up.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);
/// etcd's store is whole pages, all of them multiples of this.
const PAGE_BYTES: u64 = 512;
/// What etcd sends behind the store.
const SHA256_BYTES: u64 = SHA256_OUTPUT_LEN as u64;

/// A follower that has applied so many entries fewer than the newest member is left behind, and not taken.
const BEHIND_MAX: u64 = 1_000;

/// What was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The size of the file, its trailing hash included.
    pub bytes: u64,
    /// The SHA-256 of the store, in hexadecimal, as etcd sent it and as it was counted here.
    pub sha256: String,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Somebody's file is in the way.
    #[error("{} is there already; name another file, or remove it", .0.display())]
    Exists(PathBuf),
    /// The member did not give all of it.
    #[error("the member's snapshot ended early: {0}")]
    Remote(#[from] Trouble),
    /// More than [`BYTES_MAX`].
    #[error("the snapshot is larger than {BYTES_MAX} bytes")]
    TooLarge,
    /// What arrived is not what was sent.
    #[error("the snapshot does not match the SHA-256 at its end: {0} bytes arrived; take it again")]
    Hash(u64),
    /// The disk here.
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
}

/// Saves a snapshot of this member's store. The file's folder must exist.
///
/// # Errors
/// [`SnapshotError`]; then neither `file` nor its partial one is left.
pub async fn save(member: &Member, file: &Path) -> Result<Saved, SnapshotError> {
    if file.symlink_metadata().is_ok() {
        return Err(SnapshotError::Exists(file.to_owned()));
    }
    let mut snapshot = member.snapshot(SILENCE_MAX).await?;
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let wrote = |error| SnapshotError::Write(partial.clone(), error);
    let out = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(SnapshotError::Exists(partial)),
        opened => opened.map_err(wrote)?,
    };
    let _unfinished = Unfinished(partial.clone());
    match receive(&mut snapshot, out, &partial).await {
        Ok((saved, out)) => {
            let (partial, file) = (partial.clone(), file.to_owned());
            let durable = off_loop(move || durable(&out, &partial, &file)).await;
            durable.map(|()| saved).map_err(wrote)
        }
        Err(error) => Err(error),
    }
}

/// A partial file, taken away whether it came to a whole one, to an error, or nobody waits for it any more.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // A whole one took it away already; the error that is told is the one that led here.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn receive(snapshot: &mut Snapshot, mut out: File, partial: &Path) -> Result<(Saved, File), SnapshotError> {
    let mut hash = Trailing::new();
    while let Some(part) = snapshot.part(SILENCE_MAX).await? {
        hash.take(&part);
        if hash.bytes > BYTES_MAX {
            return Err(SnapshotError::TooLarge);
        }
        let written = off_loop(move || out.write_all(&part).map(|()| out)).await;
        out = written.map_err(|error| SnapshotError::Write(partial.to_owned(), error))?;
    }
    hash.end().map(|saved| (saved, out))
}

/// A disk may take its time; the loop of a daemon may not.
async fn off_loop<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// The file first, then its name, then the folder that holds the name. A link takes no name that somebody else took
/// meanwhile, as a rename would.
fn durable(out: &File, partial: &Path, file: &Path) -> io::Result<()> {
    out.sync_all()?;
    std::fs::hard_link(partial, file)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let named = std::fs::remove_file(partial).and_then(|()| File::open(folder)?.sync_all());
    if named.is_err() {
        // A name that did not reach the disk is no promise.
        let _ = std::fs::remove_file(file);
    }
    named
}

/// Hashes all that streams by but its last 32 bytes, and compares them with the hash.
struct Trailing {
    context: Context,
    tail: Vec<u8>,
    bytes: u64,
}

impl Trailing {
    fn new() -> Trailing {
        Trailing { context: Context::new(&SHA256), tail: Vec::new(), bytes: 0 }
    }

    fn take(&mut self, part: &[u8]) {
        self.bytes = self.bytes.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        self.tail.extend_from_slice(part);
        let sure = self.tail.len().saturating_sub(SHA256_OUTPUT_LEN);
        self.context.update(&self.tail[..sure]);
        self.tail.drain(..sure);
    }

    fn end(self) -> Result<Saved, SnapshotError> {
        let counted = self.context.finish();
        let pages =
            self.bytes.checked_sub(SHA256_BYTES).is_some_and(|bytes| bytes > 0 && bytes.is_multiple_of(PAGE_BYTES));
        if !pages || counted.as_ref() != self.tail {
            return Err(SnapshotError::Hash(self.bytes));
        }
        let sha256 = self.tail.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Saved { bytes: self.bytes, sha256 })
    }
}

/// What a member says where its data is called corrupt.
pub(crate) fn called_corrupt(status: &EtcdStatus) -> Option<&str> {
    let corrupt = |error: &&String| error.to_ascii_uppercase().contains("CORRUPT");
    status.errors.iter().find(corrupt).map(String::as_str)
}

/// Whom to take it from: a voter whose data nobody calls corrupt and who is not left behind; a follower before the leader,
/// the newest first.
#[must_use]
pub fn source(members: &[&EtcdStatus]) -> Option<usize> {
    let sound = |status: &EtcdStatus| !status.learner && called_corrupt(status).is_none();
    let fit = || members.iter().enumerate().filter(|(_, status)| sound(status));
    let newest = fit().map(|(_, status)| status.applied_index).max()?;
    fit()
        .filter(|(_, status)| newest - status.applied_index <= BEHIND_MAX)
        .max_by_key(|(_, status)| (status.leader != status.member_id, status.applied_index))
        .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..4096_u32).map(|at| (at % 251) as u8).collect();
        let hash = ring::digest::digest(&SHA256, &bytes);
        bytes.extend_from_slice(hash.as_ref());
        bytes
    }

    fn judged(bytes: &[u8], part: usize) -> Result<Saved, SnapshotError> {
        let mut hash = Trailing::new();
        bytes.chunks(part).for_each(|part| hash.take(part));
        hash.end()
    }

    #[test]
    fn the_hash_at_the_end_is_found_however_the_parts_fall() {
        let bytes = whole();
        for part in [1, 7, 31, 32, 33, 4095, 4096, 4128] {
            assert_eq!(judged(&bytes, part).unwrap().bytes, 4128, "in parts of {part}");
        }
    }

    #[test]
    fn what_is_cut_short_or_changed_or_empty_is_refused() {
        let bytes = whole();
        for end in [0, 31, 32, 512, 4096, 4127] {
            assert!(matches!(judged(&bytes[..end], 100), Err(SnapshotError::Hash(_))), "cut at {end}");
        }
        for at in [0, 2000, 4096, 4127] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(matches!(judged(&changed, 100), Err(SnapshotError::Hash(4128))), "changed at {at}");
        }
    }

    fn member(member_id: u64, applied_index: u64) -> EtcdStatus {
        EtcdStatus {
            cluster_id: 1,
            member_id,
            leader: 1,
            term: 2,
            index: applied_index,
            applied_index,
            db_size_bytes: 0,
            db_in_use_bytes: 0,
            learner: false,
            errors: Vec::new(),
            version: "3.6.0".to_owned(),
        }
    }

    #[test]
    fn the_newest_sound_follower_is_taken_and_the_leader_where_all_others_lag() {
        let (leader, follower, lags) = (member(1, 9_000), member(2, 8_990), member(3, 7_000));
        assert_eq!(source(&[&leader, &follower, &lags]), Some(1));
        assert_eq!(source(&[&leader, &lags]), Some(0));
        let corrupt = EtcdStatus { errors: vec!["memberID:2 alarm:CORRUPT".to_owned()], ..follower.clone() };
        let learner = EtcdStatus { learner: true, ..follower };
        assert_eq!(source(&[&leader, &corrupt, &learner]), Some(0));
        assert_eq!(source(&[&corrupt]), None);
    }
}
