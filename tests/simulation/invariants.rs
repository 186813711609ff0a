//! What must hold at every moment of every play, whatever went wrong: one list, each with its name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::play::Entry;
use defib::model::Model;
use defib::model::node::{Ills, Machine, Process};
use defib::model::world::Deed;
use defib_engine::ledger::SPACING;
use defib_engine::playbook::{Action, ActionClass, RestartableContainer, VmDeed};
use defib_engine::record::{Order, Record};
use defib_engine::settings::{Disruptive, Mode, Settings};
use defib_engine::time::Tick;

/// What the program may know late: a probe's age, an answer's way, and the recheck.
const KNOWN_WITHIN: Duration = Duration::from_secs(12);

/// A finding that was right may be open for so long after its cause is gone, and a preflight and a recheck follow.
const CLEARED_WITHIN: Duration = Duration::from_secs(30);

/// What was late is told of for a minute, and a little longer lest it flaps.
const WINDOW: Duration = Duration::from_secs(150);

/// The effect of a step that nobody verified, and that was begun before the program was killed, takes so long at least.
const ORPHANED_FOR: Duration = Duration::from_secs(60);

/// How a node was right before a step was started on it: what the step does to it at once is not held against it.
struct Before {
    /// Since when each of these truths holds.
    ready: Option<Tick>,
    unready: Option<Tick>,
    unserved: Option<Tick>,
    /// A person is at work on it.
    upgrading: Option<Tick>,
    /// Nothing is wrong with it.
    well: Option<Tick>,
    kubelet: Process,
    etcd: Process,
    /// When its container runtime last hung.
    runtime_hung: Option<Tick>,
    /// When its member was last dead.
    dead: Option<Tick>,
    /// What its API server answers reaches us.
    heard: Option<Tick>,
    /// When its member was last slow as a leader.
    weak: Option<Tick>,
    /// Its machine runs, and so does what is on it.
    executes: Option<Tick>,
    /// Its hypervisor halted it.
    halted: bool,
    /// Its virtual machine is locked.
    locked: Option<Tick>,
    /// A person stopped its virtual machine.
    stopped_on_purpose: Option<Tick>,
    /// It has a larger share of its host than other guests.
    prioritised: Option<Tick>,
}

/// What has been seen so far in one play.
#[derive(Default)]
pub(crate) struct Watch {
    deeds: Vec<(Tick, Deed)>,
    nodes: BTreeMap<String, Before>,
    isolated_since: Option<Tick>,
    /// When each step was intended, and by which playbook: the limits count from then.
    intents: BTreeMap<String, (Tick, String)>,
    /// The deed under way that may hurt, until its run ended.
    open_run: Option<(String, Tick)>,
    /// The one that was under way when the program was killed, until its effect can be expected.
    orphan: Option<(String, Tick)>,
    /// Runs that a person asked for or approved, and those of them that pass the limits.
    by_person: BTreeSet<String>,
    passes_limits: BTreeSet<String>,
    /// Until when a person was told that nothing starts by itself.
    paused_until: Option<Tick>,
    /// When a member's database was full last.
    full: Option<Tick>,
    /// Since when users reach the cluster at its usual address, and we would, too.
    served: Option<Tick>,
    /// Since when users reach it through this node.
    serving: Option<(String, Tick)>,
    /// Since when we reach too few machines to have a view of the cluster.
    cut_off_since: Option<Tick>,
}

/// Every invariant: what must hold whenever a step is started, and at the end of a play.
pub(crate) const INVARIANTS: [(&str, &str); 16] = [
    ("intended", "no step is started that was not intended in the journal"),
    ("once", "no step is started twice"),
    (
        "authority",
        "nothing is started by itself that is not armed, in another mode than act, or while a person paused it",
    ),
    ("one-at-a-time", "no step is started while another run, or one of a program that was killed, may be under way"),
    ("undisturbed", "no machine is touched while a person upgrades it, and none taken down while one upgrades any"),
    ("not-isolated", "nothing is done while nothing, or too little, reaches us"),
    ("known", "no step is for a node that does not exist"),
    ("healthy-left-alone", "nothing is done to what works"),
    ("service", "the only ready API server is not taken down"),
    ("quorum", "no member is taken down that a quorum needs; without a quorum only the dead are touched"),
    ("budget", "windows, cooldown, spacing and the limits on machines taken down hold, by a clock that never jumps"),
    ("unlocked", "a virtual machine that a backup has in hand is let be"),
    ("left-stopped", "what a person stopped is not started"),
    ("reset-what-hangs", "no virtual machine is reset whose processes run"),
    ("together", "two programs on one cluster do not take a quorum down together"),
    ("repaired", "a trouble that came alone is over within its bound"),
];

