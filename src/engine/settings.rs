//! What the operator allows and what can be asked at all, as the engine needs it: no addresses, no files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::check::Guards;
use crate::maintenance::Maintenance;
use crate::observation::{ClusterId, NodeName, ProbeKind};
use crate::playbook::{Limit, Playbook};
use crate::threshold::Thresholds;

/// May the program act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It says what it would do, and touches nothing.
    #[default]
    Observe,
    /// It proposes the armed playbooks, and runs one that a person approves, within every guard and limit.
    Ask,
    /// It runs the armed playbooks, within every guard and limit.
    Act,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Observe => "observe",
            Mode::Ask => "ask",
            Mode::Act => "act",
        })
    }
}

/// Everything that is settled before the first observation.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// May the program act.
    pub mode: Mode,
    /// The clusters by name.
    pub clusters: BTreeMap<ClusterId, ClusterSettings>,
    /// The canaries, by address; empty: isolation is judged by the clusters' own answers alone.
    pub canaries: Vec<String>,
    /// The playbooks, in the order in which they are considered.
    pub playbooks: Vec<Playbook>,
    /// Judge what is seen once, without waiting for any duration, and choose nothing: a single look from the command
    /// line cannot know more.
    pub seen_once: bool,
    /// The guards in force: all of them.
    pub guards: Guards,
}

/// How many runs may take a machine down, whatever their playbooks: no set of playbooks, each within its own limits, boots a
/// machine all day, or half of a fleet in an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disruptive {
    /// On one node.
    pub per_node: Limit,
    /// In all clusters together; the same for each of them.
    pub per_fleet: Limit,
}

impl Default for Disruptive {
    fn default() -> Disruptive {
        let hours = |count, hours: u64| Limit { count, window: Duration::from_secs(hours * 3_600) };
        Disruptive { per_node: hours(3, 24), per_fleet: hours(6, 1) }
    }
}

/// What is settled about one cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterSettings {
    /// Its control-plane nodes.
    pub nodes: Vec<NodeName>,
    /// The kinds of probe that the configuration has a credential and an address for. What needs any other kind is *not
    /// asked*, and said so.
    pub sources: BTreeSet<ProbeKind>,
    /// The playbooks that may run here in modes `ask` and `act`.
    pub armed: BTreeSet<String>,
    /// When less is done.
    pub maintenance: Vec<Maintenance>,
    /// Figures and waits of findings that differ from the usual.
    pub thresholds: Thresholds,
    /// How often machines may be taken down, whatever the playbooks say.
    pub disruptive: Disruptive,
}
