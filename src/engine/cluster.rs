//! The state machine of one cluster: observations in; findings, incidents and one run at a time out.
//!
//! Everything is judged again from everything known at every poll; what is kept between polls are the latches, the
//! incidents' identities, the run under way, what people asked for, and the ledger. Events only fold in;
//! [`Cluster::poll`] decides: `commands` takes orders, `decide` judges and chooses, `recover` moves a run.

mod commands;
mod decide;
mod propose;
mod recover;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use commands::Desk;
use decide::Judged;
use propose::Proposals;

use crate::burst::{Allowance, Bursts};
use crate::check::{Guards, Lift};
use crate::command::Pause;
use crate::diagnosis;
use crate::event::{Event, Kept, OpenIncident, Ready};
use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::holds::Holds;
use crate::incident::{Incidents, Open, causes};
use crate::ladder::Ladders;
use crate::latch::Timing;
use crate::ledger::{Ledger, LimitUse};
use crate::news;
use crate::observation::{ClusterId, NodeName, Observation, ProbeKind, Target};
use crate::playbook::Playbook;
use crate::record::{Batch, FindingKey, IncidentState, Left, Outcome, Record, RunEnd, StepId};
use crate::restoration;
use crate::route::{Route, Router};
use crate::run::{Phase, Run};
use crate::settings::{ClusterSettings, Mode};
use crate::status::{self, Status};
use crate::time::{Now, Tick};
use crate::tracked::{Tracked, Tracks};
use crate::view::{Elsewhere, View};
use crate::world::World;

/// A cluster is judged at least this often, so that what grows stale is noticed.
const PACE: std::time::Duration = std::time::Duration::from_secs(1);

/// A batch that is not answered within this time is a journal that does not answer.
const STORED_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// An incident of whose findings nothing is known for this long cannot be told to be over.
const UNVERIFIABLE_AFTER: std::time::Duration = std::time::Duration::from_secs(15 * 60);

pub(crate) struct Cluster {
    id: ClusterId,
    settings: ClusterSettings,
    mode: Mode,
    seen_once: bool,
    guards: Guards,
    playbooks: Arc<[Arc<Playbook>]>,
    world: World,
    bursts: Bursts,
    tracked: Tracks,
    incidents: Incidents,
    run: Option<Run>,
    last_run: u64,
    last_batch: u64,
    holds: Holds,
    ledger: Ledger,
    ladders: Ladders,
    proposals: Proposals,
    store_answers: bool,
    /// The oldest batch that is not answered was handed out then.
    store_owes_since: Option<Tick>,
    /// What events brought and the next batch takes along.
    outcomes: Vec<(StepId, Outcome)>,
    records: Vec<Record>,
    /// Actions handed out and not ended, for their names.
    in_flight: BTreeMap<StepId, String>,
    router: Router,
    /// The only node whose API server can be to blame for a lost virtual address; none: any of them.
    vip_waits_for: Option<NodeName>,
    choose_after: Tick,
    desk: Desk,
    dirty: bool,
    /// No outage is about to open and nothing is under way: what is no news is judged at the next regular time.
    quiet: bool,
    wake_at: Tick,
    status: Status,
}

/// What `restore` needs to make a cluster.
pub(crate) struct Seed {
    pub(crate) id: ClusterId,
    pub(crate) settings: ClusterSettings,
    pub(crate) mode: Mode,
    pub(crate) seen_once: bool,
    pub(crate) guards: Guards,
    pub(crate) playbooks: Arc<[Arc<Playbook>]>,
    pub(crate) ledger: Ledger,
    pub(crate) last_incident: u64,
    pub(crate) incidents: Vec<OpenIncident>,
    pub(crate) left: Vec<Left>,
    pub(crate) last_run: u64,
    pub(crate) pause: Option<Kept<Pause>>,
    pub(crate) route: Route,
    pub(crate) now: Now,
}

