//! Snapshots of etcd on their schedule, beside the loop.
//!
//! One at a time of all clusters, from a follower that has everything. It reads, and changes nothing in the cluster; all the
//! same none is taken while an outage is known there or a run is under way: a member that is asked for all it has is slower
//! for others. What came to nothing is tried again after a while, and told by `backup-failed`. Left out: restoring.

use std::sync::Arc;
use std::time::Duration;

use defib_engine::observation::{EtcdStatus, Snapshots};
use defib_engine::time::UnixMs;
use tokio::sync::Mutex;

use super::words;
use crate::client::etcd::Member;
use crate::clock::Clock;
use crate::hub::Hub;
use crate::observe::Observer;
use crate::snapshot::{self, Shelf};

/// Whether one is due is looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What failed is not tried again sooner; nor sooner than its schedule, where that is shorter.
const RETRY_AFTER: Duration = Duration::from_secs(10 * 60);
/// A member says what it knows of itself within this.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// Keeps the snapshots of every cluster that has a schedule, until the program ends.
pub(super) fn start(observer: &Arc<Observer>, hub: &Arc<Hub>, clock: Clock) {
    let one_at_a_time = Arc::new(Mutex::new(()));
    for shelf in observer.shelves() {
        let turn = Arc::clone(&one_at_a_time);
        tokio::spawn(keep(Arc::clone(shelf), Arc::clone(observer), Arc::clone(hub), clock, turn));
    }
}

async fn keep(shelf: Arc<Shelf>, observer: Arc<Observer>, hub: Arc<Hub>, clock: Clock, turn: Arc<Mutex<()>>) {
    let retry_after = RETRY_AFTER.min(shelf.every());
    let mut failed_at = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let waits = failed_at.is_some_and(|at| clock.tick().since(at) < retry_after);
        if waits || !is_quiet(&hub, shelf.cluster()) {
            continue;
        }
        let own = Arc::clone(&shelf);
        let ended = match off_loop(move || own.look().map_err(|error| unusable(&own, &error))).await {
            Ok(kept) if !is_due(&kept, clock.now().wall) => continue,
            Ok(_) => {
                let _turn = turn.lock().await;
                take(&shelf, &observer.members(shelf.cluster()), clock.now().wall).await
            }
            Err(why) => Err(why),
        };
        let cluster = shelf.cluster();
        match ended {
            Ok(text) => {
                tracing::info!(cluster, "snapshot: {text}");
                shelf.ended(None);
                failed_at = None;
            }
            Err(why) => {
                tracing::warn!(cluster, "no snapshot: {why}");
                shelf.ended(Some(why));
                failed_at = Some(clock.tick());
            }
        }
    }
}

/// Nothing hurts there and nothing is done, as far as is known; what was not judged yet is not quiet.
fn is_quiet(hub: &Hub, cluster: &str) -> bool {
    hub.latest(cluster).1.is_some_and(|status| !status.hurts() && status.run.is_none())
}

/// A clock that was set back makes the newest one of the future: that is no reason to take one at every look.
fn is_due(kept: &Snapshots, now: UnixMs) -> bool {
    kept.newest.is_none_or(|newest| now.since(newest.at) >= kept.every)
}

async fn take(shelf: &Arc<Shelf>, members: &[(String, Arc<Member>)], now: UnixMs) -> Result<String, String> {
    let mut asked: Vec<(&String, &Arc<Member>, EtcdStatus)> = Vec::new();
    let mut mute = Vec::new();
    for (name, member) in members {
        match member.status(ASK_WITHIN).await {
            Ok(status) => asked.push((name, member, status)),
            Err(trouble) => mute.push(format!("{name}: {trouble}")),
        }
    }
    let statuses: Vec<&EtcdStatus> = asked.iter().map(|(_, _, status)| status).collect();
    let source = snapshot::source(&statuses).and_then(|at| asked.get(at));
    let Some((name, member, _)) = source else {
        let why = if mute.is_empty() { String::new() } else { format!(" ({})", mute.join("; ")) };
        return Err(format!("no member of etcd can give one{why}"));
    };
    let own = Arc::clone(shelf);
    let file = off_loop(move || own.next(now).map_err(|error| unusable(&own, &error))).await?;
    let saved = snapshot::save(member, &file).await.map_err(|error| words(&error))?;
    let own = Arc::clone(shelf);
    let went = off_loop(move || own.prune().map_err(|error| unusable(&own, &error))).await?;
    let gone = if went == 0 { String::new() } else { format!("; {went} old ones are gone") };
    Ok(format!("{} bytes of {name} in {}{gone}", saved.bytes, file.display()))
}

fn unusable(shelf: &Shelf, error: &std::io::Error) -> String {
    format!("{}: {error}", AsRef::<std::path::Path>::as_ref(shelf).display())
}

/// The disk may take its time; the loop may not.
async fn off_loop<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}

#[cfg(test)]
mod tests {
    use defib_engine::observation::Snapshot;

    use super::*;

    #[test]
    fn one_is_due_when_there_is_none_or_the_newest_is_as_old_as_the_schedule() {
        let kept = |at: Option<i64>| Snapshots {
            every: Duration::from_secs(60),
            newest: at.map(|at| Snapshot { at: UnixMs(at), bytes: 1 }),
            failed: None,
        };
        assert!(is_due(&kept(None), UnixMs(0)) && is_due(&kept(Some(0)), UnixMs(60_000)));
        assert!(!is_due(&kept(Some(0)), UnixMs(59_999)) && !is_due(&kept(Some(1_000_000)), UnixMs(0)));
    }
}
