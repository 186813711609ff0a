//! The state machine of one cluster: observations in; findings, incidents and one run at a time out.
//!
//! Everything is judged again from everything known at every poll; what is kept between polls are the latches, the
//! incidents' identities, the run under way and the ledger. Events only fold in; [`Cluster::poll`] decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::check::{Case, Hold, Judgement, Lift};
use crate::diagnosis;
use crate::event::{Event, Ready, Step};
use crate::finding::{Rule, Scope, Subject};
use crate::holds::Holds;
use crate::incident::{Incidents, Open, causes};
use crate::latch::Timing;
use crate::ledger::{Ledger, Reservation};
use crate::observation::{ClusterId, NodeName, ProbeKind, Target};
use crate::playbook::{ActionClass, Playbook};
use crate::record::{Batch, FindingKey, IncidentState, Intent, Outcome, Record, RunEnd, StepId};
use crate::route::{Route, Router};
use crate::run::{PREFLIGHT_GOOD_FOR, PREFLIGHT_WITHIN, Phase, REPORT_WITHIN, Run, all_answered};
use crate::settings::{ClusterSettings, Mode};
use crate::status::{self, Status};
use crate::time::{Human, Now, Tick};
use crate::tracked::Tracked;
use crate::view::{Elsewhere, View, World};

/// A cluster is judged at least this often, so that what grows stale is noticed.
const PACE: std::time::Duration = std::time::Duration::from_secs(1);

/// A batch that is not answered within this time is a journal that does not answer.
const STORED_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// After a preflight that did not pass, nothing is chosen for this long.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(2);

pub(crate) struct Cluster {
    id: ClusterId,
    settings: ClusterSettings,
    mode: Mode,
    seen_once: bool,
    playbooks: Arc<[Arc<Playbook>]>,
    world: World,
    tracked: BTreeMap<FindingKey, Tracked>,
    incidents: Incidents,
    run: Option<Run>,
    last_run: u64,
    last_batch: u64,
    holds: Holds,
    ledger: Ledger,
    store_answers: bool,
    /// The oldest batch that is not answered was handed out then.
    store_owes_since: Option<Tick>,
    /// What events brought and the next batch takes along.
    outcomes: Vec<(StepId, Outcome)>,
    records: Vec<Record>,
    /// Actions handed out and not ended, for their names.
    in_flight: BTreeMap<StepId, String>,
    router: Router,
    choose_after: Tick,
    dirty: bool,
    wake_at: Tick,
    status: Status,
}

/// What `restore` needs to make a cluster.
pub(crate) struct Seed {
    pub(crate) id: ClusterId,
    pub(crate) settings: ClusterSettings,
    pub(crate) mode: Mode,
    pub(crate) seen_once: bool,
    pub(crate) playbooks: Arc<[Arc<Playbook>]>,
    pub(crate) ledger: Ledger,
    pub(crate) last_incident: u64,
    pub(crate) last_run: u64,
    pub(crate) route: Route,
}

/// A playbook with a patient, judged at one poll.
struct Judged {
    playbook: Arc<Playbook>,
    node: NodeName,
    judgement: Judgement,
    needs: Vec<(Target, ProbeKind)>,
}

impl Cluster {
    pub(crate) fn new(seed: Seed) -> Cluster {
        Cluster {
            router: Router::restored(seed.route, &seed.settings.nodes),
            id: seed.id,
            settings: seed.settings,
            mode: seed.mode,
            seen_once: seed.seen_once,
            playbooks: seed.playbooks,
            world: World::default(),
            tracked: BTreeMap::new(),
            incidents: Incidents::starting_at(seed.last_incident),
            run: None,
            last_run: seed.last_run,
            last_batch: 0,
            holds: Holds::default(),
            ledger: seed.ledger,
            store_answers: true,
            store_owes_since: None,
            outcomes: Vec::new(),
            records: Vec::new(),
            in_flight: BTreeMap::new(),
            choose_after: Tick(0),
            dirty: true,
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

    pub(crate) fn handle(&mut self, event: Event, now: Now) {
        self.dirty = true;
        match event {
            Event::Observed(observation) => self.world.fold(observation),
            Event::Stored { batch, result, .. } => self.stored(batch, result, now),
            Event::Ended { step, outcome, .. } => self.ended(step, outcome, now),
        }
    }

    fn stored(&mut self, batch: u64, result: Result<(), String>, now: Now) {
        self.store_answers = result.is_ok();
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
                self.records.push(Record::Run { run: run.id.clone(), state: RunEnd::Withdrawn, text });
                self.run = None;
            }
        }
    }

