//! The stage on which a scenario plays: virtual time, the engine, a journal, and the probes of one cluster.
//!
//! It keeps the engine's contract as a driver does: every event is followed by polling until nothing is ready, every
//! batch is answered in order, every step's end is reported. Left out: threads, sockets, chance.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use defib::journal::account;
use defib_engine::command::{Ask, Command, Pause, PauseKind, Recover, Reply};
use defib_engine::diagnosis;
use defib_engine::event::{Ack, Event, Kept, ObserverHealth, Ready, Saved, Step};
use defib_engine::fleet::Fleet;
use defib_engine::ledger::Reservation;
use defib_engine::maintenance::Maintenance;
use defib_engine::observation::{ClusterId, NodeName, Observation, Path, ProbeKind, Target};
use defib_engine::playbook::ActionClass;
use defib_engine::record::{Batch, Intent, Order, Outcome, Record, StepId};
use defib_engine::settings::{ClusterSettings, Mode, Settings};
use defib_engine::time::{Human, Now, Tick, UnixMs};

use super::tell;
use super::world::{WALL_START_MS, World, duration};

/// A batch is durable after this.
const STORED_AFTER: Duration = Duration::from_millis(5);
/// A step is done after this, unless the scenario says otherwise.
const DONE_AFTER: Duration = Duration::from_millis(300);
/// More answers than this at one instant are an engine that never comes to rest.
const POLLS_MAX: usize = 1_000;
/// A scenario lasts so long at most: a window of the limits, and some more.
const LASTS_MAX: Duration = Duration::from_secs(3 * 3_600);

/// One cluster's world, engine and journal.
pub(crate) struct Stage {
    settings: Settings,
    cluster: ClusterId,
    targets: Vec<(Target, ProbeKind)>,
    world: World,
    fleet: Fleet,
    now: Tick,
    /// How far the wall clock was moved.
    wall_moved_ms: i64,
    agenda: BTreeMap<(Tick, u64), Happening>,
    last_number: u64,
    store: Store,
    /// Batches that a silent store has not answered.
    unanswered: VecDeque<Batch>,
    journal: Saved,
    intents: BTreeMap<StepId, Intent>,
    /// When each reservation of the journal was made.
    reserved_at: Vec<Tick>,
    /// The first plan of the last preview.
    seen_plan: Option<String>,
    next_step: Option<Fate>,
    at_reservation: Option<String>,
    reserved: bool,
    would: BTreeSet<(String, NodeName)>,
    lines: Vec<String>,
}

enum Happening {
    Due(Target, ProbeKind),
    Tell(Event),
}

#[derive(Clone, Copy, PartialEq)]
enum Store {
    Well,
    Refuses,
    Silent,
}

/// What becomes of a step.
enum Fate {
    Fails(String),
    NeverReports,
    Takes(Duration),
}

