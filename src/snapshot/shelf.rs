//! The folder in which snapshots of one cluster are kept: which there are, which go, and what the next is called.
//!
//! `CLUSTER-2026-11-24T03-54-18Z.db`: the name says when, so a restart forgets nothing. It promises to touch no file that is
//! not named so, and to take an old one away only after a new one is whole. Clusters may share a folder. Left out: when to
//! take one (`daemon`), and taking it (`snapshot`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use defib_engine::observation::{Snapshot, Snapshots};
use defib_engine::time::UnixMs;

use crate::config::Schedule;

/// A folder with more entries than this is somebody else's.
const ENTRIES_MAX: usize = 100_000;

/// One cluster's.
#[derive(Debug)]
pub struct Shelf {
    cluster: String,
    schedule: Schedule,
    failed: Mutex<Option<String>>,
}

/// A snapshot's file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct File {
    at: UnixMs,
    path: PathBuf,
    whole: bool,
}

impl Shelf {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(cluster: &str, schedule: &Schedule) -> Shelf {
        Shelf { cluster: cluster.to_owned(), schedule: schedule.clone(), failed: Mutex::default() }
    }

    /// The cluster whose snapshots these are.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// How often one is to be taken.
    #[must_use]
    pub fn every(&self) -> Duration {
        self.schedule.every
    }

    /// What is kept. It reads the disk.
    ///
    /// # Errors
    /// The folder is there and cannot be read; one that is not there holds nothing.
    pub fn look(&self) -> io::Result<Snapshots> {
        let newest = match self.files()?.into_iter().rfind(|file| file.whole) {
            Some(file) => Some(Snapshot { at: file.at, bytes: file.path.metadata()?.len() }),
            None => None,
        };
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Snapshots { every: self.schedule.every, newest, failed })
    }

    /// How the last attempt ended; none: well.
    pub fn ended(&self, failed: Option<String>) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    /// Makes the folder, takes away what an attempt left that was cut off, and names the next. It writes to the disk.
    ///
    /// # Errors
    /// What the disk says.
    pub fn next(&self, now: UnixMs) -> io::Result<PathBuf> {
        std::fs::create_dir_all(&self.schedule.folder)?;
        for cut_off in self.files()?.iter().filter(|file| !file.whole) {
            std::fs::remove_file(&cut_off.path)?;
        }
        Ok(self.schedule.folder.join(name(&self.cluster, now)))
    }

    /// Takes the oldest away until as many are left as are to be kept; how many went. It writes to the disk.
    ///
    /// # Errors
    /// What the disk says.
    pub fn prune(&self) -> io::Result<usize> {
        let mut whole: Vec<File> = self.files()?.into_iter().filter(|file| file.whole).collect();
        whole.truncate(whole.len().saturating_sub(self.schedule.keep));
        whole.iter().try_for_each(|file| std::fs::remove_file(&file.path))?;
        Ok(whole.len())
    }

    /// Every file of this cluster, the oldest first.
    fn files(&self) -> io::Result<Vec<File>> {
        let entries = match std::fs::read_dir(&self.schedule.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for (number, entry) in entries.enumerate() {
            if number == ENTRIES_MAX {
                return Err(io::Error::other(format!("more than {ENTRIES_MAX} files are there")));
            }
            files.extend(file(&self.cluster, entry?.path()));
        }
        files.sort();
        Ok(files)
    }
}

fn name(cluster: &str, at: UnixMs) -> String {
    let since = Duration::from_millis(u64::try_from(at.0).unwrap_or(0));
    let stamp = humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string();
    format!("{cluster}-{}.db", stamp.replace(':', "-"))
}

/// The file, where it is one of the cluster's.
fn file(cluster: &str, path: PathBuf) -> Option<File> {
    let named = path.file_name()?.to_str()?.strip_prefix(cluster)?.strip_prefix('-')?;
    let (stamp, whole) = match named.strip_suffix(".db") {
        Some(stamp) => (stamp, true),
        None => (named.strip_suffix(".db.partial")?, false),
    };
    Some(File { at: stamped(stamp)?, whole, path })
}