    fn ended(&mut self, step: StepId, outcome: Outcome, now: Now) {
        let Some(action) = self.in_flight.remove(&step) else { return };
        let run_id = step.0.split('/').nth(1).unwrap_or_default().to_owned();
        self.records.push(Record::Outcome { run: run_id, step: step.clone(), action, outcome: outcome.clone() });
        if let Some(run) = &mut self.run
            && matches!(run.phase, Phase::Running { .. })
            && run.step_id(&self.id, run.step) == step
        {
            self.outcomes.push((step, outcome.clone()));
            if let Outcome::Failed(why) | Outcome::Withdrawn(why) = &outcome {
                let text = format!("the step failed: {why}");
                self.records.push(Record::Run { run: run.id.clone(), state: RunEnd::Failed, text });
                self.run = None;
            } else {
                run.phase = Phase::Ended { at: now.mono };
            }
        }
    }

    /// Judges everything again, if anything happened or the time has come.
    pub(crate) fn poll(&mut self, now: Now, elsewhere: Elsewhere) -> Option<Ready> {
        if !self.dirty && now.mono < self.wake_at {
            return None;
        }
        self.dirty = false;
        if self.store_owes_since.is_some_and(|since| now.mono.since(since) > STORED_WITHIN) {
            self.store_answers = false;
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
        self.diagnose(now, elsewhere, &mut batch);
        let judged = self.judge(now, elsewhere);
        self.note_holds(&judged, now, &mut batch);
        if self.run.is_some() {
            self.advance(&judged, now, &mut batch, &mut ready);
            // What was judged beside a run is no ground for choosing the next one.
            self.dirty = self.run.is_none();
        } else {
            self.choose(&judged, now, &mut ready);
        }
        self.group(now, &mut batch);
        self.find_the_way(now, elsewhere, &mut batch, &mut ready);

        let status = self.describe(judged, now);
        let same = Status { now: self.status.now, ..status.clone() } == self.status;
        self.status = status;
        ready.status_changed = !same;
        if !batch.is_empty() {
            self.last_batch = batch.id;
            self.store_owes_since.get_or_insert(now.mono);
            ready.batch = Some(batch);
        }
        let latches = self.tracked.values().filter_map(|tracked| tracked.latch.wake_at(self.timing(tracked.rule)));
        self.wake_at = latches.filter(|&tick| tick > now.mono).fold(now.mono + PACE, Tick::min);
        Some(ready)
    }

    fn timing(&self, rule: &Rule) -> Timing {
        if self.seen_once { Timing::ms(0, 0) } else { rule.timing }
    }

    fn view(&self, now: Now, elsewhere: Elsewhere) -> View<'_> {
        View {
            cluster: &self.id,
            settings: &self.settings,
            world: &self.world,
            elsewhere,
            now: now.mono,
            seen_once: self.seen_once,
        }
    }

    fn diagnose(&mut self, now: Now, elsewhere: Elsewhere, batch: &mut Batch) {
        let keys = diagnosis::ALL.iter().flat_map(|rule| {
            let subjects = match rule.scope {
                Scope::Cluster => vec![Subject::Cluster],
                Scope::Node => self.settings.nodes.iter().cloned().map(Subject::Node).collect(),
            };
            subjects.into_iter().map(|subject| (*rule, subject))
        });
        for (rule, subject) in keys.collect::<Vec<_>>() {
            let key = FindingKey { rule: rule.name, subject };
            let was_open = self.tracked.get(&key).is_some_and(|tracked| tracked.latch.open_since().is_some());
            let verdict = (rule.assess)(&self.view(now, elsewhere), &key.subject, was_open);
            let timing = self.timing(rule);
            let tracked = self.tracked.entry(key.clone()).or_insert_with(|| Tracked::new(rule));
            batch.records.extend(tracked.take(key, verdict, timing, now));
        }
    }

    fn open(&self) -> Open {
        let since = |(key, tracked): (&FindingKey, &Tracked)| Some((key.clone(), tracked.latch.open_since()?));
        self.tracked.iter().filter_map(since).collect()
    }