impl Stage {
    /// Sets the stage by the first input line: `cluster prod: cp1 cp2 cp3; vip; canaries 1; act; armed restart-kubelet`.
    pub(crate) fn new(words: &str) -> Result<Stage, String> {
        let rest = words.strip_prefix("cluster ").ok_or("a scenario's first input is `cluster NAME: NODE…; …`")?;
        let (cluster, rest) = rest.split_once(": ").ok_or("a cluster is `cluster NAME: NODE…; …`")?;
        let mut clauses = rest.split("; ");
        let nodes: Vec<NodeName> = clauses.next().unwrap_or_default().split(' ').map(str::to_owned).collect();
        let mut own = ClusterSettings { nodes: nodes.clone(), ..ClusterSettings::default() };
        own.sources = ProbeKind::common().filter(|kind| *kind != ProbeKind::Vip).collect();
        let playbooks =
            defib::playbook::load(defib::playbook::SHIPPED, None).map_err(|problems| problems.to_string())?;
        let mut settings = Settings { playbooks, ..Settings::default() };
        for clause in clauses {
            match clause.split(' ').collect::<Vec<_>>().as_slice() {
                ["vip"] => drop(own.sources.insert(ProbeKind::Vip)),
                ["logs"] => drop(own.sources.insert(ProbeKind::Logs)),
                ["snapshots"] => drop(own.sources.insert(ProbeKind::Snapshots)),
                ["hypervisor"] => own.sources.extend(ProbeKind::HYPERVISOR),
                ["others", "at", "work"] => own.sources.extend(ProbeKind::AT_WORK),
                ["canaries", count] => {
                    let count: usize = count.parse().map_err(|_| format!("`{count}` is no number"))?;
                    settings.canaries = (1..=count).map(|number| format!("192.0.2.25{number}")).collect();
                }
                ["observe"] => settings.mode = Mode::Observe,
                ["ask"] => settings.mode = Mode::Ask,
                ["act"] => settings.mode = Mode::Act,
                ["once"] => settings.seen_once = true,
                ["armed", names @ ..] => own.armed = names.iter().map(ToString::to_string).collect(),
                ["maintenance", day, from, "to", to, hold] => own.maintenance.push(window(day, from, to, hold)?),
                ["threshold", finding, key, value] => {
                    let rule = diagnosis::rule(finding).ok_or_else(|| format!("no finding is called {finding}"))?;
                    defib::config::set_threshold(&mut own.thresholds, rule, key, value)?;
                }
                ["without", kinds @ ..] => {
                    for name in kinds {
                        let kind = ProbeKind::named(name).ok_or_else(|| format!("no probe is called {name}"))?;
                        own.sources.remove(&kind);
                    }
                }
                _ => return Err(format!("a cluster knows no `{clause}`")),
            }
        }
        let targets = targets(cluster, &own, &settings.canaries);
        settings.clusters.insert(cluster.to_owned(), own);
        let now = Now { mono: Tick(0), wall: UnixMs(WALL_START_MS) };
        let mut stage = Stage {
            fleet: Fleet::restore(&settings, &Saved::default(), now),
            settings,
            cluster: cluster.to_owned(),
            targets,
            world: World::new(&nodes),
            now: now.mono,
            wall_moved_ms: 0,
            agenda: BTreeMap::new(),
            last_number: 0,
            store: Store::Well,
            unanswered: VecDeque::new(),
            journal: Saved::default(),
            intents: BTreeMap::new(),
            reserved_at: Vec::new(),
            seen_plan: None,
            next_step: None,
            at_reservation: None,
            reserved: false,
            would: BTreeSet::new(),
            lines: Vec::new(),
        };
        stage.begin_probing();
        Ok(stage)
    }

    /// Carries out one input line; gives what came out.
    pub(crate) fn input(&mut self, words: &str) -> Result<Vec<String>, String> {
        self.carry(words)?;
        Ok(std::mem::take(&mut self.lines))
    }

    /// What a scenario prepared must have happened by its end.
    pub(crate) fn end(&self) -> Result<(), String> {
        match (&self.next_step, &self.at_reservation) {
            (Some(_), _) => Err("no step came after `next step`".to_owned()),
            (_, Some(words)) => Err(format!("no reservation came for `{words}`")),
            _ => Ok(()),
        }
    }

    fn carry(&mut self, words: &str) -> Result<(), String> {
        if let Some(time) = words.strip_prefix("run ") {
            return self.run(duration(time)?);
        }
        if let Some(by) = words.strip_prefix("wall clock jumps ") {
            let (sign, by) = by.strip_prefix('-').map_or((1, by), |by| (-1, by));
            let by = i64::try_from(duration(by)?.as_millis()).map_err(|error| error.to_string())?;
            self.wall_moved_ms += sign * by;
            return Ok(());
        }
        if let Some(yaml) = words.strip_prefix("playbook ") {
            return self.playbook(yaml);
        }
        if let Some(ask) = words.strip_prefix("ask ") {
            return self.ask_engine(ask);
        }
        if let Some(reason) = words.strip_prefix("pause file: ") {
            let pause_file = (reason != "gone").then(|| reason.to_owned());
            self.fleet
                .handle(Event::Observer(ObserverHealth { pause_file, ..ObserverHealth::default() }), self.clocks());
            return self.drain();
        }
        match words {
            "everything is well" => {
                self.world.heal();
                self.set_store(Store::Well);
            }
            "status" => {
                let status = self.fleet.status(&self.cluster).map(|status| tell::status(status, self.now));
                self.lines.extend(status.unwrap_or_default());
            }
            "defib restarts" => {
                // The machine tells how long ago everything was, whatever the wall clock says.
                for (row, at) in self.journal.reservations.iter_mut().zip(&self.reserved_at) {
                    row.age = Some(self.now.since(*at));
                }
                self.restart();
            }
            "defib's machine reboots" => {
                self.journal.reservations.iter_mut().for_each(|row| row.age = None);
                self.restart();
            }
            _ => return self.set(words),
        }
        Ok(())
    }

