//! The last attempt to take a snapshot of etcd on its schedule came to nothing: the next may, too.

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "backup-failed",
    meaning: "the last snapshot of etcd that was due could not be taken or kept; judged where snapshots are configured",
    layer: Layer::Observer,
    class: Class::Risk,
    scope: Scope::Cluster,
    reads: &[ProbeKind::Snapshots],
    explained_by: &[],
    timing: Timing::ms(0, 0),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    match view.snapshots() {
        Err(why) => Verdict::Unknown(why),
        Ok(snapshots) => match &snapshots.failed {
            Some(why) => Verdict::Raised(why.clone()),
            None => Verdict::Clear,
        },
    }
}