    /// Judges every playbook with every patient that calls for it.
    fn judge(&self, now: Now, elsewhere: Elsewhere) -> Vec<Judged> {
        let view = self.view(now, elsewhere);
        let mut judged = Vec::new();
        for playbook in self.playbooks.iter() {
            for (key, tracked) in &self.tracked {
                let (Subject::Node(node), Some(since)) = (&key.subject, tracked.latch.sure_since()) else { continue };
                if key.rule == playbook.when.finding.name {
                    let mut one = self.judge_one(view, playbook, node, now);
                    one.judgement.holds.splice(..0, self.not_called_for(playbook, tracked, since, now));
                    judged.push(one);
                }
            }
            // A patient whose finding has just closed is judged on while its run is under way.
            if let Some(run) = self.run.as_ref().filter(|run| run.playbook.name == playbook.name)
                && !judged.iter().any(|one| one.playbook.name == playbook.name && one.node == run.patient)
            {
                let mut one = self.judge_one(view, playbook, &run.patient, now);
                let text = format!("{} is no longer open", run.patient_key());
                one.judgement.holds = vec![Hold { check: "when", text, lifts: Lift::Patient }];
                judged.push(one);
            }
        }
        judged
    }

    fn judge_one(&self, view: View<'_>, playbook: &Arc<Playbook>, node: &NodeName, now: Now) -> Judged {
        let own = |run: &&Run| run.playbook.name == playbook.name && run.patient == *node;
        let other_run = self.run.as_ref().filter(|run| !own(run)).map(|run| run.id.as_str());
        let case = Case {
            view,
            playbook,
            patient: node,
            ledger: &self.ledger,
            mode: self.mode,
            store_answers: self.store_answers,
            other_run,
            now,
            duration: std::time::Duration::ZERO,
        };
        let mut judgement = case.judge();
        let reserved = self.run.as_ref().filter(own).is_some_and(|run| run.is_reserved());
        if reserved {
            // Its own reservation is not what it must wait for; a journal that fell silent is.
            judgement.holds.retain(|hold| hold.check != "budget" || hold.lifts == Lift::Journal);
        }
        let asked = |(_, kind): &(Target, ProbeKind)| self.settings.sources.contains(kind);
        let needs = case.needs().into_iter().filter(asked).collect();
        Judged { playbook: Arc::clone(playbook), node: node.clone(), judgement, needs }
    }

    /// Why the playbook's own finding does not call for it: it is not known at present, or not for long enough.
    fn not_called_for(&self, playbook: &Playbook, tracked: &Tracked, since: Tick, now: Now) -> Option<Hold> {
        let (name, asked) = (playbook.when.finding.name, playbook.when.for_);
        if let Some(why) = &tracked.unknown {
            let text = format!("whether {name} still holds is not known: {why}");
            return Some(Hold { check: "when", text, lifts: Lift::Patient });
        }
        let open_for = now.mono.since(since);
        if open_for >= asked || self.seen_once {
            return None;
        }
        let text = format!("{name} has been open for {}, {} are asked", Human(open_for), Human(asked));
        Some(Hold { check: "when", text, lifts: Lift::At(since + asked) })
    }

    /// Writes down which holds began and which ended.
    fn note_holds(&mut self, judged: &[Judged], now: Now, batch: &mut Batch) {
        let mut current = BTreeMap::new();
        for one in judged {
            let own = self.run.as_ref().is_some_and(|run| run.is_for(&one.playbook.name, &one.node));
            // What is not called for yet is not held: the story begins when it would otherwise have been done.
            let ripe =
                !one.judgement.holds.iter().any(|hold| hold.check == "when" && matches!(hold.lifts, Lift::At(_)));
            for hold in one.judgement.holds.iter().filter(|_| ripe && !own) {
                current.insert((one.playbook.name.clone(), one.node.clone(), hold.check), hold);
            }
        }
        batch.records.extend(self.holds.note(&current, self.store_answers, now.mono));
    }