    /// One more playbook, given as one line of YAML, before anything has happened.
    fn playbook(&mut self, yaml: &str) -> Result<(), String> {
        if self.now > Tick(0) {
            return Err("a playbook is given before time passes".to_owned());
        }
        let playbook = defib::playbook::parse(std::path::Path::new("scenario"), yaml).map_err(|why| why.to_string())?;
        match self.settings.playbooks.iter_mut().find(|known| known.name == playbook.name) {
            Some(known) => *known = playbook,
            None => self.settings.playbooks.push(playbook),
        }
        self.fleet = Fleet::restore(&self.settings, &self.journal, self.clocks());
        Ok(())
    }

    /// What a person asks: `pause 10m WORDS`, `resume`, `ack PLAYBOOK NODE`, `preview …`, `recover …`.
    fn ask_engine(&mut self, words: &str) -> Result<(), String> {
        let cluster = self.cluster.clone();
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        let ask = match verb {
            "pause" => {
                let (time, reason) = rest.split_once(' ').unwrap_or((rest, ""));
                Ask::Pause { cluster: None, reason: reason.to_owned(), for_: duration(time)? }
            }
            "resume" => Ask::Resume { cluster: Some(cluster) },
            "ack" => {
                let (playbook, node) = rest.split_once(' ').ok_or("ack PLAYBOOK NODE")?;
                Ask::Ack { cluster, playbook: playbook.to_owned(), node: node.to_owned() }
            }
            "approve" => Ask::Approve { cluster, run: rest.to_owned() },
            "preview" => Ask::Preview(self.wish(rest)?),
            "recover" => Ask::Recover(self.wish(rest)?),
            _ => return Err(format!("nobody can ask `{verb}`")),
        };
        self.last_number += 1;
        let command = Command { id: self.last_number, by: "kim@ops".to_owned(), ask };
        self.fleet.handle(Event::Asked(command), self.clocks());
        self.drain()
    }

