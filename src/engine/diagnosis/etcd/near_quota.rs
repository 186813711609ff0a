//! A database that is nearly as large as it may be: at its quota etcd refuses every write.
//!
//! Raised from [`RAISED_FROM`] % of the quota, clear below [`CLEAR_BELOW`] %; etcd's mixin (`etcdDatabaseQuotaLowSpace`) is
//! critical at 95 %, when there is little time left to compact and defragment.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Side, Threshold, Unit};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "etcd-near-quota",
    meaning: "a member's database fills at least 90 % of its quota (closes below 85 %); at the quota every write is refused",
    layer: Layer::Etcd,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::EtcdMetrics],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::structural("etcd-fragmented", Relation::SameNode),
    ],
    timing: Timing::ms(0, 10_000),
    thresholds: &[&RAISED_FROM, &CLEAR_BELOW],
    assess,
};

pub(crate) static RAISED_FROM: Threshold = Threshold {
    finding: "etcd-near-quota",
    name: "raised-from-percent",
    usual: 90.0,
    unit: Unit::Percent,
    least: 1.0,
    most: 100.0,
    beside: None,
    source: "etcd's mixin, etcdDatabaseQuotaLowSpace, is critical at 95 %",
};

pub(crate) static CLEAR_BELOW: Threshold = Threshold {
    finding: "etcd-near-quota",
    name: "clear-below-percent",
    usual: 85.0,
    unit: Unit::Percent,
    least: 0.0,
    most: 100.0,
    beside: Some(Side::AtMost(&RAISED_FROM)),
    source: "a twentieth less than what opens it",
};

const MIB: f64 = 1024.0 * 1024.0;

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let Some(metrics) = view.etcd_metrics(node) else {
        return Verdict::Unknown(view.why(node, ProbeKind::EtcdMetrics));
    };
    let (Some(size), Some(quota)) = (metrics.db_size_bytes, metrics.quota_bytes.filter(|quota| *quota > 0.0)) else {
        return Verdict::Unknown("etcd.metrics: size and quota are not told".to_owned());
    };
    let percent = 100.0 * size / quota;
    let limit = view.threshold(&RAISED_FROM);
    if percent < if was_open { view.threshold(&CLEAR_BELOW) } else { limit } {
        return Verdict::Clear;
    }
    let (size, quota) = (size / MIB, quota / MIB);
    Verdict::Raised(format!("{size:.0} MiB of {quota:.0} MiB, {percent:.0} % (limit {limit:.0} %)"))
}
