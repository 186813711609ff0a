//! A snapshot of the lab's real etcd, judged by its bytes.

use std::os::unix::fs::PermissionsExt;

use ring::digest::{SHA256, digest};

use crate::support::Stage;

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
