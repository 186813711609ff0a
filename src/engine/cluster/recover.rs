//! The run under way, phase by phase: what it waits for, what it reserves and hands out, how its end is known.

use super::Cluster;
use super::decide::Judged;
use crate::check::Hold;
use crate::check::heir::heir;
use crate::event::{Ready, Step};
use crate::ledger::Reservation;
use crate::observation::{NodeName, ProbeKind, TalosMachine, Target};
use crate::playbook::{Action, ActionClass};
use crate::record::{Batch, FindingKey, Intent, Outcome, Record, RunEnd, StepId};
use crate::run::{PREFLIGHT_GOOD_FOR, PREFLIGHT_WITHIN, Phase, REPORT_WITHIN, Run, all_answered};
use crate::time::{Human, Now, Tick};
use crate::view::{Elsewhere, Look, View};

/// After a preflight that did not pass, nothing is chosen for this long.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(2);

/// A boot that is this much later, in seconds, is another one.
const BOOTED_LATER_S: u64 = 15;

/// A disruptive step that an earlier process reserved keeps the other clusters from one for this long.
const UNVERIFIED_FOR: std::time::Duration = std::time::Duration::from_secs(15 * 60);

impl Cluster {
    /// Something is under way, or was reserved; else it neither disrupts nor has disrupted.
    pub(crate) fn has_acted(&self) -> bool {
        self.run.is_some() || !self.ledger.is_empty()
    }

    /// A step that takes a machine down was reserved and is not verified, or an earlier process left one so.
    pub(crate) fn disrupts(&self, now: Now) -> bool {
        let own =
            self.run.as_ref().is_some_and(|run| run.is_reserved() && run.playbook.class() >= ActionClass::Disruptive);
        let left = self.ledger.unverified(&self.id, ActionClass::Disruptive, now);
        own || left.is_some_and(|age| age < UNVERIFIED_FOR)
    }

    /// How old the runs are that took a machine down here, or may have.
    pub(crate) fn disruptions(&self, now: Now) -> impl Iterator<Item = std::time::Duration> {
        self.ledger.disruptions(now)
    }

