//! Incidents: connected groups of open outage findings, each with a root that may be revised.
//!
//! Two findings are connected when one explains the other. The root is a finding that nothing explains; of several the
//! lowest layer, then the earliest, then by name. An incident keeps its identity while any of its findings lives: of the
//! groups that it fell apart into it follows the one that reaches highest, for that is where service is hurt.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnosis;
use crate::event::OpenIncident;
use crate::finding::{Class, Layer, Relation};
use crate::observation::NodeName;
use crate::record::{FindingKey, IncidentState, Record};
use crate::time::{Human, Tick};

/// One incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its id, such as `I-7`; unique within its cluster, over all processes that write one journal.
    pub id: String,
    /// When it opened.
    pub opened: Tick,
    /// Its root.
    pub root: FindingKey,
    /// Its open findings.
    pub findings: BTreeSet<FindingKey>,
    /// Its state.
    pub state: IncidentState,
}

/// All open incidents of one cluster.
#[derive(Clone, Debug, Default)]
pub struct Incidents {
    open: Vec<Incident>,
    /// What an earlier process left open and this one has not seen yet.
    remembered: Vec<OpenIncident>,
    /// Those of them of which it was told that nobody can tell.
    unverifiable: BTreeSet<String>,
    /// Those that were begun by an earlier process: how long they lasted is not known here.
    inherited: BTreeSet<String>,
    /// The number of the next one.
    next: u64,
}

/// The open findings with the time since when, and what tells which of them can explain which.
#[derive(Clone, Debug, Default)]
pub struct Open {
    /// Since when each is open.
    pub since: BTreeMap<FindingKey, Tick>,
    /// The only node whose API server can be to blame for a lost virtual address: it held it last, and another has long
    /// been ready. None: any of them.
    pub vip_waits_for: Option<NodeName>,
}

impl std::ops::Deref for Open {
    type Target = BTreeMap<FindingKey, Tick>;

    fn deref(&self) -> &Self::Target {
        &self.since
    }
}

impl Incidents {
    /// Starts with the number after the last one that was ever used, and with those that were open.
    #[must_use]
    pub fn restored(next: u64, remembered: Vec<OpenIncident>) -> Incidents {
        Incidents { remembered, next, ..Incidents::default() }
    }

    /// The open ones, the oldest first.
    #[must_use]
    pub fn open(&self) -> &[Incident] {
        &self.open
    }

    /// The incident that holds a finding.
    #[must_use]
    pub fn of(&self, key: &FindingKey) -> Option<&Incident> {
        self.open.iter().find(|incident| incident.findings.contains(key))
    }

    /// Takes what is open now; says what changed. `state` tells what is being done about a group,
    /// given the id that it already has; `may_last`: whether a finding that is not open may be, as far as is known.
    pub fn update(
        &mut self,
        open: &Open,
        now: Tick,
        state: impl Fn(Option<&str>, &BTreeSet<FindingKey>) -> IncidentState,
        may_last: impl Fn(&FindingKey) -> bool,
    ) -> Vec<Record> {
        let mut records = Vec::new();
        self.take_up(open, now, &state, may_last, &mut records);
        let mut before = std::mem::take(&mut self.open);
        let mut groups = groups(open);
        // Of groups that reach equally high the one that something is being done about keeps the identity.
        groups.sort_by_key(|group| std::cmp::Reverse((reach(group), state(None, group) != IncidentState::Open)));
        for findings in groups {
            let Some(root) = root(&findings, open) else { continue };
            let overlap = |incident: &Incident| incident.findings.intersection(&findings).count();
            let heir = (0..before.len())
                .filter(|&index| before.get(index).is_some_and(|known| overlap(known) > 0))
                .max_by_key(|&index| (before.get(index).map_or(0, overlap), std::cmp::Reverse(index)));
            let known = heir.map(|index| before.remove(index));
            let state = state(known.as_ref().map(|known| known.id.as_str()), &findings);
            let incident = match known {
                None => {
                    self.next += 1;
                    let incident = Incident { id: format!("I-{}", self.next), opened: now, root, findings, state };
                    records.push(record(&incident, format!("root {}", incident.root)));
                    incident
                }
                Some(mut known) => {
                    let text = changes(&known, &root, &findings, state);
                    (known.root, known.findings, known.state) = (root, findings, state);
                    if let Some(text) = text {
                        records.push(record(&known, text));
                    }
                    known
                }
            };
            self.open.push(incident);
        }
        for mut gone in before {
            let merged = self.open.iter().find(|other| gone.findings.intersection(&other.findings).next().is_some());
            let lasted = match self.inherited.remove(&gone.id) {
                true => format!("{} since defib restarted, or longer", Human(now.since(gone.opened))),
                false => Human(now.since(gone.opened)).to_string(),
            };
            let text = match merged {
                Some(other) => format!("part of {} after {lasted}", other.id),
                None => format!("over after {lasted}"),
            };
            gone.state = IncidentState::Closed;
            gone.findings.clear();
            records.push(record(&gone, text));
        }
        self.open.sort_by(|a, b| (a.opened, &a.id).cmp(&(b.opened, &b.id)));
        records
    }
}