    /// Moves the run under way by one phase, where it can move.
    fn advance(&mut self, judged: &[Judged], now: Now, batch: &mut Batch, ready: &mut Ready) {
        let Some(mut run) = self.run.take() else { return };
        let own = judged.iter().find(|one| run.is_for(&one.playbook.name, &one.node));
        let holds: &[Hold] = own.map_or(&[], |own| &own.judgement.holds);
        let next = match &run.phase {
            Phase::Reserving { .. } => Some(run),
            Phase::Preflight { needs } => match all_answered(&self.world, needs, run.asked) {
                Err(_) if now.mono.since(run.asked) < PREFLIGHT_WITHIN => Some(run),
                Ok(()) if holds.is_empty() => Some(self.reserve(run, own, now, batch, ready)),
                _ => {
                    self.choose_after = now.mono + RETRY_AFTER;
                    None
                }
            },
            Phase::Durable => match (holds.first(), run.action().cloned()) {
                (None, Some(action)) if now.mono.since(run.asked) < PREFLIGHT_GOOD_FOR => {
                    self.start(&run, run.step, action, now, ready);
                    run.phase = Phase::Running { started: now.mono };
                    Some(run)
                }
                (hold, _) => {
                    let late = || format!("the journal took longer than {}", Human(PREFLIGHT_GOOD_FOR));
                    let why = hold.map_or_else(late, ToString::to_string);
                    batch.outcomes.push((run.step_id(&self.id, run.step), Outcome::Withdrawn(why.clone())));
                    let text = format!("reserved and not started: {why}");
                    batch.records.push(Record::Run { run: run.id.clone(), state: RunEnd::Withdrawn, text });
                    None
                }
            },
            Phase::Running { started } => {
                let deadline = run.action().map(crate::playbook::Action::deadline).unwrap_or_default() + REPORT_WITHIN;
                if now.mono.since(*started) > deadline {
                    let step = run.step_id(&self.id, run.step);
                    let why = format!("no end was reported within {}", Human(deadline));
                    let action = self.in_flight.remove(&step).unwrap_or_default();
                    let outcome = Outcome::Unknown(why);
                    let (id, told) = (run.id.clone(), outcome.clone());
                    batch.records.push(Record::Outcome { run: id, step: step.clone(), action, outcome: told });
                    batch.outcomes.push((step, outcome));
                    run.phase = Phase::Ended { at: now.mono };
                }
                Some(run)
            }
            Phase::Ended { at } => Some(self.go_on(run.clone(), *at, now, ready)),
            Phase::Verifying { .. } => self.verify(run, now, batch),
        };
        self.run = next;
    }

    /// The checks passed on fresh probes: starts what is harmless, and reserves what is not.
    fn reserve(&mut self, mut run: Run, own: Option<&Judged>, now: Now, batch: &mut Batch, ready: &mut Ready) -> Run {
        let hurts = run.step_that_hurts();
        self.start_harmless(&run, 0, hurts.unwrap_or(run.playbook.steps.len()), now, ready);
        batch.records.push(Record::Decision {
            run: run.id.clone(),
            incident: run.incident.clone(),
            playbook: run.playbook.name.clone(),
            node: run.patient.clone(),
            passed: own.map(|own| own.judgement.passed.clone()).unwrap_or_default(),
        });
        let Some((index, action)) = hurts.and_then(|index| Some((index, run.playbook.steps.get(index)?.clone())))
        else {
            run.phase = Phase::Verifying { ended: now.mono, gone_since: None };
            return run;
        };
        run.step = index;
        run.phase = Phase::Reserving { batch: batch.id };
        let reservation = Reservation {
            cluster: self.id.clone(),
            node: run.patient.clone(),
            playbook: run.playbook.name.clone(),
            run: run.id.clone(),
            at: batch.at,
            made: Some(now.mono),
        };
        self.ledger.reserve(reservation, now);
        batch.intents.push(Intent {
            step: run.step_id(&self.id, index),
            run: run.id.clone(),
            incident: run.incident.clone(),
            cluster: self.id.clone(),
            playbook: run.playbook.name.clone(),
            class: action.class(),
            action,
            node: run.patient.clone(),
            at: batch.at,
        });
        run
    }

    /// Hands out the steps from `from` up to `to`, all of them harmless, so that they need no reservation.
    fn start_harmless(&mut self, run: &Run, from: usize, to: usize, now: Now, ready: &mut Ready) {
        for index in from..to {
            if let Some(action) = run.playbook.steps.get(index).filter(|action| action.class() == ActionClass::Harmless)
            {
                self.start(run, index, action.clone(), now, ready);
            }
        }
    }

    fn start(&mut self, run: &Run, index: usize, action: crate::playbook::Action, now: Now, ready: &mut Ready) {
        let id = run.step_id(&self.id, index);
        self.in_flight.insert(id.clone(), format!("{action} on {}", run.patient));
        ready.start.push(Step::new(id, self.id.clone(), run.patient.clone(), action, now.mono));
    }

    /// After the step: hands out what harmless steps are left, and begins to watch.
    fn go_on(&mut self, mut run: Run, ended: Tick, now: Now, ready: &mut Ready) -> Run {
        self.start_harmless(&run, run.step + 1, run.playbook.steps.len(), now, ready);
        run.phase = Phase::Verifying { ended, gone_since: None };
        run
    }

