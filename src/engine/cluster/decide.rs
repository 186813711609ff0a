//! What could be done, and what is: every playbook judged with every patient that calls for it, and one of them chosen.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Cluster;
use crate::check::{Case, Hold, Judgement, Lift};
use crate::command::{Person, Plan, Recover};
use crate::event::Ready;
use crate::finding::Subject;
use crate::ladder::Turn;
use crate::ledger::Wanted;
use crate::observation::{NodeName, ProbeKind, Target};
use crate::playbook::Playbook;
use crate::record::{Batch, FindingKey, Record};
use crate::run::{Phase, Run};
use crate::settings::Mode;
use crate::time::{Human, Now, Tick};
use crate::tracked::Tracked;
use crate::view::{Elsewhere, View};

/// A playbook with a patient, judged at one poll.
pub(super) struct Judged {
    pub(super) playbook: Arc<Playbook>,
    pub(super) node: NodeName,
    pub(super) judgement: Judgement,
    pub(super) needs: Vec<(Target, ProbeKind)>,
}

/// What a person may mean, judged.
pub(super) struct Wished {
    pub(super) judged: Judged,
    pub(super) plan: Plan,
}

impl Cluster {
    /// Judges every playbook with every patient that calls for it.
    pub(super) fn judge(&self, now: Now, elsewhere: Elsewhere) -> Vec<Judged> {
        let view = self.view(now, elsewhere);
        let mut judged = Vec::new();
        // What only a person begins is judged where one asks, and while its run is under way.
        let own = |playbook: &Playbook| self.run.as_ref().is_some_and(|run| run.playbook.name == playbook.name);
        for playbook in self.playbooks.iter().filter(|one| !one.only_by_hand() || own(one)) {
            for (key, tracked) in self.tracked.iter().filter(|(_, one)| std::ptr::eq(one.rule, playbook.when.finding)) {
                let Some(since) = tracked.latch.sure_since() else { continue };
                let patients = match &key.subject {
                    Subject::Node(node) => std::slice::from_ref(node),
                    Subject::Cluster => self.settings.nodes.as_slice(),
                };
                let mut candidates = Vec::new();
                for node in patients {
                    let own = self.run.as_ref().filter(|run| run.is_for(&playbook.name, node));
                    let person = own.and_then(|run| run.person.as_ref());
                    let turn = match self.turn(playbook, node) {
                        Turn::NotYet(_) if own.is_none() => continue,
                        Turn::Over(hold) if own.is_none() => Some(hold),
                        _ => None,
                    };
                    let mut one = self.judge_one(view, playbook, node, person, now);
                    let called = self.not_called_for(playbook, tracked, since, person, now);
                    one.judgement.holds.splice(..0, turn.or(called));
                    self.unless_clear(&mut one.judgement, tracked, now);
                    candidates.push(one);
                }
                // What is wrong with the cluster may be cured on any node: its patient is the one whose run is under way,
                // else the one that least speaks against.
                let treated = |one: &Judged| self.run.as_ref().is_some_and(|run| run.is_for(&playbook.name, &one.node));
                judged.extend(candidates.into_iter().min_by_key(|one| (!treated(one), one.judgement.holds.len())));
            }
            // A patient whose finding has just closed is judged on while its run is under way.
            if let Some(run) = self.run.as_ref().filter(|run| run.playbook.name == playbook.name)
                && !judged.iter().any(|one| one.playbook.name == playbook.name && one.node == run.patient)
            {
                let mut one = self.judge_one(view, playbook, &run.patient, run.person.as_ref(), now);
                let text = format!("{} is no longer open", run.patient_key());
                one.judgement.holds = vec![Hold { check: "when", text, lifts: Lift::Patient }];
                judged.push(one);
            }
        }
        judged
    }

    /// Whether it is the playbook's turn on its ladder.
    fn turn(&self, playbook: &Playbook, node: &NodeName) -> Turn {
        self.ladders.turn(&self.playbooks, playbook, node, |name| self.settings.armed.contains(name))
    }

