//! What must hold at every moment of every play, whatever went wrong: one list, each with its name.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::play::Entry;
use defib::model::Model;
use defib::model::node::Process;
use defib::model::world::Deed;
use defib_engine::playbook::ActionClass;
use defib_engine::settings::Settings;
use defib_engine::time::Tick;

/// What the program may know late: a probe's age, an answer's way, and the recheck.
const KNOWN_WITHIN: Duration = Duration::from_secs(12);

/// What has been seen so far in one play.
#[derive(Default)]
pub(crate) struct Watch {
    deeds: Vec<(Tick, Deed)>,
    /// Since when each of these truths holds.
    ready_since: BTreeMap<String, Tick>,
    isolated_since: Option<Tick>,
    unserved_since: BTreeMap<String, Tick>,
    /// The playbook of each intended step.
    intents: BTreeMap<String, String>,
    /// The deed under way that may hurt, until its run ended.
    open_run: Option<(String, Tick)>,
}

/// What was violated, in words.
pub(crate) type Violation = (&'static str, String);

impl Watch {
    /// Looks at the world as it is, before anything is judged.
    pub(crate) fn look(&mut self, model: &Model, now: Tick) {
        for name in model.nodes.keys() {
            keep(&mut self.ready_since, name, model.ready(name), now);
            keep(&mut self.unserved_since, name, !model.etcd.serves(name), now);
        }
        self.isolated_since = model.isolated.then(|| self.isolated_since.unwrap_or(now));
    }

    /// Judges what happened.
    pub(crate) fn judge(&mut self, entry: &Entry, model: &Model, settings: &Settings, now: Tick) -> Vec<Violation> {
        match entry {
            Entry::Wrote(batch) => {
                for intent in &batch.intents {
                    self.intents.insert(intent.step.0.clone(), intent.playbook.clone());
                }
                for record in &batch.records {
                    if let defib_engine::record::Record::Run { run, .. } = record
                        && self.open_run.as_ref().is_some_and(|(open, _)| open == run)
                    {
                        self.open_run = None;
                    }
                }
                Vec::new()
            }
            Entry::Started(deed) if deed.action.class() > ActionClass::Harmless => {
                let found = self.deed(deed, model, settings, now);
                self.deeds.push((now, deed.clone()));
                found
            }
            Entry::Killed => {
                self.open_run = None;
                Vec::new()
            }
            Entry::Started(_) | Entry::Routed(_) | Entry::Began => Vec::new(),
        }
    }

    fn deed(&mut self, deed: &Deed, model: &Model, settings: &Settings, now: Tick) -> Vec<Violation> {
        let mut found: Vec<Violation> = Vec::new();
        let (_, run, _) = split(deed);
        let lasts = |since: Option<&Tick>| since.is_some_and(|since| now.since(*since) > KNOWN_WITHIN);

        if !self.intents.contains_key(&deed.id.0) {
            found.push(("intended", format!("{} was started and never intended", deed.id)));
        }
        if self.deeds.iter().any(|(_, done)| done.id == deed.id) {
            found.push(("once", format!("{} was started twice", deed.id)));
        }
        if settings.mode != defib_engine::settings::Mode::Act {
            found.push(("authority", format!("{} in mode {}", deed.id, settings.mode)));
        }
        if let Some((open, since)) = &self.open_run
            && *open != run
        {
            let text = format!("{run} while {open}, begun {:?} ago, has not ended", now.since(*since));
            found.push(("one-at-a-time", text));
        }
        self.open_run = Some((run, now));
        if self.isolated_since.is_some_and(|since| now.since(since) > KNOWN_WITHIN) {
            found.push(("not-isolated", format!("{} while nothing reaches us", deed.id)));
        }
        let node = model.nodes.get(&deed.node);
        let own_ready = lasts(self.ready_since.get(&deed.node));
        // The step itself has started what it starts by now.
        let ran = |process: Process| matches!(process, Process::Running(since) if now.since(since) > KNOWN_WITHIN);
        if own_ready && node.is_some_and(|node| ran(node.kubelet) && ran(node.etcd)) {
            found.push(("healthy-left-alone", format!("{} while all of {} works", deed.id, deed.node)));
        }
        let another_ready = self.ready_since.iter().any(|(name, since)| *name != deed.node && lasts(Some(since)));
        if own_ready && !another_ready && deed.action.takes_apiserver_down() {
            found.push(("service", format!("{} takes the only ready API server down", deed.id)));
        }
        let dead = node.is_some_and(|node| matches!(node.etcd, Process::Dead(_)));
        let mute = |name: &String| lasts(self.unserved_since.get(name));
        let serving = model.nodes.keys().filter(|name| !mute(name)).count();
        let without = serving - usize::from(!mute(&deed.node));
        if serving == 0 && !dead {
            found.push(("quorum", format!("{} though no member has served for long", deed.id)));
        }
        if deed.action.takes_etcd_down() && without < model.nodes.len() / 2 + 1 && !dead {
            found.push(("quorum", format!("{}: only {without} members serve without {}", deed.id, deed.node)));
        }
        found.extend(self.budget(deed, settings, now));
        found
    }

    /// The windows, counted over what was truly started, by a clock that never jumps.
    fn budget(&self, deed: &Deed, settings: &Settings, now: Tick) -> Vec<Violation> {
        let mut found = Vec::new();
        for playbook in &settings.playbooks {
            if self.intents.get(&deed.id.0) != Some(&playbook.name) {
                continue;
            }
            let limits = &playbook.limits;
            let within = |window: Duration, node: Option<&str>| {
                let of =
                    |(at, done): &&(Tick, Deed)| now.since(*at) < window && node.is_none_or(|node| done.node == node);
                let own = |(_, done): &&(Tick, Deed)| self.intents.get(&done.id.0) == Some(&playbook.name);
                self.deeds.iter().filter(of).filter(own).count() + 1
            };
            let lately = |(at, done): &&(Tick, Deed)| now.since(*at) < limits.cooldown && done.node == deed.node;
            let (node, cluster) =
                (within(limits.per_node.window, Some(&deed.node)), within(limits.per_cluster.window, None));
            if node > limits.per_node.count as usize {
                found.push(("budget", format!("{node} deeds on {} within {:?}", deed.node, limits.per_node.window)));
            }
            if cluster > limits.per_cluster.count as usize {
                found.push(("budget", format!("{cluster} deeds within {:?}", limits.per_cluster.window)));
            }
            if self.deeds.iter().any(|done| lately(&done)) {
                found.push(("budget", format!("{} again within its cooldown", deed.node)));
            }
        }
        found
    }
}

/// Cluster, run and index of a step's id.
fn split(deed: &Deed) -> (String, String, String) {
    let mut parts = deed.id.0.split('/').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    (next(), next(), next())
}

fn keep(since: &mut BTreeMap<String, Tick>, name: &str, holds: bool, now: Tick) {
    if holds {
        since.entry(name.to_owned()).or_insert(now);
    } else {
        since.remove(name);
    }
}
