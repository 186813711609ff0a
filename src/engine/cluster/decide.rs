//! What could be done, and what is: every playbook judged with every patient that calls for it, and one of them chosen.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Cluster;
use crate::check::{Case, Hold, Judgement, Lift};
use crate::event::Ready;
use crate::finding::Subject;
use crate::observation::{NodeName, ProbeKind, Target};
use crate::playbook::Playbook;
use crate::record::{Batch, FindingKey};
use crate::run::{Phase, Run};
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

impl Cluster {
    /// Judges every playbook with every patient that calls for it.
    pub(super) fn judge(&self, now: Now, elsewhere: Elsewhere) -> Vec<Judged> {
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
        let pauses: Vec<_> = self.desk.pauses().collect();
        let case = Case {
            view,
            playbook,
            patient: node,
            ledger: &self.ledger,
            mode: self.mode,
            pauses: &pauses,
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
    pub(super) fn choose(&mut self, judged: &[Judged], now: Now, ready: &mut Ready) {
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
}