    fn judge_one(
        &self,
        view: View<'_>,
        playbook: &Arc<Playbook>,
        node: &NodeName,
        person: Option<&Person>,
        now: Now,
    ) -> Judged {
        let own = |run: &&Run| run.is_for(&playbook.name, node);
        let other_run = self.run.as_ref().filter(|run| !own(run)).map(|run| run.id.as_str());
        // A person who asks knows of the pauses that there are; one that comes later holds.
        let pauses: Vec<_> = self.desk.pauses_since(person.map(|person| person.since)).collect();
        let case = Case {
            view,
            playbook,
            patient: node,
            guards: self.guards,
            ledger: &self.ledger,
            mode: self.mode,
            person,
            pauses: &pauses,
            store_answers: self.store_answers,
            other_run,
            now,
            duration: std::time::Duration::ZERO,
            needs: &[],
        };
        let mut needs = case.reads();
        let mut judgement = Case { needs: &needs, ..case }.judge();
        let reserved = self.run.as_ref().filter(own).is_some_and(|run| run.is_reserved());
        if reserved {
            // Its own reservation is not what it must wait for; a journal that fell silent is.
            judgement.holds.retain(|hold| hold.check != "budget" || hold.lifts == Lift::Journal);
        }
        needs.retain(|(_, kind)| self.settings.sources.contains(kind));
        Judged { playbook: Arc::clone(playbook), node: node.clone(), judgement, needs }
    }

    /// Why the playbook's own finding does not call for it: it is not known at present, or not for long enough.
    fn not_called_for(
        &self,
        playbook: &Playbook,
        tracked: &Tracked,
        since: Tick,
        person: Option<&Person>,
        now: Now,
    ) -> Option<Hold> {
        let (name, asked) = (playbook.when.finding.name, playbook.when.for_);
        if let Some(why) = &tracked.unknown {
            let text = format!("whether {name} still holds is not known: {why}");
            return Some(Hold { check: "when", text, lifts: Lift::Patient });
        }
        let open_for = now.mono.since(since);
        if open_for >= asked || self.seen_once || person.is_some_and(|person| person.waive_for) {
            return None;
        }
        let text = format!("{name} has been open for {}, {} are asked", Human(open_for), Human(asked));
        Some(Hold { check: "when", text, lifts: Lift::At(since + asked) })
    }

    /// What is open and not seen any more calls for nothing, should nothing else hold: it closes soon, or is seen again.
    fn unless_clear(&self, judgement: &mut Judgement, tracked: &Tracked, now: Now) {
        let Some(clear) = tracked.latch.clear_since().filter(|_| judgement.holds.is_empty()) else { return };
        let left = self.timing(tracked.rule).close_after.saturating_sub(now.mono.since(clear));
        let text =
            format!("{} is not seen any more, and closes in {} if it stays away", tracked.rule.name, Human(left));
        judgement.holds.push(Hold { check: "when", text, lifts: Lift::Patient });
    }