impl Incidents {
    /// Those of an earlier process that are seen again go on under their names; those of which nothing may last are over; of
    /// those of which nothing is known that is said, once.
    fn take_up(
        &mut self,
        open: &Open,
        now: Tick,
        state: &impl Fn(Option<&str>, &BTreeSet<FindingKey>) -> IncidentState,
        may_last: impl Fn(&FindingKey) -> bool,
        records: &mut Vec<Record>,
    ) {
        let mut taken_up = Vec::new();
        for one in std::mem::take(&mut self.remembered) {
            if one.findings.iter().any(|key| open.contains_key(key)) {
                let OpenIncident { id, root, findings } = one;
                self.inherited.insert(id.clone());
                // Whatever is done about it is told anew.
                let state = IncidentState::Closed;
                taken_up.push(Incident { id, opened: now, root, findings, state });
            } else if one.findings.iter().any(&may_last) {
                let lost = IncidentState::Unverifiable;
                if state(Some(&one.id), &one.findings) == lost && self.unverifiable.insert(one.id.clone()) {
                    let (incident, findings) = (one.id.clone(), one.findings.iter().cloned().collect());
                    let (root, text) = (Some(one.root.clone()), UNVERIFIABLE.to_owned());
                    records.push(Record::Incident { incident, state: lost, root, findings, text });
                }
                self.remembered.push(one);
            } else {
                let (state, findings) = (IncidentState::Closed, Vec::new());
                let text = "over: nothing of it is seen since defib restarted".to_owned();
                records.push(Record::Incident { incident: one.id, state, root: None, findings, text });
            }
        }
        // What is older keeps its name.
        self.open.splice(..0, taken_up);
    }
}

const UNVERIFIABLE: &str = "nothing has been known of its findings for 15m: whether it is over cannot be told";

fn changes(
    known: &Incident,
    root: &FindingKey,
    findings: &BTreeSet<FindingKey>,
    state: IncidentState,
) -> Option<String> {
    let mut parts = Vec::new();
    if known.root != *root {
        parts.push(format!("root is {root}, was {}", known.root));
    }
    if known.state != state {
        parts.push(
            match state {
                IncidentState::Recovering => "a run is under way",
                IncidentState::Verifying => "the step ended, its effect is watched",
                IncidentState::Open if known.state == IncidentState::Closed => "seen again since defib restarted",
                IncidentState::Open if known.state == IncidentState::Unverifiable => "its findings are known again",
                IncidentState::Open if known.state == IncidentState::Exhausted => "a person has looked",
                IncidentState::Open => "no run is under way",
                IncidentState::Exhausted => "nothing is left to be tried: a person must look (defib ack)",
                IncidentState::Unverifiable => UNVERIFIABLE,
                IncidentState::Closed => "over",
            }
            .to_owned(),
        );
    }
    let list = |keys: Vec<&FindingKey>| keys.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let joined: Vec<_> = findings.difference(&known.findings).collect();
    let left: Vec<_> = known.findings.difference(findings).collect();
    if !joined.is_empty() {
        parts.push(format!("joined by {}", list(joined)));
    }
    if !left.is_empty() {
        parts.push(format!("left by {}", list(left)));
    }
    if parts.is_empty() { None } else { Some(parts.join("; ")) }
}

fn record(incident: &Incident, text: String) -> Record {
    let closed = incident.state == IncidentState::Closed;
    Record::Incident {
        incident: incident.id.clone(),
        state: incident.state,
        root: if closed { None } else { Some(incident.root.clone()) },
        findings: incident.findings.iter().cloned().collect(),
        text,
    }
}

/// The open findings that explain this one.
#[must_use]
pub fn causes<'a>(effect: &FindingKey, open: &'a Open) -> Vec<&'a FindingKey> {
    let Some(rule) = diagnosis::rule(effect.rule) else { return Vec::new() };
    let explains = |cause: &&FindingKey| {
        rule.explained_by.iter().filter(|because| because.rule == cause.rule).any(|because| {
            let holds = because.relation.holds(&cause.subject, &effect.subject);
            let first = !because.earned || open.get(*cause).zip(open.get(effect)).is_none_or(|(a, b)| a <= b);
            let is_it = |node: &NodeName| cause.subject.node() == Some(node);
            let holder = match because.relation {
                Relation::LastHolder => open.vip_waits_for.as_ref().is_none_or(is_it),
                Relation::KnownHolder => open.vip_waits_for.as_ref().is_some_and(is_it),
                _ => true,
            };
            holds && first && holder
        })
    };
    open.keys().filter(explains).collect()
}

/// The connected groups; the one that reaches highest first, then the earliest.
fn groups(open: &Open) -> Vec<BTreeSet<FindingKey>> {
    let outage = |key: &&FindingKey| diagnosis::rule(key.rule).is_some_and(|rule| rule.class == Class::Outage);
    let mut groups: Vec<BTreeSet<FindingKey>> = Vec::new();
    for key in open.keys().filter(outage) {
        let mut group = BTreeSet::from([key.clone()]);
        let mut effects = vec![key];
        while let Some(effect) = effects.pop() {
            effects.extend(causes(effect, open).into_iter().filter(|cause| group.insert((*cause).clone())));
        }
        let (touching, apart): (Vec<_>, Vec<_>) = groups.into_iter().partition(|other| !other.is_disjoint(&group));
        group.extend(touching.into_iter().flatten());
        groups = apart;
        groups.push(group);
    }
    let since = |group: &BTreeSet<FindingKey>| group.iter().filter_map(|key| open.get(key)).min().copied();
    groups.sort_by(|a, b| (reach(b), since(a), a).cmp(&(reach(a), since(b), b)));
    groups
}

fn reach(group: &BTreeSet<FindingKey>) -> Option<Layer> {
    group.iter().filter_map(layer).max()
}

/// What nothing explains; of several the lowest layer, then the earliest, then by name.
fn root(group: &BTreeSet<FindingKey>, open: &Open) -> Option<FindingKey> {
    let unexplained: Vec<_> = group.iter().filter(|key| causes(key, open).is_empty()).collect();
    unexplained.into_iter().min_by_key(|key| (layer(key), open.get(*key), (*key).clone())).cloned()
}

fn layer(key: &FindingKey) -> Option<Layer> {
    diagnosis::rule(key.rule).map(|rule| rule.layer)
}
