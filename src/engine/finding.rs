//! The shape of a finding: a named condition, where it lies, what shows it, what explains it.
//!
//! Left out: when it opens and closes (`latch`), and what it leads to (`incident`, `check`).

use std::fmt;

use crate::latch::Timing;
use crate::observation::{NodeName, ProbeKind};
use crate::threshold::Threshold;
use crate::view::View;

/// How much a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Service is hurt: it opens an incident.
    Outage,
    /// Nothing is hurt yet, or little: it warns, and it may explain an outage.
    Risk,
    /// It could be better: it is said last, and explains nothing.
    Advice,
}

impl Class {
    /// The public name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Class::Outage => "outage",
            Class::Risk => "risk",
            Class::Advice => "advice",
        }
    }
}

/// Where a finding lies, from the ground up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Ourselves.
    Observer,
    /// What the machine stands on: a hypervisor. Judged only where one is asked.
    Host,
    /// The machine beneath.
    Machine,
    /// The store.
    Etcd,
    /// The API servers.
    Apiserver,
    /// The virtual address.
    Vip,
}

impl Layer {
    /// Every layer that `check` shows as a row, in order.
    pub const ROWS: [Layer; 4] = [Layer::Machine, Layer::Etcd, Layer::Apiserver, Layer::Vip];

    /// The public name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Layer::Observer => "observer",
            Layer::Host => "host",
            Layer::Machine => "machine",
            Layer::Etcd => "etcd",
            Layer::Apiserver => "apiserver",
            Layer::Vip => "vip",
        }
    }
}

/// Over what a rule is judged: once for the cluster, or once for every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Once.
    Cluster,
    /// For every node.
    Node,
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The cluster as a whole.
    Cluster,
    /// One node of it.
    Node(NodeName),
}

impl Subject {
    /// The node's name, where it is about a node.
    #[must_use]
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Subject::Cluster => None,
            Subject::Node(node) => Some(node),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Cluster => f.write_str("cluster"),
            Subject::Node(node) => f.write_str(node),
        }
    }
}

/// What a rule says of one subject at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The condition holds; the evidence in a few words, figures with units.
    Raised(String),
    /// It does not.
    Clear,
    /// It cannot be told, and why.
    Unknown(String),
}

/// One condition: a row in the table [`crate::diagnosis::ALL`], in a file of its own.
#[derive(Debug)]
pub struct Rule {
    /// The public name, in kebab-case.
    pub name: &'static str,
    /// One sentence for the reference.
    pub meaning: &'static str,
    /// Where it lies.
    pub layer: Layer,
    /// How much it means.
    pub class: Class,
    /// Over what it is judged.
    pub scope: Scope,
    /// The kinds of probe that it reads.
    pub reads: &'static [ProbeKind],
    /// What can be behind it.
    pub explained_by: &'static [Because],
    /// How long the verdict must last, where nothing else is set.
    pub timing: Timing,
    /// The figures that it judges by.
    pub thresholds: &'static [&'static Threshold],
    /// The judgement: stateless, given everything known and whether the finding is open (for hysteresis by value).
    pub assess: fn(&View<'_>, &Subject, bool) -> Verdict,
}

/// A finding that can explain another, and how the two must lie to each other.
#[derive(Debug)]
pub struct Because {
    /// The cause's name.
    pub rule: &'static str,
    /// How the subjects must lie to each other.
    pub relation: Relation,
    /// The cause only makes the effect likely: it explains where it was seen first. A structural cause needs no order in
    /// time: an API server cannot be ready without its store, whichever was *seen* first.
    pub earned: bool,
}

impl Because {
    /// A cause without which the effect would not be.
    #[must_use]
    pub const fn structural(rule: &'static str, relation: Relation) -> Because {
        Because { rule, relation, earned: false }
    }

    /// A cause that makes the effect likely, where it was seen first.
    #[must_use]
    pub const fn earned(rule: &'static str, relation: Relation) -> Because {
        Because { rule, relation, earned: true }
    }
}

/// How a cause's subject must lie to the subject of what it explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Both on the same node.
    SameNode,
    /// The cause on some node, the effect in the cluster.
    SomeNode,
    /// The cause on the node that held the virtual address last, the effect in the cluster; on some node while no API
    /// server has been ready for long, or where the certificates do not tell who held it.
    LastHolder,
    /// As [`Relation::LastHolder`], and never while it is not known: for what can last on one node while service is
    /// kept from returning by the others.
    KnownHolder,
    /// The cause in the cluster, the effect anywhere in it.
    Cluster,
}

impl Relation {
    /// The subjects lie to each other like this.
    #[must_use]
    pub fn holds(self, cause: &Subject, effect: &Subject) -> bool {
        match self {
            Relation::SameNode => cause == effect && cause.node().is_some(),
            Relation::SomeNode | Relation::LastHolder | Relation::KnownHolder => {
                cause.node().is_some() && *effect == Subject::Cluster
            }
            Relation::Cluster => *cause == Subject::Cluster,
        }
    }
}
