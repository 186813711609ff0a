//! `snapshots:` of a cluster: its etcd's data, kept here on a schedule.
//!
//! ```yaml
//! snapshots: { every: 6h, keep: 14, folder: snapshots }     # 14 where it is left out; the folder is made if it is not there
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::read::path;
use crate::yaml::{Node, Walk, quoted};

/// More often than this is replication, which etcd does itself.
const EVERY_MIN: Duration = Duration::from_secs(60);
const EVERY_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const KEEP: usize = 14;
const KEEP_MAX: usize = 1_000;

/// When snapshots of a cluster's etcd are taken, and how many are kept where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From one to the next; a minute to 30 days.
    pub every: Duration,
    /// So many stay, the newest; 1 to 1000.
    pub keep: usize,
    /// Where they lie. Clusters may share it.
    pub folder: PathBuf,
}

/// Reads it. `asked`: the cluster has a certificate for etcd, which a snapshot needs.
pub(super) fn read(walk: &Walk<'_>, node: &Node, folder: &Path, asked: bool) -> Option<Schedule> {
    let map = walk.map(node, "snapshots", &["every", "keep", "folder"])?;
    if !asked {
        walk.problem(
            node.place,
            "snapshots need the key \"etcd\" beside them: a certificate that etcd takes".to_owned(),
        );
    }
    let every = walk.required(&map, "every").and_then(|node| every(walk, node));
    let keep = map.get("keep").map_or(Some(KEEP), |node| keep(walk, node));
    let folder = path(walk, &map, "folder", folder);
    Some(Schedule { every: every?, keep: keep?, folder: folder? })
}

fn every(walk: &Walk<'_>, node: &Node) -> Option<Duration> {
    let text = walk.text(node, "every")?;
    let Ok(every) = humantime::parse_duration(text) else {
        walk.problem(node.place, format!("every {} is not a duration such as 6h or 1day", quoted(text)));
        return None;
    };
    if !(EVERY_MIN..=EVERY_MAX).contains(&every) {
        walk.problem(node.place, format!("every {} is not between 1m and 30 days", quoted(text)));
        return None;
    }
    Some(every)
}

fn keep(walk: &Walk<'_>, node: &Node) -> Option<usize> {
    let form = format!("a number from 1 to {KEEP_MAX}");
    let keep: usize = walk.parse(node, "keep", &form)?;
    if !(1..=KEEP_MAX).contains(&keep) {
        walk.problem(node.place, format!("keep {keep} is not {form}"));
        return None;
    }
    Some(keep)
}