    /// `playbook NAME`, `node NAME`, `as seen` (the first plan of the last preview), `waive-for`, `pass-limits`.
    fn wish(&self, words: &str) -> Result<Recover, String> {
        let mut wish = Recover { cluster: self.cluster.clone(), ..Recover::default() };
        let mut words = words.split(' ').filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            match word {
                "playbook" => wish.playbook = words.next().map(str::to_owned),
                "node" => wish.node = words.next().map(str::to_owned),
                "as" if words.next() == Some("seen") => wish.plan.clone_from(&self.seen_plan),
                "waive-for" => wish.waive_for = true,
                "pass-limits" => wish.pass_limits = true,
                _ => return Err(format!("a recovery knows no `{word}`")),
            }
        }
        Ok(wish)
    }

    fn set(&mut self, words: &str) -> Result<(), String> {
        let (subject, clauses) = words.split_once(": ").ok_or_else(|| format!("unknown words `{words}`"))?;
        match (subject, clauses) {
            ("at the next reservation", _) => self.at_reservation = Some(clauses.to_owned()),
            ("observer", _) if clauses.starts_with("late ") => {
                let late = duration(&clauses["late ".len()..])?;
                let health = ObserverHealth { late, pause_file: None };
                self.fleet.handle(Event::Observer(health), self.clocks());
            }
            ("store", "well") => self.set_store(Store::Well),
            ("store", "refuses") => self.set_store(Store::Refuses),
            ("store", "silent") => self.set_store(Store::Silent),
            ("next step", "never reports") => self.next_step = Some(Fate::NeverReports),
            ("next step", _) => {
                let fails = clauses.strip_prefix("fails \"").and_then(|why| why.strip_suffix('"'));
                self.next_step = Some(match (fails, clauses.strip_prefix("takes ")) {
                    (Some(why), _) => Fate::Fails(why.to_owned()),
                    (_, Some(time)) => Fate::Takes(duration(time)?),
                    _ => return Err(format!("no step can `{clauses}`")),
                });
            }
            (node, "a held connection ends") => {
                let (name, kind) = node.split_once(' ').ok_or_else(|| format!("of which probe of `{node}`?"))?;
                let target = Target::Node(self.cluster.clone(), name.to_owned());
                let kind = ProbeKind::named(kind).ok_or_else(|| format!("there is no probe `{kind}`"))?;
                self.fleet.handle(Event::Suspected { target, kind }, self.clocks());
                return self.drain();
            }
            _ => self.world.set(subject, clauses, self.now)?,
        }
        Ok(())
    }

    fn run(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        if end.since(Tick(0)) > LASTS_MAX {
            return Err(format!("a scenario lasts {} at most", Human(LASTS_MAX)));
        }
        loop {
            let planned = self.agenda.keys().next().map(|(tick, _)| *tick);
            let Some(next) = planned.into_iter().chain(self.fleet.wake_at()).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.now) {
                match entry.remove() {
                    Happening::Due(target, kind) => {
                        let took = self.ask(target.clone(), kind);
                        self.plan(kind.every().max(took), Happening::Due(target, kind));
                    }
                    Happening::Tell(event) => self.fleet.handle(event, self.clocks()),
                }
            }
            self.drain()?;
        }
        self.now = end;
        Ok(())
    }

    fn drain(&mut self) -> Result<(), String> {
        for _ in 0..POLLS_MAX {
            let Some(ready) = self.fleet.poll(self.clocks()) else {
                self.tell_would();
                return if std::mem::take(&mut self.reserved) { self.interfere() } else { Ok(()) };
            };
            self.carry_out(ready);
        }
        Err(format!("the engine does not come to rest: {POLLS_MAX} polls at one instant"))
    }

    /// Between a reservation and its being durable: what the scenario prepared, and seen at once.
    fn interfere(&mut self) -> Result<(), String> {
        let Some(words) = self.at_reservation.take() else { return Ok(()) };
        self.carry(&words)?;
        for (target, kind) in self.targets.clone() {
            self.ask(target, kind);
        }
        Ok(())
    }

    fn carry_out(&mut self, ready: Ready) {
        if let Some(batch) = ready.batch {
            self.lines.extend(tell::batch(&batch, self.now));
            self.reserved |= !batch.intents.is_empty();
            self.store(batch);
        }
        for (target, kind) in ready.probes {
            self.ask(target, kind);
        }
        for step in ready.start {
            self.start(&step);
        }
        for (_, reply) in ready.replies {
            if let Reply::Preview(preview) = &reply {
                self.seen_plan = preview.plans.first().map(|plan| plan.fingerprint.clone());
            }
            self.lines.extend(tell::reply(&reply, self.now));
        }
    }

    /// A probe leaves now; gives what it takes.
    fn ask(&mut self, target: Target, kind: ProbeKind) -> Duration {
        let Some((seen, took)) = self.world.look(&target, kind, self.now) else { return Duration::ZERO };
        let path = match target {
            Target::Vip(_) => Path::Vip,
            Target::Canary(_) => Path::Outside,
            Target::Own(_) => Path::Own,
            Target::Node(..) if kind.name().starts_with("talos.") => Path::Talos,
            Target::Node(..) if kind.name().starts_with("hypervisor.") => Path::Hypervisor,
            Target::Node(..) => Path::Direct,
        };
        let observation = Observation { target, path, kind, sent: self.now, at: self.now + took, seen };
        self.plan(took, Happening::Tell(Event::Observed(observation)));
        took
    }

    fn start(&mut self, step: &Step) {
        self.lines.push(tell::start(step, self.now));
        let harmless = step.action().class() == ActionClass::Harmless;
        let fate = if harmless { None } else { self.next_step.take() };
        let (after, outcome) = match fate {
            None => (DONE_AFTER, Outcome::Done("as asked".to_owned())),
            Some(Fate::Takes(time)) => (time, Outcome::Done("as asked".to_owned())),
            Some(Fate::Fails(why)) => (DONE_AFTER, Outcome::Failed(why)),
            Some(Fate::NeverReports) => return,
        };
        let event = Event::Ended { cluster: step.cluster().clone(), step: step.id().clone(), outcome };
        self.plan(after, Happening::Tell(event));
    }

    fn store(&mut self, batch: Batch) {
        match self.store {
            Store::Silent => self.unanswered.push_back(batch),
            Store::Refuses => self.answer_batch(&batch, Err("the disk is full".to_owned())),
            Store::Well => {
                self.write(&batch);
                self.answer_batch(&batch, Ok(()));
            }
        }
    }

    fn set_store(&mut self, store: Store) {
        self.store = store;
        if store != Store::Silent {
            std::mem::take(&mut self.unanswered).into_iter().for_each(|batch| self.store(batch));
        }
    }

    fn answer_batch(&mut self, batch: &Batch, result: Result<(), String>) {
        let event = Event::Stored { cluster: batch.cluster.clone(), batch: batch.id, result };
        self.plan(STORED_AFTER, Happening::Tell(event));
    }

    /// What the journal keeps for a next process.
    fn write(&mut self, batch: &Batch) {
        let number = |id: &str| id.split('-').nth(1).and_then(|number| number.parse().ok()).unwrap_or(0);
        for record in &batch.records {
            let told = account::row(record, &batch.cluster, batch.at, None);
            account::retell(&mut self.journal, &batch.cluster, &told.kind, &told.body);
            match record {
                Record::Incident { incident, .. } => raise(&mut self.journal.last_incident, batch, number(incident)),
                Record::Command { by, order } => self.obey(by, order, batch),
                Record::Decision { run, .. } | Record::Announced { run, .. } => {
                    raise(&mut self.journal.last_run, batch, number(run))
                }
                Record::Run { run: ended, .. } => {
                    let own = self.journal.reservations.iter_mut().filter(|one| one.run == *ended);
                    own.for_each(|one| one.ended = true);
                }
                Record::Route { route, .. } => drop(self.journal.routes.insert(batch.cluster.clone(), route.clone())),
                _ => {}
            }
        }
        for intent in &batch.intents {
            self.intents.insert(intent.step.clone(), intent.clone());
            self.reserved_at.push(self.now);
            self.journal.reservations.push(Reservation {
                cluster: intent.cluster.clone(),
                node: intent.node.clone(),
                playbook: intent.playbook.clone(),
                run: intent.run.clone(),
                class: intent.class,
                at: intent.at,
                age: None,
                ended: false,
            });
        }
        for (step, _) in &batch.outcomes {
            self.intents.remove(step);
        }
    }

    fn obey(&mut self, by: &str, order: &Order, batch: &Batch) {
        let (cluster, at) = (batch.cluster.clone(), batch.at);
        match order {
            Order::Pause { reason, until } => {
                let what = Pause {
                    kind: PauseKind::Command,
                    by: by.to_owned(),
                    reason: reason.clone(),
                    since: at,
                    until: Some(*until),
                    holds: ActionClass::Harmless,
                };
                self.journal.pauses.insert(cluster, Kept { what, at, age: None });
            }
            Order::Resume => drop(self.journal.pauses.remove(&cluster)),
            Order::Ack { playbook, node } => {
                let what = Ack { cluster, playbook: playbook.clone(), node: node.clone() };
                self.journal.acks.push(Kept { what, at, age: None });
            }
            Order::Recover { .. } => {}
        }
    }

    /// The process dies, with everything that was on its way to it; the next one opens the journal.
    fn restart(&mut self) {
        self.agenda.clear();
        self.unanswered.clear();
        self.would.clear();
        self.lines.push(tell::line(self.now, "restart", "defib is another process, on the same journal"));
        for intent in std::mem::take(&mut self.intents).into_values() {
            let text = format!("{}: no outcome, so unknown, and spent", tell::intent(&intent));
            self.lines.push(tell::line(self.now, "journal", &text));
        }
        self.fleet = Fleet::restore(&self.settings, &self.journal, self.clocks());
        self.begin_probing();
    }

    fn begin_probing(&mut self) {
        for (target, kind) in self.targets.clone() {
            self.plan(Duration::ZERO, Happening::Due(target, kind));
        }
    }

    fn plan(&mut self, after: Duration, happening: Happening) {
        self.last_number += 1;
        self.agenda.insert((self.now + after, self.last_number), happening);
    }

    fn clocks(&self) -> Now {
        let mono_ms = i64::try_from(self.now.0).unwrap_or(i64::MAX);
        Now { mono: self.now, wall: UnixMs(WALL_START_MS + mono_ms + self.wall_moved_ms) }
    }

    /// In mode observe: what it would do, said once while it would.
    fn tell_would(&mut self) {
        let Some(status) = self.fleet.status(&self.cluster).filter(|_| self.settings.mode == Mode::Observe) else {
            return;
        };
        let would = status.decisions.iter().filter(|decision| decision.would());
        let would: BTreeSet<_> = would.map(|one| (one.playbook.clone(), one.node.clone())).collect();
        for (playbook, node) in would.difference(&self.would) {
            self.lines.push(tell::line(self.now, "would", &format!("{playbook} {node}")));
        }
        self.would = would;
    }
}

