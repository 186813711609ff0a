//! A disk of the machine that is nearly full: etcd stops at a write that fails, and the kubelet throws pods out.
//!
//! Raised below [`RAISED_BELOW`] % of a filesystem on the machine's own disks, which is where the kubelet begins to evict
//! (`nodefs.available`), clear from [`CLEAR_FROM`] %, where it stops to collect images (`imagefs.available`). Volumes of
//! pods are left out. Not etcd's quota, which is a finding of its own, and is reached on an empty disk too.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{Filesystem, ProbeKind};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "machine-disk-full",
    meaning: "less than 10 % of one of the machine's own disks can still be written (closes from 15 %): etcd and the kubelet stop at its end",
    layer: Layer::Machine,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::TalosMachine],
    explained_by: &[Because::structural("observer-isolated", Relation::Cluster)],
    timing: Timing::ms(15_000, 30_000),
    assess,
};

/// Percent of the filesystem.
const RAISED_BELOW: u64 = 10;
/// Percent of the filesystem.
const CLEAR_FROM: u64 = 15;
const MIB: u64 = 1024 * 1024;

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let Some(machine) = view.machine(node) else { return Verdict::Unknown(view.why(node, ProbeKind::TalosMachine)) };
    let left = |one: &Filesystem| one.available_bytes.saturating_mul(100).checked_div(one.size_bytes).unwrap_or(100);
    let Some(fullest) = machine.filesystems.iter().min_by_key(|one| left(one)) else {
        return Verdict::Unknown("talos.machine: no filesystem was told".to_owned());
    };
    let percent = left(fullest);
    if percent >= if was_open { CLEAR_FROM } else { RAISED_BELOW } {
        return Verdict::Clear;
    }
    let (available, size) = (fullest.available_bytes / MIB, fullest.size_bytes / MIB);
    let place = &fullest.mounted_on;
    Verdict::Raised(format!("{available} MiB of {size} MiB are left at {place}, {percent} % (limit {RAISED_BELOW} %)"))
}
