//! The snapshots of etcd that are kept here: the newest, and why the last attempt came to nothing.

use std::sync::Arc;
use std::time::Duration;

use defib_engine::observation::{Facts, ProbeKind, Seen, Snapshots, Why};

use crate::snapshot::Shelf;

/// Reads the folder on a thread that may wait for the disk.
pub async fn poll(shelf: &Arc<Shelf>, _: ProbeKind, deadline: Duration) -> Seen {
    let own = Arc::clone(shelf);
    let look = tokio::task::spawn_blocking(move || own.look());
    let folder = || AsRef::<std::path::Path>::as_ref(shelf.as_ref()).display();
    match tokio::time::timeout(deadline, look).await {
        Ok(Ok(Ok(snapshots))) => Seen::Healthy(Facts::Snapshots(snapshots)),
        // A folder that cannot be read keeps nothing that could be had.
        Ok(Ok(Err(error))) => {
            let failed = Some(format!("{}: {error}", folder()));
            Seen::Healthy(Facts::Snapshots(Snapshots { every: shelf.every(), newest: None, failed }))
        }
        Ok(Err(error)) => Seen::Unknown(Why::OwnSide(error.to_string())),
        Err(_) => Seen::Unknown(Why::OwnSide(format!("{}: the disk does not answer", folder()))),
    }
}
