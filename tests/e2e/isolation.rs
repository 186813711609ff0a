//! The ops host is cut off while the program may act: it says that it is the one who is cut off, and touches nothing.

use std::time::{Duration, Instant};

use defib_lab::Fault;

use crate::support::{Stage, await_that};

/// Longer than the playbook's `for` (20 s), so that a program that took silence for death would have acted.
const WATCHED: Duration = Duration::from_secs(30);

pub(crate) fn cut_off(stage: &Stage) {
    let config = stage.config("isolation", &[("mode: observe", "mode: act")]);
    let mut daemon = stage.daemon(&config);
    await_that("the daemon watches", Duration::from_secs(30), || !daemon.records("start").is_empty());
    let before = stage.changes();

    stage.lab.break_(Fault::IsolateOps).unwrap();
    await_that("observer-isolated is found", Duration::from_secs(60), || daemon.found("observer-isolated", "raised"));
    let since = Instant::now();
    await_that("the watch is over", WATCHED * 2, || {
        assert_eq!(stage.changes(), before, "something was done while cut off");
        since.elapsed() > WATCHED
    });
    let incidents = daemon.records("incident");
    let root = incidents.first().map(|row| row.body["root"].clone());
    assert_eq!(root, Some("observer-isolated".into()), "the root is ourselves: {incidents:#?}");

    stage.lab.mend(Fault::IsolateOps).unwrap();
    await_that("observer-isolated clears", Duration::from_secs(60), || daemon.found("observer-isolated", "cleared"));
    assert_eq!((stage.changes(), daemon.intents()), (before, 0));
    assert!(daemon.terminate().success());
}