    /// Watches until what called for the run is gone and stays away.
    fn verify(&self, mut run: Run, now: Now, batch: &mut Batch) -> Option<Run> {
        let Phase::Verifying { ended, mut gone_since } = run.phase else { return Some(run) };
        let verify = &run.playbook.verify;
        let key = FindingKey { rule: verify.cleared.name, subject: Subject::Node(run.patient.clone()) };
        let target = Target::Node(self.id.clone(), run.patient.clone());
        let reads = verify.cleared.reads.iter().filter(|kind| self.settings.sources.contains(kind));
        let reads: Vec<_> = reads.map(|&kind| (target.clone(), kind)).collect();
        let open = self.tracked.get(&key).is_some_and(|tracked| tracked.latch.open_since().is_some());
        let known = self.tracked.get(&key).is_some_and(|tracked| tracked.unknown.is_none());
        if open || !known || all_answered(&self.world, &reads, ended).is_err() {
            if now.mono.since(ended) <= verify.within {
                run.phase = Phase::Verifying { ended, gone_since: None };
                return Some(run);
            }
            let text = format!("{key} is not gone {} after the step", Human(verify.within));
            batch.records.push(Record::Run { run: run.id.clone(), state: RunEnd::Failed, text });
            return None;
        }
        let since = *gone_since.get_or_insert(now.mono);
        if now.mono.since(since) < verify.steady_for {
            run.phase = Phase::Verifying { ended, gone_since };
            return Some(run);
        }
        let text = format!(
            "{key} was gone {} after the step and stayed away for {}",
            Human(since.since(ended)),
            Human(verify.steady_for)
        );
        batch.records.push(Record::Run { run: run.id.clone(), state: RunEnd::Recovered, text });
        None
    }

    /// Chooses the first case that nothing holds, and asks for its fresh probes.
    fn choose(&mut self, judged: &[Judged], now: Now, ready: &mut Ready) {
        if now.mono < self.choose_after || self.seen_once {
            return;
        }
        let Some(chosen) = judged.iter().find(|one| one.judgement.holds.is_empty()) else { return };
        self.last_run += 1;
        let key = FindingKey { rule: chosen.playbook.when.finding.name, subject: Subject::Node(chosen.node.clone()) };
        ready.probes.extend(chosen.needs.iter().cloned());
        self.run = Some(Run {
            id: format!("R-{}", self.last_run),
            incident: self.incidents.of(&key).map(|incident| incident.id.clone()),
            playbook: Arc::clone(&chosen.playbook),
            patient: chosen.node.clone(),
            asked: now.mono,
            phase: Phase::Preflight { needs: chosen.needs.clone() },
            step: 0,
        });
    }

    /// Groups the open findings into incidents.
    fn group(&mut self, now: Now, batch: &mut Batch) {
        let open = self.open();
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
                Phase::Preflight { .. } => IncidentState::Open,
                Phase::Verifying { .. } => IncidentState::Verifying,
                _ => IncidentState::Recovering,
            },
            _ => IncidentState::Open,
        };
        batch.records.extend(self.incidents.update(&open, now.mono, state));
    }

    /// Judges the route again; it is handed out where it changed, and written down where people would want to know.
    fn find_the_way(&mut self, now: Now, elsewhere: Elsewhere, batch: &mut Batch, ready: &mut Ready) {
        let lost = FindingKey { rule: diagnosis::VIP_LOST, subject: Subject::Cluster };
        let lost = self.tracked.get(&lost).is_some_and(|tracked| tracked.latch.open_since().is_some());
        let mut router = std::mem::take(&mut self.router);
        let before = router.route().clone();
        let told = router.judge(self.view(now, elsewhere), lost);
        let route = router.route().clone();
        self.router = router;
        batch.records.extend(told.map(|text| Record::Route { route: route.clone(), text }));
        ready.route = (route != before).then_some(route);
    }

    fn describe(&self, judged: Vec<Judged>, now: Now) -> Status {
        let open = self.open();
        let finding = |(key, _): (&FindingKey, &Tick)| {
            let tracked = self.tracked.get(key)?;
            Some(status::Finding {
                key: key.clone(),
                layer: tracked.rule.layer,
                since: tracked.since,
                text: tracked.text.clone(),
                explained_by: causes(key, &open).into_iter().cloned().collect(),
            })
        };
        let unknown = |(key, tracked): (&FindingKey, &Tracked)| {
            let why = tracked.unknown.clone()?;
            Some(status::Unknown { key: key.clone(), layer: tracked.rule.layer, why })
        };
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
            run: self.run.as_ref().map(|run| status::RunStatus {
                id: run.id.clone(),
                playbook: run.playbook.name.clone(),
                node: run.patient.clone(),
                phase: run.phase.name(),
            }),
            route: self.router.route().clone(),
            store_answers: self.store_answers,
        }
    }
}
