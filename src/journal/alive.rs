//! A sign of life beside the journal: the time of a file that the daemon touches every few seconds. Where a process was
//! killed, the next one reads there until when it lived, so that nobody takes its silence for health.
//!
//! Not durable on purpose: a sign that is lost makes a gap longer, never shorter.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const FILE: &str = "alive";

/// Gives the sign. It may wait for the disk.
///
/// # Errors
/// What the system says.
pub fn touch(folder: &Path) -> std::io::Result<()> {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(folder.join(FILE))?;
    file.set_modified(SystemTime::now())
}

/// When the last sign was given, Unix milliseconds; none where there is none.
#[must_use]
pub fn lived_until(folder: &Path) -> Option<i64> {
    let modified = std::fs::metadata(folder.join(FILE)).ok()?.modified().ok()?;
    i64::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_is_read_back_and_none_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(lived_until(folder.path()), None);
        touch(folder.path()).unwrap();
        let first = lived_until(folder.path()).unwrap();
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        assert!((now - 60_000..=now + 1_000).contains(&first), "{first} {now}");
        touch(folder.path()).unwrap();
        assert!(lived_until(folder.path()).unwrap() >= first);
    }
}