/// What was violated, in words.
pub(crate) type Violation = (&'static str, String);

impl Watch {
    /// Looks at the world as it is, for what comes to be judged next.
    pub(crate) fn look(&mut self, model: &Model, now: Tick) {
        for (name, node) in &model.nodes {
            let earlier = self.nodes.get(name);
            let since = |holds: bool, earlier: Option<Tick>| holds.then(|| earlier.unwrap_or(now));
            let last = |holds: bool, earlier: Option<Tick>| if holds { Some(now) } else { earlier };
            let ready = model.ready(name);
            let works = ready && node.kubelet.runs() && node.etcd.runs();
            let guest = model.hypervisor.as_ref().and_then(|beneath| beneath.guests.get(name));
            let stopped = node.machine == Machine::Off && guest.is_some_and(|guest| guest.stopped_on_purpose);
            let before = Before {
                ready: since(ready, earlier.and_then(|earlier| earlier.ready)),
                unready: since(!ready, earlier.and_then(|earlier| earlier.unready)),
                unserved: since(!model.etcd.serves(name), earlier.and_then(|earlier| earlier.unserved)),
                // What is off or halted is upgraded by nobody, as far as anything could tell.
                upgrading: since(node.ills.upgrading && node.executes(), earlier.and_then(|earlier| earlier.upgrading)),
                well: since(works && node.ills == Ills::default(), earlier.and_then(|earlier| earlier.well)),
                kubelet: node.kubelet,
                etcd: node.etcd,
                runtime_hung: last(node.ills.runtime_hangs, earlier.and_then(|earlier| earlier.runtime_hung)),
                dead: last(matches!(node.etcd, Process::Dead(_)), earlier.and_then(|earlier| earlier.dead)),
                weak: last(node.ills.lacks_cpu() || node.ills.slow_disk, earlier.and_then(|earlier| earlier.weak)),
                heard: since(!model.swallowed.contains(name), earlier.and_then(|earlier| earlier.heard)),
                executes: since(node.executes(), earlier.and_then(|earlier| earlier.executes)),
                halted: matches!(node.machine, Machine::Paused),
                locked: since(
                    guest.is_some_and(|guest| guest.lock.is_some()),
                    earlier.and_then(|earlier| earlier.locked),
                ),
                stopped_on_purpose: since(stopped, earlier.and_then(|earlier| earlier.stopped_on_purpose)),
                prioritised: since(
                    guest.is_some_and(|guest| guest.cpu_units > 100),
                    earlier.and_then(|earlier| earlier.prioritised),
                ),
            };
            match self.nodes.get_mut(name) {
                Some(known) => *known = before,
                None => drop(self.nodes.insert(name.clone(), before)),
            }
        }
        let (hidden, most) = (model.hidden.len(), model.nodes.len() / 2);
        let serves = model.nodes.keys().any(|name| !model.hidden.contains(name) && model.etcd.serves(name));
        self.cut_off_since = (hidden > most && serves).then(|| self.cut_off_since.unwrap_or(now));
        if model.nodes.values().any(|node| node.ills.no_space) {
            self.full = Some(now);
        }
        let serving = model.vip.holder.as_ref().filter(|_| model.serves());
        let heard = serving.is_some_and(|holder| !model.hidden.contains(holder) && !model.swallowed.contains(holder));
        self.served = heard.then(|| self.served.unwrap_or(now));
        let since = |holder: &String| self.serving.as_ref().filter(|(was, _)| was == holder).map_or(now, |(_, at)| *at);
        self.serving = serving.map(|holder| (holder.clone(), since(holder)));
        self.isolated_since = model.isolated.then(|| self.isolated_since.unwrap_or(now));
    }

    /// Judges what happened.
    pub(crate) fn judge(&mut self, entry: &Entry, settings: &Settings, now: Tick) -> Vec<Violation> {
        match entry {
            Entry::Wrote(batch) => {
                for intent in &batch.intents {
                    self.intents.insert(intent.step.0.clone(), (now, intent.playbook.clone()));
                }
                for record in &batch.records {
                    match record {
                        Record::Run { run, .. } if self.open_run.as_ref().is_some_and(|(open, _)| open == run) => {
                            self.open_run = None;
                        }
                        // It holds from here, though the program may die before it says so.
                        Record::Command { order: Order::Resume, .. } => self.paused_until = None,
                        Record::Decision { run, by: Some(_), .. } => drop(self.by_person.insert(run.clone())),
                        Record::Command { order: Order::Recover { run, pass_limits: true, .. }, .. } => {
                            self.passes_limits.insert(run.clone());
                        }
                        _ => {}
                    }
                }
                Vec::new()
            }
            Entry::Started(deed) if deed.action.class() > ActionClass::Harmless => {
                let found = self.deed(deed, settings, now);
                let intended = self.intents.get(&deed.id.0).map_or(now, |(at, _)| *at);
                self.deeds.push((intended, deed.clone()));
                found
            }
            Entry::Killed => {
                self.orphan = self.open_run.take().or(self.orphan.take());
                Vec::new()
            }
            Entry::Paused(until) => {
                self.paused_until = *until;
                Vec::new()
            }
            Entry::Started(_) | Entry::Routed(_) | Entry::Began => Vec::new(),
        }
    }

    fn deed(&mut self, deed: &Deed, settings: &Settings, now: Tick) -> Vec<Violation> {
        let mut found: Vec<Violation> = Vec::new();
        let (_, run, _) = split(deed);
        let lasts = |since: Option<Tick>| since.is_some_and(|since| now.since(since) > KNOWN_WITHIN);

        if !self.intents.contains_key(&deed.id.0) {
            found.push(("intended", format!("{} was started and never intended", deed.id)));
        }
        if self.deeds.iter().any(|(_, done)| done.id == deed.id) {
            found.push(("once", format!("{} was started twice", deed.id)));
        }
        let (intended, playbook) = self.intents.get(&deed.id.0).cloned().unwrap_or((now, String::new()));
        let armed = settings.clusters.values().any(|known| known.armed.contains(&playbook));
        let person = self.by_person.contains(&run);
        if !person && (settings.mode != Mode::Act || !armed) {
            found.push(("authority", format!("{} in mode {}, armed: {armed}", deed.id, settings.mode)));
        }
        if !person && self.paused_until.is_some_and(|until| now < until) {
            found.push(("authority", format!("{} while a person paused it", deed.id)));
        }
        if let Some((open, since)) = &self.open_run
            && *open != run
        {
            let text = format!("{run} while {open}, begun {:?} ago, has not ended", now.since(*since));
            found.push(("one-at-a-time", text));
        }
        self.open_run = Some((run.clone(), now));
        if let Some((orphan, since)) = self.orphan.take_if(|(_, since)| now.since(*since) < ORPHANED_FOR) {
            let text = format!(
                "{run} while {orphan}, begun {:?} ago by a program that was killed, may be under way",
                now.since(since)
            );
            found.push(("one-at-a-time", text));
        }
        let disruptive = deed.action.class() >= ActionClass::Disruptive;
        let own = |name: &String| disruptive || *name == deed.node;
        if let Some((node, _)) = self.nodes.iter().find(|(name, node)| own(name) && lasts(node.upgrading)) {
            found.push(("undisturbed", format!("{} while a person upgrades {node}", deed.id)));
        }
        if lasts(self.cut_off_since) {
            found.push(("not-isolated", format!("{} while most machines are hidden from us", deed.id)));
        }
        if lasts(self.isolated_since) {
            found.push(("not-isolated", format!("{} while nothing reaches us", deed.id)));
        }
        let Some(node) = self.nodes.get(&deed.node) else {
            found.push(("known", format!("{} on {}, which does not exist", deed.id, deed.node)));
            return found;
        };
        found.extend(beneath(deed, node, now));
        let own_ready = lasts(node.ready);
        // What swallows an API server's answers on their way to us makes it hung by every view that a gentle step asks.
        let seen = disruptive || lasts(node.heard);
        // What an operator wrote may be called for by a mere risk, on a machine that works; what ships is not.
        let ships = defib::playbook::SHIPPED.iter().any(|(name, _)| *name == playbook);
        let well = node.well.is_some_and(|since| now.since(since) > CLEARED_WITHIN);
        let well = if ships { seen } else { well };
        let ran = |process: Process| matches!(process, Process::Running(since) if now.since(since) > KNOWN_WITHIN);
        let runtime_ran = node.runtime_hung.is_none_or(|hung| now.since(hung) > CLEARED_WITHIN);
        if let Action::MoveLeader { .. } = deed.action {
            if node.weak.is_none_or(|weak| now.since(weak) > WINDOW) {
                found.push(("healthy-left-alone", format!("{} while {} leads well", deed.id, deed.node)));
            }
        } else if deed.action.class() == ActionClass::Data {
            if self.full.is_none_or(|full| now.since(full) > KNOWN_WITHIN) {
                found.push(("healthy-left-alone", format!("{} while no member's database is full", deed.id)));
            }
        } else if prioritises(deed) {
            if lasts(node.prioritised) {
                found.push(("healthy-left-alone", format!("{}, which has its share", deed.id)));
            }
        } else if keeps_vip(deed) {
            // Where one of them hangs on a node whose API server is ready, only the address tells it. What keeps us from the
            // holder looks the same; then another one is restarted, which has nothing to lose.
            let serves = |(holder, since): &(String, Tick)| *holder == deed.node && now.since(*since) > KNOWN_WITHIN;
            if self.served.is_some_and(|served| now.since(served) > CLEARED_WITHIN)
                || self.serving.as_ref().is_some_and(serves)
            {
                found.push(("healthy-left-alone", format!("{} while the virtual address is served", deed.id)));
            }
        } else if own_ready && well && ran(node.kubelet) && ran(node.etcd) && runtime_ran {
            found.push(("healthy-left-alone", format!("{} while all of {} works", deed.id, deed.node)));
        }
        let another_ready = self.nodes.iter().any(|(name, node)| *name != deed.node && !lasts(node.unready));
        if own_ready && seen && !another_ready && deed.action.takes_apiserver_down() {
            found.push(("service", format!("{} takes the only ready API server down", deed.id)));
        }
        // What is halted takes no part either: it is woken, and nothing else is done to it.
        let dead = node.dead.is_some_and(|dead| now.since(dead) <= KNOWN_WITHIN)
            || (node.halted && !deed.action.takes_etcd_down());
        let serving = self.nodes.values().filter(|node| !lasts(node.unserved)).count();
        let without = serving - usize::from(!lasts(node.unserved));
        if serving == 0 && !dead {
            found.push(("quorum", format!("{} though no member has served for long", deed.id)));
        }
        if deed.action.takes_etcd_down() && without < self.nodes.len() / 2 + 1 && !dead {
            found.push(("quorum", format!("{}: only {without} members serve without {}", deed.id, deed.node)));
        }
        if !self.passes_limits.contains(&run) {
            found.extend(self.budget(deed, settings, &playbook, intended));
        }
        found
    }

    /// The windows, counted over what was truly started since it was intended, by a clock that never jumps.
    fn budget(&self, deed: &Deed, settings: &Settings, own: &str, now: Tick) -> Vec<Violation> {
        let mut found = Vec::new();
        let disrupts = |deed: &Deed| deed.action.class() >= ActionClass::Disruptive;
        if disrupts(deed) {
            let earlier = || self.deeds.iter().filter(|(_, done)| disrupts(done) && split(done).1 != split(deed).1);
            let since = |window: Duration| earlier().filter(move |(at, _)| now.since(*at) < window);
            if let Some((at, _)) = since(SPACING).next() {
                found.push(("budget", format!("a machine was taken down {:?} before", now.since(*at))));
            }
            let Disruptive { per_node, per_fleet } = Disruptive::default();
            let node = since(per_node.window).filter(|(_, done)| done.node == deed.node).count() + 1;
            let fleet = since(per_fleet.window).count() + 1;
            if node > per_node.count as usize || fleet > per_fleet.count as usize {
                found.push(("budget", format!("{} is taken down {node} times, machines {fleet} times", deed.node)));
            }
        }
        for playbook in settings.playbooks.iter().filter(|playbook| playbook.name == own) {
            let limits = &playbook.limits;
            let within = |window: Duration, node: Option<&str>| {
                let of =
                    |(at, done): &&(Tick, Deed)| now.since(*at) < window && node.is_none_or(|node| done.node == node);
                let own = |(_, done): &&(Tick, Deed)| self.intents.get(&done.id.0).is_some_and(|(_, name)| name == own);
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

fn prioritises(deed: &Deed) -> bool {
    matches!(deed.action, Action::Vm { deed: VmDeed::Prioritise, .. })
}

fn keeps_vip(deed: &Deed) -> bool {
    matches!(deed.action, Action::RestartContainer { container: RestartableContainer::KubeVip, .. })
}

/// What the hypervisor could tell before a step was started on a machine.
fn beneath(deed: &Deed, node: &Before, now: Tick) -> Vec<Violation> {
    let lasts = |since: Option<Tick>, within| since.is_some_and(|since| now.since(since) > within);
    let vm = match deed.action {
        Action::Vm { deed, .. } => Some(deed),
        _ => None,
    };
    let mut found: Vec<Violation> = Vec::new();
    if lasts(node.locked, KNOWN_WITHIN) && (vm.is_some() || deed.action.class() >= ActionClass::Disruptive) {
        found.push(("unlocked", format!("{} while a backup has {} in hand", deed.id, deed.node)));
    }
    if vm == Some(VmDeed::Start) && lasts(node.stopped_on_purpose, KNOWN_WITHIN) {
        found.push(("left-stopped", format!("{} though a person stopped {}", deed.id, deed.node)));
    }
    if vm == Some(VmDeed::Reset) && lasts(node.executes, CLEARED_WITHIN) {
        found.push(("reset-what-hangs", format!("{} while what is on {} runs", deed.id, deed.node)));
    }
    found
}

/// Cluster, run and index of a step's id.
fn split(deed: &Deed) -> (String, String, String) {
    let mut parts = deed.id.0.split('/').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    (next(), next(), next())
}
