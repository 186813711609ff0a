//! A database file of which more than half is empty: room that a defragmentation gives back.
//!
//! As etcd's mixin (`etcdDatabaseHighFragmentationRatio`): less than [`IN_USE_BELOW`] % in use, of more than [`SIZE_MIN`]
//! MiB. One member at a time, the leader last, and never while another is ill: a defragmentation stops its member.

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Side, Threshold, Unit};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "etcd-fragmented",
    meaning: "less than half of a member's database file of over 100 MiB is in use (closes from 60 %)",
    layer: Layer::Etcd,
    class: Class::Advice,
    scope: Scope::Node,
    reads: &[ProbeKind::EtcdStatus],
    explained_by: &[],
    timing: Timing::ms(60_000, 10_000),
    thresholds: &[&IN_USE_BELOW, &CLEAR_FROM, &SIZE_MIN],
    assess,
};

pub(crate) static IN_USE_BELOW: Threshold = Threshold {
    finding: "etcd-fragmented",
    name: "in-use-below-percent",
    usual: 50.0,
    unit: Unit::Percent,
    least: 1.0,
    most: 99.0,
    beside: None,
    source: "etcd's mixin, etcdDatabaseHighFragmentationRatio",
};

pub(crate) static CLEAR_FROM: Threshold = Threshold {
    finding: "etcd-fragmented",
    name: "clear-from-percent",
    usual: 60.0,
    unit: Unit::Percent,
    least: 1.0,
    most: 100.0,
    beside: Some(Side::AtLeast(&IN_USE_BELOW)),
    source: "a fifth more than what opens it",
};

pub(crate) static SIZE_MIN: Threshold = Threshold {
    finding: "etcd-fragmented",
    name: "size-min-mib",
    usual: 100.0,
    unit: Unit::Mebibytes,
    least: 1.0,
    most: 100_000.0,
    beside: None,
    source: "etcd's mixin, etcdDatabaseHighFragmentationRatio: 100 MiB",
};

const MIB: u64 = 1024 * 1024;

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let Some(status) = view.etcd_status(node) else { return Verdict::Unknown(view.why(node, ProbeKind::EtcdStatus)) };
    let (size, used) = (status.db_size_bytes, status.db_in_use_bytes);
    // etcd before 3.4 does not say what is in use.
    if size <= view.count(&SIZE_MIN) * MIB || used == 0 {
        return Verdict::Clear;
    }
    let percent = used.saturating_mul(100) / size;
    if percent >= view.count(if was_open { &CLEAR_FROM } else { &IN_USE_BELOW }) {
        return Verdict::Clear;
    }
    Verdict::Raised(format!("{} MiB of {} MiB are in use, {percent} %: defragment it", used / MIB, size / MIB))
}