/// `2026-11-24T03-54-18Z`, and nothing else.
fn stamped(stamp: &str) -> Option<UnixMs> {
    let (date, time) = stamp.split_once('T')?;
    let at = humantime::parse_rfc3339(&format!("{date}T{}", time.replace('-', ":"))).ok()?;
    let at = at.duration_since(SystemTime::UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_millis()).ok())?;
    let at = UnixMs(at);
    (name("", at) == format!("-{stamp}.db")).then_some(at)
}

/// The folder of a shelf, for those who say where it is.
impl AsRef<Path> for Shelf {
    fn as_ref(&self) -> &Path {
        &self.schedule.folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_795_492_761_000);

    fn shelf(folder: &Path, cluster: &str, keep: usize) -> Shelf {
        Shelf::new(cluster, &Schedule { every: Duration::from_secs(3_600), keep, folder: folder.to_owned() })
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_name_says_when_and_only_such_names_are_ours() {
        assert_eq!(name("prod", NOW), "prod-2026-11-24T03-59-21Z.db");
        let of = |cluster, name: &str| file(cluster, PathBuf::from(name)).map(|file| (file.at, file.whole));
        assert_eq!(of("prod", "/x/prod-2026-11-24T03-59-21Z.db"), Some((NOW, true)));
        assert_eq!(of("prod", "/x/prod-2026-11-24T03-59-21Z.db.partial"), Some((NOW, false)));
        assert_eq!(of("prod-2", "/x/prod-2-2026-11-24T03-59-21Z.db"), Some((NOW, true)));
        for other in [
            "prod-2-2026-11-24T03-59-21Z.db",
            "prod-2026-11-24T03:59:21Z.db",
            "prod-2026-11-24T03-59-21.5Z.db",
            "prod-2026-13-24T03-59-21Z.db",
            "prod-before-upgrade.db",
            "prod.db",
        ] {
            assert_eq!(of("prod", other), None, "{other}");
        }
    }

    #[test]
    fn the_newest_stay_and_nothing_of_others_goes() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(&folder.path().join("made"), "prod", 2);
        assert_eq!(shelf.look().unwrap().newest, None, "a folder that is not there holds nothing");
        let made = folder.path().join("made");
        let others = ["prod-2-2026-11-24T03-59-21Z.db", "prod-2020-01-01T00-00-00Z.db.sha256", "prod-mine.db"];
        for age_s in [300, 100, 200] {
            std::fs::write(shelf.next(UnixMs(NOW.0 - age_s * 1_000)).unwrap(), "etcd").unwrap();
        }
        others.iter().for_each(|name| std::fs::write(made.join(name), "").unwrap());
        let newest = shelf.look().unwrap().newest.unwrap();
        assert_eq!((newest.at, newest.bytes), (UnixMs(NOW.0 - 100_000), 4));
        assert_eq!((shelf.prune().unwrap(), shelf.prune().unwrap()), (1, 0));
        let left: Vec<_> = names(&made).into_iter().filter(|name| !others.contains(&name.as_str())).collect();
        assert_eq!(left, ["prod-2026-11-24T03-56-01Z.db", "prod-2026-11-24T03-57-41Z.db"]);
        assert_eq!(names(&made).len(), 2 + others.len());
    }

    #[test]
    fn what_was_cut_off_is_no_snapshot_and_goes_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path(), "prod", 2);
        let cut_off = folder.path().join("prod-2026-11-24T03-59-21Z.db.partial");
        std::fs::write(&cut_off, "et").unwrap();
        assert_eq!(shelf.look().unwrap().newest, None);
        shelf.next(NOW).unwrap();
        assert!(!cut_off.exists());
    }

    #[test]
    fn a_folder_that_is_none_is_an_error_and_the_last_failure_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(shelf(&file, "prod", 2).look().is_err() && shelf(&file, "prod", 2).next(NOW).is_err());
        let good = shelf(folder.path(), "prod", 2);
        good.ended(Some("no member answers".to_owned()));
        assert_eq!(good.look().unwrap().failed.as_deref(), Some("no member answers"));
        good.ended(None);
        assert_eq!(good.look().unwrap().failed, None);
    }
}