/// `thu 00:10 to 00:20 disruptive`, in UTC.
fn window(day: &str, from: &str, to: &str, hold: &str) -> Result<Maintenance, String> {
    let minutes = |text: &str| {
        let (hours, minutes) = text.split_once(':')?;
        Some(hours.parse::<u64>().ok()? * 60 + minutes.parse::<u64>().ok()?)
    };
    let wrong = || format!("`{day} {from} to {to} {hold}` is no maintenance window");
    let (began, ended) = minutes(from).zip(minutes(to)).filter(|(began, ended)| began < ended).ok_or_else(wrong)?;
    let mut days = [false; 7];
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    *names.iter().position(|name| *name == day).and_then(|index| days.get_mut(index)).ok_or_else(wrong)? = true;
    Ok(Maintenance {
        days,
        from: Duration::from_secs(began * 60),
        length: Duration::from_secs((ended - began) * 60),
        offset_minutes: 0,
        holds: match hold {
            "everything" => ActionClass::Service,
            "disruptive" => ActionClass::Disruptive,
            _ => return Err(wrong()),
        },
        words: format!("{day} {from} to {to} UTC"),
    })
}

fn raise(numbers: &mut BTreeMap<ClusterId, u64>, batch: &Batch, number: u64) {
    let known = numbers.entry(batch.cluster.clone()).or_default();
    *known = number.max(*known);
}

/// Every probe that the configuration gives a source for.
fn targets(cluster: &str, settings: &ClusterSettings, canaries: &[String]) -> Vec<(Target, ProbeKind)> {
    let cluster = cluster.to_owned();
    let mut targets = Vec::new();
    for &kind in &settings.sources {
        match kind {
            ProbeKind::Vip => targets.push((Target::Vip(cluster.clone()), kind)),
            kind if kind.is_own() => {
                targets.push((Target::Own(cluster.clone()), kind));
            }
            ProbeKind::Canary => {}
            _ => targets.extend(settings.nodes.iter().map(|node| (Target::Node(cluster.clone(), node.clone()), kind))),
        }
    }
    targets.extend(canaries.iter().map(|address| (Target::Canary(address.clone()), ProbeKind::Canary)));
    targets
}
