//! A disk of the machine that fills up: the kubelet throws pods out, though not those of the control plane.
//!
//! Raised below [`RAISED_BELOW`] % of a filesystem on the machine's own disks, which is where the kubelet begins to evict
//! (`nodefs.available`), clear from [`CLEAR_FROM`] %, where it stops to collect images (`imagefs.available`). Volumes of
//! pods are left out. It explains nothing: what runs there can still write (see `machine-disk-full`).

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{Filesystem, ProbeKind};
use crate::threshold::{Side, Threshold, Unit};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "machine-disk-low",
    meaning: "less than 10 % of one of the machine's own disks can still be written (closes from 15 %): the kubelet evicts pods, and etcd and the kubelet stop at its end",
    layer: Layer::Machine,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::TalosMachine],
    explained_by: &[Because::structural("observer-isolated", Relation::Cluster)],
    timing: Timing::ms(15_000, 30_000),
    thresholds: &[&RAISED_BELOW, &CLEAR_FROM],
    assess,
};

pub(crate) static RAISED_BELOW: Threshold = Threshold {
    finding: "machine-disk-low",
    name: "raised-below-percent",
    usual: 10.0,
    unit: Unit::Percent,
    least: 1.0,
    most: 99.0,
    beside: None,
    source: "where the kubelet begins to evict (nodefs.available)",
};

pub(crate) static CLEAR_FROM: Threshold = Threshold {
    finding: "machine-disk-low",
    name: "clear-from-percent",
    usual: 15.0,
    unit: Unit::Percent,
    least: 1.0,
    most: 100.0,
    beside: Some(Side::AtLeast(&RAISED_BELOW)),
    source: "where the kubelet stops to collect images (imagefs.available)",
};

const MIB: u64 = 1024 * 1024;

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let filesystems = match view.filesystems(node) {
        Ok(filesystems) => filesystems,
        Err(why) => return Verdict::Unknown(why),
    };
    match filesystems.iter().min_by_key(|one| left_percent(one)).filter(|one| is_low(view, one, was_open)) {
        Some(low) => {
            Verdict::Raised(format!("{}, {} % (limit {} %)", words(low), left_percent(low), view.count(&RAISED_BELOW)))
        }
        None => Verdict::Clear,
    }
}

fn left_percent(one: &Filesystem) -> u64 {
    one.available_bytes.saturating_mul(100).checked_div(one.size_bytes).unwrap_or(100)
}

/// Little of it is left, for its size.
pub(super) fn is_low(view: &View<'_>, one: &Filesystem, was_open: bool) -> bool {
    left_percent(one) < view.count(if was_open { &CLEAR_FROM } else { &RAISED_BELOW })
}

/// What is left of it, in words.
pub(crate) fn words(one: &Filesystem) -> String {
    let (available, size) = (one.available_bytes / MIB, one.size_bytes / MIB);
    format!("{available} MiB of {size} MiB are left at {}", one.mounted_on)
}