    /// Writes down which holds began and which ended.
    pub(super) fn note_holds(&mut self, judged: &[Judged], now: Now, batch: &mut Batch) {
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

    /// Chooses the first case that nothing holds, and asks for its fresh probes.
    pub(super) fn choose(&mut self, judged: &[Judged], now: Now, batch: &mut Batch, ready: &mut Ready) {
        if now.mono < self.choose_after || self.seen_once {
            return;
        }
        if self.mode == Mode::Ask {
            return self.propose(judged, now, batch);
        }
        let Some(chosen) = judged.iter().find(|one| one.judgement.holds.is_empty()) else { return };
        let id = self.next_run();
        self.begin(id, chosen, None, now, batch, ready);
    }

    /// The id of the next run.
    pub(super) fn next_run(&mut self) -> String {
        self.last_run += 1;
        format!("R-{}", self.last_run)
    }

    /// Begins a run: announces it, or asks for its fresh probes at once. A person who asks has seen it announced.
    pub(super) fn begin(
        &mut self,
        id: String,
        chosen: &Judged,
        person: Option<Person>,
        now: Now,
        batch: &mut Batch,
        ready: &mut Ready,
    ) -> String {
        let key = chosen.key();
        let mut run = Run {
            id,
            incident: self.incidents.of(&key).map(|incident| incident.id.clone()),
            playbook: Arc::clone(&chosen.playbook),
            patient: chosen.node.clone(),
            person,
            asked: now.mono,
            phase: Phase::Announced { until: now.mono + chosen.playbook.veto },
            step: 0,
            booted_s: None,
        };
        if run.person.is_some() || chosen.playbook.veto.is_zero() {
            run.look_again(&chosen.needs, now.mono, ready);
        } else {
            let text = format!("starts in {} unless it is paused", Human(chosen.playbook.veto));
            let (playbook, node) = (chosen.playbook.name.clone(), chosen.node.clone());
            batch.records.push(Record::Announced { run: run.id.clone(), playbook, node, text });
        }
        self.no_longer_proposed(&run, batch);
        let id = run.id.clone();
        self.run = Some(run);
        id
    }

    /// Every playbook on every node that a person may mean, judged as if that person asked for it: those that would run
    /// first, in the order in which they would be chosen; then those that an open finding calls for.
    pub(super) fn wished(&self, wish: &Recover, person: &Person, now: Now, elsewhere: Elsewhere) -> Vec<Wished> {
        let view = self.view(now, elsewhere);
        let mut wished = Vec::new();
        for playbook in self.playbooks.iter().filter(|one| wish.playbook.as_ref().is_none_or(|name| *name == one.name))
        {
            for node in self.settings.nodes.iter().filter(|node| wish.node.as_ref().is_none_or(|name| name == *node)) {
                let mut judged = self.judge_one(view, playbook, node, Some(person), now);
                let key = judged.key();
                let open = self.tracked.get(&key).and_then(|tracked| Some((tracked, tracked.latch.sure_since()?)));
                let turn = match self.turn(playbook, node) {
                    Turn::NotYet(hold) | Turn::Over(hold) if !person.waive_for => Some(hold),
                    _ => None,
                };
                let hold = match open {
                    Some((tracked, since)) => {
                        turn.or_else(|| self.not_called_for(playbook, tracked, since, Some(person), now))
                    }
                    None => {
                        let text = format!("{key} is not open");
                        Some(Hold { check: "when", text, lifts: Lift::Patient })
                    }
                };
                judged.judgement.holds.splice(..0, hold);
                if let Some((tracked, _)) = open {
                    self.unless_clear(&mut judged.judgement, tracked, now);
                }
                let plan = self.plan(&judged, open.map(|_| key), now, elsewhere);
                wished.push(Wished { judged, plan });
            }
        }
        wished.sort_by_key(|one| (!one.plan.would(), one.plan.called_for.is_none()));
        wished
    }

    fn plan(&self, judged: &Judged, called_for: Option<FindingKey>, now: Now, elsewhere: Elsewhere) -> Plan {
        let Judged { playbook, node, judgement, .. } = judged;
        let steps: Vec<String> = playbook.steps.iter().map(|action| format!("{action} on {node}")).collect();
        let (verify, tells) = (&playbook.verify, playbook.only_tells());
        let (disruptive, fleet) = (&self.settings.disruptive, elsewhere.disruptions);
        let wanted = Wanted { cluster: &self.id, node, playbook, disruptive, fleet };
        let limits = || self.ledger.room(&wanted, now).text;
        let success = || {
            let (words, within, steady_for) = (verify.words(node), Human(verify.within), Human(verify.steady_for));
            format!("{words} is gone within {within} after the step, and stays away for {steady_for}")
        };
        Plan {
            playbook: playbook.name.clone(),
            node: node.clone(),
            called_for,
            limits: if tells { "once while what calls for it is open".to_owned() } else { limits() },
            verify: if tells { "nothing to verify: it changes nothing".to_owned() } else { success() },
            fingerprint: fingerprint(&playbook.name, node, &steps, judgement),
            class: playbook.class(),
            steps,
            judgement: judgement.clone(),
        }
    }
}

impl Judged {
    /// The finding that would call for it.
    pub(super) fn key(&self) -> FindingKey {
        FindingKey::about(self.playbook.when.finding, &self.node)
    }
}

/// The plan without its figures, by FNV-1a over its names: what two people compare is the same or it is not, and nobody
/// gains by a collision.
fn fingerprint(playbook: &str, node: &str, steps: &[String], judgement: &Judgement) -> String {
    let checks = |mark: char, name: &str| format!("{mark}{name}");
    let passed = judgement.passed.iter().map(|(name, _)| checks('+', name));
    let holds = judgement.holds.iter().map(|hold| checks('-', hold.check));
    let words = [playbook.to_owned(), node.to_owned()].into_iter().chain(steps.iter().cloned());
    let all: Vec<String> = words.chain(passed).chain(holds).collect();
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = all.join("\n").bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    format!("{hash:016x}")
}