impl Cluster {
    pub(crate) fn new(seed: Seed) -> Cluster {
        let tracked = |rule: &'static Rule| {
            let subjects = match rule.scope {
                Scope::Cluster => vec![Subject::Cluster],
                Scope::Node => seed.settings.nodes.iter().cloned().map(Subject::Node).collect(),
            };
            subjects.into_iter().map(move |subject| (FindingKey { rule: rule.name, subject }, Tracked::new(rule)))
        };
        // Where no hypervisor is asked there is no such layer, rather than a row of unknowns for every node; and no word of
        // snapshots or logs where none are to be kept.
        let asked = |kind: &ProbeKind| seed.settings.sources.contains(kind);
        let hypervisor = ProbeKind::HYPERVISOR.iter().any(asked);
        let missing = |kind: &ProbeKind| ProbeKind::WHERE_SET_UP.contains(kind) && !asked(kind);
        let stands = |rule: &&&'static Rule| match rule.layer {
            Layer::Host => hypervisor,
            _ => !rule.reads.iter().any(missing),
        };
        let tracked: Vec<_> = diagnosis::ALL.iter().filter(stands).flat_map(|rule| tracked(rule)).collect();
        Cluster {
            tracked: Tracks::new(tracked),
            router: Router::restored(&seed.route, &seed.settings.nodes),
            id: seed.id,
            settings: seed.settings,
            mode: seed.mode,
            seen_once: seed.seen_once,
            guards: seed.guards,
            playbooks: seed.playbooks,
            world: World::default(),
            bursts: Bursts::default(),
            incidents: Incidents::restored(seed.last_incident, seed.incidents),
            run: None,
            last_run: seed.last_run,
            last_batch: 0,
            holds: Holds::default(),
            ledger: seed.ledger,
            ladders: Ladders::restored(seed.left),
            proposals: Proposals::default(),
            store_answers: true,
            store_owes_since: None,
            outcomes: Vec::new(),
            records: Vec::new(),
            in_flight: BTreeMap::new(),
            vip_waits_for: None,
            choose_after: Tick(0),
            desk: Desk::open(seed.pause.as_ref(), seed.now),
            dirty: true,
            quiet: false,
            wake_at: Tick(0),
            status: Status::default(),
        }
    }

    pub(crate) fn status(&self) -> &Status {
        &self.status
    }

    pub(crate) fn wake_at(&self) -> Tick {
        if self.dirty { Tick(0) } else { self.wake_at }
    }

    /// Something just turned bad here, and what lies around it is looked at.
    pub(crate) fn looks_around(&self) -> bool {
        self.bursts.wide()
    }

    pub(crate) fn handle(&mut self, event: Event, now: Now) {
        let dirty = std::mem::replace(&mut self.dirty, true);
        match event {
            Event::Observed(observation) => self.dirty = self.see(observation, now) || dirty,
            Event::Stored { batch, result, .. } => self.stored(batch, result, now),
            Event::Ended { step, outcome, .. } => self.ended(step, outcome, now),
            // A connection that ended by itself is no observation: what is seen next is.
            Event::Suspected { target, kind } => self.bursts.suspected(target, kind, now.mono),
            Event::Observer(health) => self.desk.heard_file(health.pause_file, now),
            Event::Asked(command) => self.desk.ask(command),
        }
    }

    /// Folds an observation in; whether the cluster must be judged at once.
    fn see(&mut self, observation: Observation, now: Now) -> bool {
        let before = self.world.latest(&observation.target, observation.kind);
        let news = news::tells(before, &observation);
        if before.is_none_or(|before| before.sent <= observation.sent) {
            self.bursts.seen(&observation, before, now.mono);
        }
        self.world.fold(observation);
        news || !self.quiet
    }

    fn stored(&mut self, batch: u64, result: Result<(), String>, now: Now) {
        self.store_answers = result.is_ok();
        self.desk.stored(batch, &result);
        if result.is_err() {
            self.forget_unwritten();
        }
        self.store_owes_since = (batch < self.last_batch).then_some(now.mono);
        let Some(run) =
            self.run.as_mut().filter(|run| matches!(run.phase, Phase::Reserving { batch: b } if b == batch))
        else {
            return;
        };
        match result {
            Ok(()) => run.phase = Phase::Durable,
            Err(why) => {
                let text = format!("nothing was started: the journal refused the reservation: {why}");
                self.records.push(Record::Run { run: run.id.clone(), state: RunEnd::Withdrawn, text, left: None });
                self.run = None;
            }
        }
    }

    /// A person whose command was not written down was told that nothing was begun: so nothing is.
    fn forget_unwritten(&mut self) {
        if let Some(run) = self.run.take_if(|run| run.person.is_some() && !run.is_reserved()) {
            let text = "nothing was reserved or started: the journal did not take the command".to_owned();
            self.records.push(Record::Run { run: run.id, state: RunEnd::Withdrawn, text, left: None });
        }
    }

    /// Judges everything again, if anything happened or the time has come.
    pub(crate) fn poll(&mut self, now: Now, elsewhere: Elsewhere, allowance: &mut Allowance) -> Option<Ready> {
        if !self.dirty && now.mono < self.wake_at {
            return None;
        }
        self.dirty = false;
        if self.store_owes_since.is_some_and(|since| now.mono.since(since) > STORED_WITHIN) {
            self.store_answers = false;
            self.desk.give_up_waiting();
            self.forget_unwritten();
        }
        let mut ready = Ready { cluster: self.id.clone(), ..Ready::default() };
        let mut batch = Batch {
            id: self.last_batch + 1,
            cluster: self.id.clone(),
            at: self.ledger.stamp(now),
            outcomes: std::mem::take(&mut self.outcomes),
            records: std::mem::take(&mut self.records),
            intents: Vec::new(),
        };
        let wishes = self.take_orders(now, &mut batch);
        self.diagnose(now, elsewhere, &mut batch);
        let open = |key: &FindingKey| self.tracked.get(key).is_some_and(|one| one.latch.open_since().is_some());
        self.ladders.keep_open(open, |key| self.tracked.get(key).is_some_and(Tracked::may_last));
        let judged = self.judge(now, elsewhere);
        self.note_holds(&judged, now, &mut batch);
        if self.run.is_some() {
            self.advance(&judged, now, elsewhere, &mut batch, &mut ready);
            // What was judged beside a run is no ground for choosing the next one.
            self.dirty = self.run.is_none();
        } else {
            self.choose(&judged, now, &mut batch, &mut ready);
        }
        self.take_wishes(wishes, now, elsewhere, &mut batch, &mut ready);
        let open = self.open();
        self.group(&open, &judged, now, &mut batch);
        self.find_the_way(now, elsewhere, &mut batch, &mut ready);
        self.answer(&mut ready);
        if !self.seen_once {
            ready.probes.extend(self.bursts.ask(&self.id, &self.world, &self.settings, allowance, now.mono));
        }

        let lifts = judged.iter().flat_map(|one| &one.judgement.holds).filter_map(|hold| match hold.lifts {
            Lift::At(tick) => Some(tick),
            _ => None,
        });
        let lifts = lifts.filter(|&tick| tick > now.mono).min();
        let status = self.describe(&open, judged, now, elsewhere);
        // Time alone is no change.
        self.status.now = status.now;
        ready.status_changed = status != self.status;
        self.status = status;
        if !batch.is_empty() {
            self.last_batch = batch.id;
            self.store_owes_since.get_or_insert(now.mono);
            ready.batch = Some(batch);
        }
        self.quiet &= self.run.is_none() && self.bursts.wake_at().is_none() && !self.seen_once;
        let latches = self.tracked.values().filter_map(|tracked| tracked.latch.wake_at(self.timing(tracked.rule)));
        let wakes = latches.chain(self.bursts.wake_at()).filter(|&tick| tick > now.mono).chain(lifts);
        self.wake_at = wakes.fold(now.mono + PACE, Tick::min);
        Some(ready)
    }

    fn timing(&self, rule: &Rule) -> Timing {
        if self.seen_once { Timing::ms(0, 0) } else { self.settings.thresholds.timing(rule) }
    }

    fn view(&self, now: Now, elsewhere: Elsewhere) -> View<'_> {
        View {
            cluster: &self.id,
            settings: &self.settings,
            world: &self.world,
            elsewhere,
            now: now.mono,
            wall: now.wall,
            seen_once: self.seen_once,
            ages: self.guards.wants_fresh(),
        }
    }

    fn diagnose(&mut self, now: Now, elsewhere: Elsewhere, batch: &mut Batch) {
        self.vip_waits_for = self.view(now, elsewhere).vip_waits_for().cloned();
        let mut tracks = std::mem::take(&mut self.tracked);
        for (key, tracked) in tracks.ground_up() {
            let (rule, was_open) = (tracked.rule, tracked.latch.open_since().is_some());
            let verdict = (rule.assess)(&self.view(now, elsewhere), &key.subject, was_open);
            let timing = self.timing(rule);
            let raised = matches!(verdict, Verdict::Raised(_)) && !was_open;
            if raised && tracked.latch.pending_since().is_none() && rule.class == Class::Outage {
                let target = match &key.subject {
                    Subject::Cluster => Target::Vip(self.id.clone()),
                    Subject::Node(node) => Target::Node(self.id.clone(), node.clone()),
                };
                self.bursts.raised(target, now.mono);
            }
            batch.records.extend(tracked.take(key, verdict, timing, now));
        }
        self.tracked = tracks;
        let appears =
            |tracked: &Tracked| tracked.rule.class == Class::Outage && tracked.latch.pending_since().is_some();
        self.quiet = !self.tracked.values().any(appears);
    }

    fn open(&self) -> Open {
        let since = |(key, tracked): (&FindingKey, &Tracked)| Some((key.clone(), tracked.latch.open_since()?));
        Open { since: self.tracked.iter().filter_map(since).collect(), vip_waits_for: self.vip_waits_for.clone() }
    }

    fn group(&mut self, open: &Open, judged: &[Judged], now: Now, batch: &mut Batch) {
        let waits = |one: &&Judged| one.judgement.holds.iter().any(|hold| hold.lifts == Lift::Ack);
        let exhausted: BTreeSet<_> = judged.iter().filter(waits).map(Judged::key).collect();
        let tracked = &self.tracked;
        let unverifiable =
            |key: &FindingKey| tracked.get(key).is_some_and(|one| one.unknown_for(now.mono) >= UNVERIFIABLE_AFTER);
        let run = self.run.as_ref();
        // A run is for the incident that holds its patient's finding; once that is gone, for the one that it was begun for.
        let is_for = |run: &Run, id: Option<&str>, findings: &std::collections::BTreeSet<FindingKey>| {
            let key = run.patient_key();
            if open.contains_key(&key) {
                findings.contains(&key)
            } else {
                id.is_some() && run.incident.as_deref() == id
            }
        };
        let state = |id: Option<&str>, findings: &std::collections::BTreeSet<FindingKey>| match run {
            Some(run) if is_for(run, id, findings) => match run.phase {
                Phase::Announced { .. } | Phase::Preflight { .. } => IncidentState::Open,
                Phase::Verifying { .. } => IncidentState::Verifying,
                _ => IncidentState::Recovering,
            },
            _ if findings.iter().any(|key| exhausted.contains(key)) => IncidentState::Exhausted,
            _ if !findings.is_empty() && findings.iter().all(unverifiable) => IncidentState::Unverifiable,
            _ => IncidentState::Open,
        };
        let may_last = |key: &FindingKey| tracked.get(key).is_some_and(Tracked::may_last);
        batch.records.extend(self.incidents.update(open, now.mono, state, may_last));
    }

    /// Judges the route again; it is handed out where it changed, and written down where people would want to know.
    fn find_the_way(&mut self, now: Now, elsewhere: Elsewhere, batch: &mut Batch, ready: &mut Ready) {
        let mut vip_lost = false;
        let mut lost = BTreeSet::new();
        for (key, tracked) in self.tracked.iter().filter(|(_, tracked)| tracked.latch.open_since().is_some()) {
            vip_lost |= key.rule == diagnosis::VIP_LOST;
            if tracked.rule.class == Class::Outage && matches!(tracked.rule.layer, Layer::Machine | Layer::Apiserver) {
                lost.extend(key.subject.node().cloned());
            }
        }
        let mut router = std::mem::take(&mut self.router);
        let before = router.route().clone();
        let told = router.judge(self.view(now, elsewhere), vip_lost, &lost);
        let route = router.route().clone();
        self.router = router;
        batch.records.extend(told.map(|text| Record::Route { route: route.clone(), text }));
        ready.route = (route != before).then_some(route);
    }

    fn describe(&self, open: &Open, judged: Vec<Judged>, now: Now, elsewhere: Elsewhere) -> Status {
        let finding = |(key, _): (&FindingKey, &Tick)| {
            let tracked = self.tracked.get(key)?;
            Some(status::Finding {
                key: key.clone(),
                layer: tracked.rule.layer,
                class: tracked.rule.class,
                since: tracked.since,
                text: tracked.text.clone(),
                explained_by: causes(key, open).into_iter().cloned().collect(),
            })
        };
        let unknown = |(key, tracked): (&FindingKey, &Tracked)| {
            let why = tracked.untold()?;
            Some(status::Unknown { key: key.clone(), layer: tracked.rule.layer, class: tracked.rule.class, why })
        };
        let quorum_lost = open.iter().any(|(key, _)| key.rule == diagnosis::ETCD_QUORUM_LOST);
        Status {
            now,
            findings: open.iter().filter_map(finding).collect(),
            unknown: self.tracked.iter().filter_map(unknown).collect(),
            incidents: self.incidents.open().to_vec(),
            decisions: judged
                .into_iter()
                .map(|one| status::Decision {
                    playbook: one.playbook.name.clone(),
                    node: one.node,
                    judgement: one.judgement,
                })
                .collect(),
            limits: self.limits(now),
            run: self.run.as_ref().map(|run| status::RunStatus {
                id: run.id.clone(),
                playbook: run.playbook.name.clone(),
                node: run.patient.clone(),
                phase: run.phase.name(),
            }),
            proposal: self.proposed(now),
            restoration: quorum_lost.then(|| restoration::plan(&self.view(now, elsewhere))).flatten(),
            pauses: self.desk.pauses_since(None).map(|(pause, _)| pause.clone()).collect(),
            vip_holder: self.view(now, elsewhere).vip_holder().cloned(),
            route: self.router.route().clone(),
            figures: crate::figures::of(&self.view(now, elsewhere)),
            store_answers: self.store_answers,
        }
    }

    fn limits(&self, now: Now) -> Arc<[LimitUse]> {
        // Where nothing was reserved no window moves.
        if self.ledger.is_empty() && !self.status.limits.is_empty() {
            return Arc::clone(&self.status.limits);
        }
        let limited = self.playbooks.iter().filter(|playbook| !playbook.only_tells());
        limited.flat_map(|playbook| self.ledger.limit_uses(&self.id, &self.settings.nodes, playbook, now)).collect()
    }
}
