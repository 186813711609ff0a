//! kill −9 before and after every batch that a run writes, and a write-ahead log cut at every frame.

use std::collections::BTreeSet;
use std::path::Path;

use defib::journal::{Journal, Outcome as Row, Reader};
use defib_engine::time::UnixMs;

use super::{BASE_MS, FIRST_S, KILLED, SECOND_S, calls, outcomes, run_child, run_paused_child};

/// A frame of the write-ahead log: its own header and one page. The log begins with a header of its own.
const FRAME_BYTES: usize = 24 + 4_096;
const LOG_HEADER_BYTES: usize = 32;

/// More batches than a run of 400 s writes; a run that writes more says so by a failed test.
const BATCHES_MAX: u64 = 64;

#[test]
fn killed_at_every_batch_it_repeats_nothing_and_refills_nothing() {
    let mut boundaries = 0;
    for batch in 1..=BATCHES_MAX {
        let mut survived = 0;
        for moment in ["before", "after"] {
            let folder = tempfile::tempdir().unwrap();
            let crash = format!("{moment}:{batch}");
            if run_child(folder.path(), &crash, 0, FIRST_S).is_none() {
                survived += 1;
                continue;
            }
            boundaries += 1;
            check(folder.path(), &crash);
            // Dead again right after its start, while it writes what it found.
            assert_eq!(run_child(folder.path(), "after:1", FIRST_S, FIRST_S), KILLED, "{crash}");
            check(folder.path(), &crash);
            assert_eq!(run_child(folder.path(), "nowhere", 2 * FIRST_S, SECOND_S), None, "{crash}");
            check(folder.path(), &crash);
            assert!(outcomes(folder.path()).iter().all(Option::is_some), "{crash}: what was open is settled");
        }
        if survived == 2 {
            assert!(boundaries >= 10, "only {boundaries} boundaries in a run that falls ill and acts");
            return;
        }
    }
    panic!("a run writes more than {BATCHES_MAX} batches");
}

/// What holds at every moment: the journal can be read; every call was reserved before, once; two an hour at most.
fn check(folder: &Path, crash: &str) {
    let intents = Reader::open(folder).unwrap().intents(100).unwrap();
    assert_eq!(intents.bad.count, 0, "{crash}");
    assert!(intents.rows.len() <= 2, "{crash}: {} reservations within an hour", intents.rows.len());
    let reserved: BTreeSet<String> = intents.rows.iter().map(|intent| intent.step.clone()).collect();
    let called = std::fs::read_to_string(folder.join("calls")).unwrap_or_default();
    let steps: Vec<String> = called.lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect();
    let distinct: BTreeSet<String> = steps.iter().cloned().collect();
    assert_eq!(distinct.len(), steps.len(), "{crash}: a step was carried out twice: {called}");
    assert!(distinct.is_subset(&reserved), "{crash}: a step was carried out that nobody reserved: {called}");
}

#[test]
fn a_pause_that_was_confirmed_outlives_every_crash() {
    let mut confirmed = 0;
    for batch in 1..=BATCHES_MAX {
        let folder = tempfile::tempdir().unwrap();
        // Paused while all is well; it falls ill at 311 s.
        let killed = run_paused_child(folder.path(), &format!("after:{batch}"), 0, FIRST_S, Some(200));
        let told = folder.path().join("reply").exists();
        assert_eq!(run_child(folder.path(), "nowhere", FIRST_S, FIRST_S), None);
        if told {
            confirmed += 1;
            assert_eq!(calls(folder.path()), 0, "killed after batch {batch}: paused until 3,800 s");
        }
        if killed.is_none() {
            assert!(confirmed >= 2, "the pause was confirmed before the last batch");
            return;
        }
    }
    panic!("a run writes more than {BATCHES_MAX} batches");
}

#[test]
fn a_log_that_ends_anywhere_opens_with_what_was_whole() {
    let folder = tempfile::tempdir().unwrap();
    // Killed, so the log stays beside the database.
    assert_eq!(run_child(folder.path(), "started", 0, FIRST_S), KILLED);
    let log = std::fs::read(folder.path().join("journal.sqlite-wal")).unwrap();
    let frames = (log.len() - LOG_HEADER_BYTES) / FRAME_BYTES;
    assert!(frames > 10, "{frames} frames");
    let mut seen = 0;
    for frame in 0..=frames {
        // At the border, and in the middle of the next frame.
        for extra in [0, FRAME_BYTES / 2] {
            let cut = tempfile::tempdir().unwrap();
            let end = (LOG_HEADER_BYTES + frame * FRAME_BYTES + extra).min(log.len());
            std::fs::copy(folder.path().join("journal.sqlite"), cut.path().join("journal.sqlite")).unwrap();
            std::fs::write(cut.path().join("journal.sqlite-wal"), &log[..end]).unwrap();
            let opened = Journal::open(cut.path(), UnixMs(BASE_MS)).unwrap_or_else(|error| {
                panic!("cut after frame {frame} and {extra} bytes: {error}");
            });
            // A longer log never shows less; what was open is unknown, and spent.
            assert!(opened.intents_recent.len() >= seen, "frame {frame}");
            assert!(opened.interrupted.iter().all(|intent| intent.outcome == Some(Row::Unknown)));
            assert_eq!(opened.unended.len(), opened.intents_recent.len(), "a run is decided with what it reserves");
            seen = opened.intents_recent.len();
        }
    }
    assert_eq!(seen, 1, "the whole log holds the reservation");
}
