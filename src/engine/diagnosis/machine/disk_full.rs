//! A disk of the machine that is full: etcd stops at a write that fails, and containers cannot be started.
//!
//! Raised below [`RAISED_BELOW`], which is four segments of etcd's log (64 MB each, allocated before they are written:
//! `wal.SegmentSizeBytes`), where that is little of the disk, too; clear from four times as much. A share alone would say
//! nothing here: a hundredth of a large disk is plenty. Not etcd's quota, which is a finding of its own, and is reached on an
//! empty disk too.

use super::disk_low;
use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{Filesystem, ProbeKind};
use crate::threshold::{Side, Threshold, Unit};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "machine-disk-full",
    meaning: "less than 256 MB of one of the machine's own disks can still be written, and less than 10 % (closes from 1 GB or 15 %): etcd stops at a write that fails, and containers cannot be started",
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
    finding: "machine-disk-full",
    name: "raised-below-mb",
    usual: 256.0,
    unit: Unit::Megabytes,
    least: 1.0,
    most: 1_000_000.0,
    beside: None,
    source: "four segments of etcd's log (wal.SegmentSizeBytes)",
};

pub(crate) static CLEAR_FROM: Threshold = Threshold {
    finding: "machine-disk-full",
    name: "clear-from-mb",
    usual: 1_024.0,
    unit: Unit::Megabytes,
    least: 1.0,
    most: 4_000_000.0,
    beside: Some(Side::AtLeast(&RAISED_BELOW)),
    source: "four times what opens it",
};

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let filesystems = match view.filesystems(node) {
        Ok(filesystems) => filesystems,
        Err(why) => return Verdict::Unknown(why),
    };
    let full = |one: &&Filesystem| if was_open { is_below(view, one, &CLEAR_FROM, true) } else { is_full(view, one) };
    match filesystems.iter().filter(full).min_by_key(|one| one.available_bytes) {
        Some(full) => Verdict::Raised(format!("{} (limit {} MB)", disk_low::words(full), view.count(&RAISED_BELOW))),
        None => Verdict::Clear,
    }
}

/// Next to nothing of it is left.
pub(crate) fn is_full(view: &View<'_>, one: &Filesystem) -> bool {
    is_below(view, one, &RAISED_BELOW, false)
}

fn is_below(view: &View<'_>, one: &Filesystem, limit: &Threshold, was_open: bool) -> bool {
    disk_low::is_low(view, one, was_open) && one.available_bytes < view.count(limit).saturating_mul(1_000_000)
}
