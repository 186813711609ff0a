//! How defib itself is, told to the engine twice a second: how late its timers run, and whether an operator's pause file
//! lies beside the journal (`touch journal/pause`; its first line is the reason).
//!
//! The file is looked for on a thread that may wait for the disk; while the disk does not answer, what was seen last holds.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use defib_engine::event::{Event, ObserverHealth};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::journal::{Journal, alive};

const FILE: &str = "pause";
/// A gap in the dashboard's strips is this much too long at most.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_millis(500);
/// What is read of the file.
const BYTES_MAX: u64 = 256;

/// Gives signs of life beside the journal for as long as the process lives.
pub(super) async fn live(journal: PathBuf) {
    loop {
        let folder = journal.clone();
        match tokio::task::spawn_blocking(move || alive::touch(&folder)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "no sign of life could be given"),
            Err(_) => return,
        }
        tokio::time::sleep(ALIVE_EVERY).await;
    }
}

/// Watches until the loop is gone.
pub(super) async fn watch(journal: PathBuf, clock: Clock, events: mpsc::Sender<Event>) {
    let (mut told, mut late) = (None, Duration::ZERO);
    loop {
        let folder = journal.clone();
        let Ok(pause_file) = tokio::task::spawn_blocking(move || pause_file(&folder)).await else { return };
        let health = ObserverHealth { late, pause_file };
        // A few milliseconds of lateness are every timer's.
        let news = told.as_ref().is_none_or(|old: &ObserverHealth| {
            old.pause_file != health.pause_file || old.late.abs_diff(health.late) > Duration::from_millis(20)
        });
        if news && events.send(Event::Observer(health.clone())).await.is_err() {
            return;
        }
        if news {
            told = Some(health);
        }
        let asleep = clock.tick();
        tokio::time::sleep(EVERY).await;
        late = clock.tick().since(asleep).saturating_sub(EVERY);
        if events.is_closed() {
            return;
        }
    }
}

/// The first line of the pause file; none where there is no such file. One that cannot be read pauses all the same.
pub(super) fn pause_file(journal: &Path) -> Option<String> {
    let file = journal.join(FILE);
    if file.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return None;
    }
    let mut bytes = Vec::new();
    let read = std::fs::File::open(&file).and_then(|open| open.take(BYTES_MAX).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let first = text.lines().next().unwrap_or_default().trim().to_owned();
    Some(match (read, first.is_empty()) {
        (Err(error), _) => format!("the file cannot be read: {error}"),
        (Ok(_), true) => "no reason given".to_owned(),
        (Ok(_), false) => first,
    })
}

/// A journal that cannot be used is tried again this often.
const TRY_JOURNAL_EVERY: Duration = Duration::from_secs(10);

/// Ends when this journal can be used again; never where none is named. A disk that hangs holds up its own thread only.
pub(super) async fn journal_returns(journal: Option<PathBuf>, clock: Clock) {
    let Some(journal) = journal else { return std::future::pending().await };
    let (returned, waits) = tokio::sync::oneshot::channel();
    let tries = move || {
        while !returned.is_closed() {
            std::thread::sleep(TRY_JOURNAL_EVERY);
            if Journal::open(&journal, clock.now().wall).is_ok() {
                let _ = returned.send(());
                return;
            }
        }
    };
    let trying = std::thread::Builder::new().name("journal-try".to_owned()).spawn(tries);
    if trying.is_err() || waits.await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touched_file_pauses_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(pause_file(folder.path()), None);
        std::fs::write(folder.path().join(FILE), "").unwrap();
        assert_eq!(pause_file(folder.path()).unwrap(), "no reason given");
        std::fs::write(folder.path().join(FILE), "moving racks\nuntil noon\n").unwrap();
        assert_eq!(pause_file(folder.path()).unwrap(), "moving racks");
        std::fs::write(folder.path().join(FILE), vec![0xff; 10_000]).unwrap();
        assert!(pause_file(folder.path()).unwrap().len() < 1_000);
        std::fs::remove_file(folder.path().join(FILE)).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join(FILE)).unwrap();
        assert!(pause_file(folder.path()).unwrap().contains("cannot be read"), "a link to nowhere pauses all the same");
    }
}
