//! The newest snapshot of etcd is older than its schedule allows: what would be restored lacks more than was meant.
//!
//! Two intervals, so that one that was put off (an outage, a run under way) or failed once is no finding. Without a source in
//! any guide: etcd's and Talos's say "regularly".

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Threshold, Unit};
use crate::time::Human;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "backup-stale",
    meaning: "the newest snapshot of etcd that is kept here is older than two intervals of its schedule, or none is kept; judged where snapshots are configured",
    layer: Layer::Observer,
    class: Class::Risk,
    scope: Scope::Cluster,
    reads: &[ProbeKind::Snapshots],
    explained_by: &[],
    // The first of a new schedule is taken within this time.
    timing: Timing::ms(5 * 60_000, 0),
    thresholds: &[&INTERVALS],
    assess,
};

pub(crate) static INTERVALS: Threshold = Threshold {
    finding: "backup-stale",
    name: "intervals",
    usual: 2.0,
    unit: Unit::Count,
    least: 1.0,
    most: 1_000.0,
    beside: None,
    source: "one snapshot may be put off by an outage",
};

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    let snapshots = match view.snapshots() {
        Ok(snapshots) => snapshots,
        Err(why) => return Verdict::Unknown(why),
    };
    let Some(newest) = snapshots.newest else {
        return Verdict::Raised("no snapshot of etcd is kept".to_owned());
    };
    let (age, limit) = (
        view.wall.since(newest.at),
        snapshots.every.saturating_mul(u32::try_from(view.count(&INTERVALS)).unwrap_or(u32::MAX)),
    );
    if age <= limit {
        return Verdict::Clear;
    }
    Verdict::Raised(format!("the newest snapshot is {} old (limit {})", Human(age), Human(limit)))
}
