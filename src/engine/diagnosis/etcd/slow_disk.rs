//! A member whose disk takes long to make its log or its database durable: the commonest cause of lost leaders.
//!
//! Over its window: the log's syncs at p99 from [`FSYNC_FROM`], or the database's commits at p99 from [`COMMIT_FROM`]; clear
//! below half. etcd's FAQ asks for p99 below 10 ms and 25 ms; its mixin alerts at 500 ms and 250 ms for ten minutes. A sync
//! that takes one heartbeat (100 ms) is where followers begin to notice, so it is said there.

use std::time::Duration;

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Threshold, Unit};
use crate::time::Human;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "etcd-slow-disk",
    meaning: "over a minute 1 % of a member's log syncs take at least 100 ms or of its commits 250 ms (closes below half)",
    layer: Layer::Etcd,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::EtcdMetrics],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::earned("host-starved", Relation::SameNode),
    ],
    timing: Timing::ms(20_000, 20_000),
    thresholds: &[&FSYNC_FROM, &COMMIT_FROM],
    assess,
};

pub(crate) static FSYNC_FROM: Threshold = Threshold {
    finding: "etcd-slow-disk",
    name: "fsync-from",
    usual: 0.1,
    unit: Unit::Time,
    least: 0.001,
    most: 60.0,
    beside: None,
    source: "one heartbeat; etcd's FAQ asks for 10 ms, its mixin alerts at 500 ms",
};

pub(crate) static COMMIT_FROM: Threshold = Threshold {
    finding: "etcd-slow-disk",
    name: "commit-from",
    usual: 0.25,
    unit: Unit::Time,
    least: 0.001,
    most: 60.0,
    beside: None,
    source: "etcd's mixin, etcdHighCommitDurations; its FAQ asks for 25 ms",
};

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let window = match view.etcd_window(node) {
        Ok(window) => window,
        Err(why) => return Verdict::Unknown(why),
    };
    let (fsync, commit) = (window.fsync(0.99), window.commit(0.99));
    let slow = |what: &str, took: Option<Duration>, from: &Threshold| {
        let from = view.time(from);
        let from_now = if was_open { from / 2 } else { from };
        took.filter(|took| *took >= from_now).map(|took| format!("{what} p99 {} (limit {})", Human(took), Human(from)))
    };
    let slow: Vec<_> =
        [slow("fsync", fsync, &FSYNC_FROM), slow("commit", commit, &COMMIT_FROM)].into_iter().flatten().collect();
    if !slow.is_empty() {
        Verdict::Raised(format!("{}, over {}", slow.join(", "), Human(window.length)))
    } else if fsync.is_none() && commit.is_none() {
        Verdict::Unknown(format!("etcd.metrics: nothing was written in {}", Human(window.length)))
    } else {
        Verdict::Clear
    }
}