    pub(super) fn ended(&mut self, step: StepId, outcome: Outcome, now: Now) {
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
                self.records.push(Record::Run { run: run.id.clone(), state: RunEnd::Failed, text, left: None });
                self.run = None;
            } else {
                run.phase = Phase::Ended { at: now.mono };
            }
        }
    }

    /// Moves the run under way by one phase, where it can move.
    pub(super) fn advance(
        &mut self,
        judged: &[Judged],
        now: Now,
        elsewhere: Elsewhere,
        batch: &mut Batch,
        ready: &mut Ready,
    ) {
        let Some(mut run) = self.run.take() else { return };
        let own = judged.iter().find(|one| run.is_for(&one.playbook.name, &one.node));
        let holds: &[Hold] = own.map_or(&[], |own| &own.judgement.holds);
        let next = match &run.phase {
            Phase::Reserving { .. } => Some(run),
            Phase::Announced { until } => match (holds.first(), own) {
                (None, Some(_)) if now.mono < *until => Some(run),
                (None, Some(own)) => {
                    run.look_again(&own.needs, now.mono, ready);
                    Some(run)
                }
                (hold, _) => self.give_up(
                    &run,
                    hold.map_or_else(|| "its finding is gone".to_owned(), ToString::to_string),
                    now,
                    batch,
                ),
            },
            Phase::Preflight { needs } => match self.asked_again(needs, run.asked) {
                Err(_) if now.mono.since(run.asked) < PREFLIGHT_WITHIN => Some(run),
                Ok(()) if holds.is_empty() => self.reserve(run, own, now, batch, ready),
                Err((target, kind)) => {
                    let why =
                        format!("no fresh answer of {target} to {} within {}", kind.name(), Human(PREFLIGHT_WITHIN));
                    self.give_up(&run, why, now, batch)
                }
                Ok(()) => {
                    let why = holds.first().map(ToString::to_string).unwrap_or_default();
                    self.give_up(&run, why, now, batch)
                }
            },
            Phase::Durable => match (holds.first(), run.action().cloned()) {
                (None, Some(action))
                    if now.mono.since(run.asked) < PREFLIGHT_GOOD_FOR || !self.guards.wants_fresh() =>
                {
                    run.booted_s = self.view(now, elsewhere).machine(&run.patient).map(|machine| machine.boot_time_s);
                    let action = self.aimed(action, &run.patient, now, elsewhere);
                    self.start(&run, run.step, action, now, ready);
                    run.phase = Phase::Running { started: now.mono };
                    Some(run)
                }
                (hold, _) => {
                    let late = || format!("the journal took longer than {}", Human(PREFLIGHT_GOOD_FOR));
                    let why = hold.map_or_else(late, ToString::to_string);
                    batch.outcomes.push((run.step_id(&self.id, run.step), Outcome::Withdrawn(why.clone())));
                    let text = format!("reserved and not started: {why}");
                    batch.records.push(Record::Run { run: run.id.clone(), state: RunEnd::Withdrawn, text, left: None });
                    None
                }
            },
            Phase::Running { started } => {
                let deadline = run.action().map(Action::deadline).unwrap_or_default() + REPORT_WITHIN;
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
            Phase::Verifying { .. } => self.verify(run, now, elsewhere, batch),
        };
        self.run = next;
    }

    /// Every probe of a preflight has been answered since.
    fn asked_again(&self, needs: &[(Target, ProbeKind)], asked: Tick) -> Result<(), (Target, ProbeKind)> {
        if self.guards.wants_fresh() { all_answered(&self.world, needs, asked) } else { Ok(()) }
    }

    /// Nothing was reserved: the run leaves no trace but the word that somebody waits for.
    fn give_up(&mut self, run: &Run, why: String, now: Now, batch: &mut Batch) -> Option<Run> {
        self.choose_after = now.mono + RETRY_AFTER;
        if run.was_told() {
            let text = format!("nothing was reserved or started: {why}");
            batch.records.push(Record::Run { run: run.id.clone(), state: RunEnd::Withdrawn, text, left: None });
        }
        None
    }

    /// The checks passed on fresh probes: starts what is harmless, and reserves what is not. Where nothing is left to
    /// reserve the run is over.
    fn reserve(
        &mut self,
        mut run: Run,
        own: Option<&Judged>,
        now: Now,
        batch: &mut Batch,
        ready: &mut Ready,
    ) -> Option<Run> {
        // It may have been begun at the very look that opened it.
        if run.incident.is_none() {
            run.incident = self.incidents.of(&run.patient_key()).map(|incident| incident.id.clone());
        }
        let hurts = run.step_that_hurts();
        self.start_harmless(&run, 0, hurts.unwrap_or(run.playbook.steps.len()), now, ready);
        batch.records.push(Record::Decision {
            run: run.id.clone(),
            incident: run.incident.clone(),
            playbook: run.playbook.name.clone(),
            node: run.patient.clone(),
            by: run.person.as_ref().map(|person| person.by.clone()),
            passed: own.map(|own| own.judgement.passed.clone()).unwrap_or_default(),
        });
        let Some((index, action)) = hurts.and_then(|index| Some((index, run.playbook.steps.get(index)?.clone())))
        else {
            let left = Some(self.ladders.told(&run.playbook, &run.patient));
            let text = "its steps were started; they change nothing".to_owned();
            batch.records.push(Record::Run { run: run.id, state: RunEnd::Told, text, left });
            return None;
        };
        run.step = index;
        run.phase = Phase::Reserving { batch: batch.id };
        let reservation = Reservation {
            cluster: self.id.clone(),
            node: run.patient.clone(),
            playbook: run.playbook.name.clone(),
            run: run.id.clone(),
            class: action.class(),
            at: batch.at,
            age: None,
            ended: false,
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
        Some(run)
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

    fn start(&mut self, run: &Run, index: usize, action: Action, now: Now, ready: &mut Ready) {
        let id = run.step_id(&self.id, index);
        self.in_flight.insert(id.clone(), format!("{action} on {}", run.patient));
        ready.start.push(Step::new(id, self.id.clone(), run.patient.clone(), action, now.mono));
    }

    /// What was chosen by what is known now: who leads in the patient's place.
    fn aimed(&self, action: Action, patient: &NodeName, now: Now, elsewhere: Elsewhere) -> Action {
        match action {
            Action::MoveLeader { to: None, deadline } => {
                let to = heir(&self.view(now, elsewhere), patient).ok().cloned();
                Action::MoveLeader { to, deadline }
            }
            other => other,
        }
    }

    /// After the step: hands out what harmless steps are left, and begins to watch.
    fn go_on(&mut self, mut run: Run, ended: Tick, now: Now, ready: &mut Ready) -> Run {
        self.start_harmless(&run, run.step + 1, run.playbook.steps.len(), now, ready);
        run.phase = Phase::Verifying { ended, gone_since: None };
        run
    }

    /// Watches until what called for the run is gone and stays away.
    fn verify(&mut self, mut run: Run, now: Now, elsewhere: Elsewhere, batch: &mut Batch) -> Option<Run> {
        let Phase::Verifying { ended, mut gone_since } = run.phase else { return Some(run) };
        let verify = &run.playbook.verify;
        let (words, one) = (verify.words(&run.patient), verify.cleared.len() == 1);
        let view = self.view(now, elsewhere);
        let reads = verify.cleared.iter().flat_map(|rule| view.reads(rule, &run.patient));
        let reads: Vec<_> = reads.filter(|(_, kind)| self.settings.sources.contains(kind)).collect();
        // What is seen again and not open yet is not gone either.
        let clear = |key: &FindingKey| self.tracked.get(key).is_some_and(|one| !one.may_last());
        let gone = verify.keys(&run.patient).all(|key| clear(&key)) && all_answered(&self.world, &reads, ended).is_ok();
        let booted = has_booted(view, &run, ended);
        if !gone || !booted {
            if now.mono.since(ended) <= verify.within {
                run.phase = Phase::Verifying { ended, gone_since: None };
                return Some(run);
            }
            let mut text =
                format!("{words} {} not gone {} after the step", if one { "is" } else { "are" }, Human(verify.within));
            if gone {
                text = format!("{} has not booted {} after the step", run.patient, Human(verify.within));
            }
            if let Some(next) = &run.playbook.otherwise {
                text.push_str(&format!("; next rung: {next}"));
            }
            let left = Some(self.ladders.fail(&run.playbook, &run.patient));
            batch.records.push(Record::Run { run: run.id.clone(), state: RunEnd::Failed, text, left });
            return None;
        }
        let since = *gone_since.get_or_insert(now.mono);
        if now.mono.since(since) < verify.steady_for {
            run.phase = Phase::Verifying { ended, gone_since };
            return Some(run);
        }
        let text = format!(
            "{words} {} gone {} after the step and stayed away for {}",
            if one { "was" } else { "were" },
            Human(since.since(ended)),
            Human(verify.steady_for)
        );
        batch.records.push(Record::Run { run: run.id.clone(), state: RunEnd::Recovered, text, left: None });
        None
    }
}

/// A boot that was asked for has taken place: by a boot time, asked for after it, that is later by more than a clock is
/// set by while it runs. Any other step, and a machine that does not say when it booted, has nothing to show.
fn has_booted(view: View<'_>, run: &Run, ended: Tick) -> bool {
    let (true, Some(before)) = (run.action().is_some_and(Action::boots), run.booted_s) else { return true };
    let Look::Fresh(seen) = view.look_node(&run.patient, ProbeKind::TalosMachine) else { return false };
    let later = |machine: &TalosMachine| machine.boot_time_s > before.saturating_add(BOOTED_LATER_S);
    seen.sent >= ended && view.machine(&run.patient).is_some_and(later)
}
