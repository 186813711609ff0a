//! A snapshot of the lab's real etcd, judged by its bytes.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::digest::{SHA256, digest};

use crate::daemon::fetch;
use crate::support::{Stage, await_that};

pub(crate) fn holds_what_was_put(stage: &Stage) {
    let config = stage.config("snapshot", &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lab.db");
    let name = file.to_str().unwrap();
    let before = stage.changes();
    let output = stage.run(&config, &["snapshot", name]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let bytes = std::fs::read(&file).unwrap();
    let (store, hash) = bytes.split_at(bytes.len() - 32);
    assert_eq!(digest(&SHA256, store).as_ref(), hash, "the hash that etcd sent last fits");
    let key = b"/registry/namespaces/kube-system";
    assert!(store.windows(key.len()).any(|bytes| bytes == key), "the API servers' own objects are in it");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "it holds every secret");

    let again = stage.run(&config, &["snapshot", name]);
    assert_eq!(again.status.code(), Some(2), "nothing is written over");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no partial file is left");
    assert_eq!(stage.changes(), before);
}

/// The folder is a file at first, as a wrong path may be; then it is one, with older snapshots and with somebody's own file.
pub(crate) fn on_a_schedule(stage: &Stage) {
    let schedule = "    snapshots: { every: 1m, keep: 2, folder: e2e-kept }\n    etcd: {";
    let config = stage.config("schedule", &[("    etcd: {", schedule)]);
    let folder = config.file.with_file_name("e2e-kept");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::write(&folder, "").unwrap();
    let before = stage.changes();
    let mut daemon = stage.daemon(&config);
    await_that("a snapshot that cannot be kept is told", Duration::from_secs(120), || {
        daemon.found("backup-failed", "raised")
    });

    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let others = ["lab-before-upgrade.db", "lab2-2020-01-01T00-00-00Z.db"].map(|name| folder.join(name));
    let old = ["01", "02", "03"].map(|day| folder.join(format!("lab-2020-01-{day}T00-00-00Z.db")));
    others.iter().chain(&old).for_each(|file| std::fs::write(file, "old").unwrap());
    await_that("the next try keeps one", Duration::from_secs(240), || daemon.found("backup-failed", "cleared"));
    await_that("only the newest two are left", Duration::from_secs(60), || !old[0].exists() && !old[1].exists());
    let shown = || {
        let page = stage.in_ops(async || fetch("http://127.0.0.1:9870/metrics").await);
        let (_, text) = page.unwrap_or_default();
        text.lines().any(|line| line.starts_with("defib_snapshot_timestamp_seconds{cluster=\"lab\"} 1"))
    };
    await_that("the metrics tell of the newest", Duration::from_secs(120), shown);
    assert!(daemon.terminate().success());

    let kept: Vec<PathBuf> = names(&folder).into_iter().filter(|file| !others.contains(file)).collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    let bytes = std::fs::read(kept.last().unwrap()).unwrap();
    let (store, hash) = bytes.split_at(bytes.len() - 32);
    assert_eq!(digest(&SHA256, store).as_ref(), hash, "the hash that etcd sent last fits");
    assert!(others.iter().all(|file| file.exists()), "nobody else's file is touched");
    assert_eq!((daemon.intents(), stage.changes()), (0, before), "it reads, and changes nothing");
    std::fs::remove_dir_all(&folder).unwrap();
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}
