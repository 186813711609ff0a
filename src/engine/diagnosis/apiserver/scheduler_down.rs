//! Nobody runs the scheduler: what runs goes on, and no new pod finds a node.
//!
//! As with the controllers, one at a time does the work. After kubernetes-mixin's `KubeSchedulerDown`, which takes 15
//! minutes.

use super::controller_manager_down::{CAUSES, TIMING, nobody_runs};
use crate::finding::{Class, Layer, Rule, Scope, Subject};
use crate::observation::ProbeKind;

pub(crate) static RULE: Rule = Rule {
    name: "scheduler-down",
    meaning: "machines list kube-scheduler and it has run on none of them for a minute: no new pod finds a node",
    layer: Layer::Apiserver,
    class: Class::Outage,
    scope: Scope::Cluster,
    reads: &[ProbeKind::TalosContainers],
    explained_by: CAUSES,
    timing: TIMING,
    thresholds: &[],
    assess: |view, _: &Subject, was_open| nobody_runs(view, "kube-scheduler", was_open),
};
