//! Mode ask: what nothing but a person's word holds is proposed, and done when that word comes in time.
//!
//! One proposal a cluster at a time: the first in the order in which cases would be chosen. It is no reservation and holds nothing up: a recovery that somebody asks for meanwhile
//! goes its own way, and where it is the same one the proposal is over. An approval is good once, for the run that it names,
//! while that waits; then every guard and limit is judged again on fresh probes, as for any run. A pause that came after the
//! proposal holds it. Left out: how people hear of it (the journal's story, the status).

use std::collections::BTreeMap;
use std::time::Duration;

use super::Cluster;
use super::decide::Judged;
use crate::check::Lift;
use crate::command::{Person, Preview, Recover, Reply};
use crate::event::Ready;
use crate::observation::NodeName;
use crate::record::{Batch, Order, Record, RunEnd};
use crate::run::Run;
use crate::status;
use crate::time::{Human, Now, Tick};
use crate::view::Elsewhere;

/// A proposal waits so long.
const PROPOSED_FOR: Duration = Duration::from_secs(30 * 60);

/// One that nobody approved is not made again for so long.
const QUIET_FOR: Duration = Duration::from_secs(60 * 60);

/// What is proposed, and what is not to be for a while: one entry a playbook and node at most.
#[derive(Default)]
pub(super) struct Proposals {
    current: Option<Proposal>,
    quiet: BTreeMap<(String, NodeName), Tick>,
}

#[derive(Clone)]
struct Proposal {
    run: String,
    playbook: String,
    node: NodeName,
    since: Tick,
    until: Tick,
}

impl Cluster {
    /// Proposes the first case that only an approval is missing for; ends a proposal whose time or reason is over, or that
    /// another case comes before: advice that nobody answers does not keep an outage's cure from being proposed.
    pub(super) fn propose(&mut self, judged: &[Judged], now: Now, batch: &mut Batch) {
        if let Some(proposal) = &self.proposals.current {
            let case = |one: &Judged| one.playbook.name == proposal.playbook && one.node == proposal.node;
            let free = |one: &Judged| self.may_be_proposed(one, now);
            let why = match (judged.iter().position(case), judged.iter().position(free)) {
                (None, _) => "what called for it is gone".to_owned(),
                _ if now.mono >= proposal.until => format!("nobody approved it within {}", Human(PROPOSED_FOR)),
                (Some(place), Some(first)) if first < place => "what comes before it is proposed instead".to_owned(),
                _ => return,
            };
            let key = (proposal.playbook.clone(), proposal.node.clone());
            let text = format!("nothing was reserved or started: {why}");
            batch.records.push(Record::Run { run: proposal.run.clone(), state: RunEnd::Withdrawn, text, left: None });
            if now.mono >= proposal.until {
                self.proposals.quiet.insert(key, now.mono + QUIET_FOR);
            }
            self.proposals.current = None;
        }
        self.proposals.quiet.retain(|_, until| *until > now.mono);
        let Some(chosen) = judged.iter().find(|one| self.may_be_proposed(one, now)) else { return };
        let (playbook, node) = (chosen.playbook.name.clone(), chosen.node.clone());
        let run = self.next_run();
        let text =
            format!("proposed for {}; it starts when a person approves it: defib approve {run}", Human(PROPOSED_FOR));
        let announced = Record::Announced { run: run.clone(), playbook: playbook.clone(), node: node.clone(), text };
        batch.records.push(announced);
        let (since, until) = (now.mono, now.mono + PROPOSED_FOR);
        self.proposals.current = Some(Proposal { run, playbook, node, since, until });
    }

    /// Only an approval is missing for it, and nobody let the same pass lately.
    fn may_be_proposed(&self, one: &Judged, now: Now) -> bool {
        let quiet = self.proposals.quiet.get(&(one.playbook.name.clone(), one.node.clone()));
        quiet.is_none_or(|until| *until <= now.mono)
            && matches!(one.judgement.holds.as_slice(), [hold] if hold.lifts == Lift::Approval)
    }

    /// A run is begun that does what is proposed: nobody needs to approve that any more.
    pub(super) fn no_longer_proposed(&mut self, run: &Run, batch: &mut Batch) {
        if let Some(same) = self.proposals.current.take_if(|one| run.is_for(&one.playbook, &one.node)) {
            let text = format!("nothing was reserved or started: {} does the same", run.id);
            batch.records.push(Record::Run { run: same.run, state: RunEnd::Withdrawn, text, left: None });
        }
    }

    /// What waits for an approval.
    pub(super) fn proposed(&self, now: Now) -> Option<status::Proposed> {
        let proposal = self.proposals.current.as_ref().filter(|one| now.mono < one.until)?;
        Some(status::Proposed {
            run: proposal.run.clone(),
            playbook: proposal.playbook.clone(),
            node: proposal.node.clone(),
            until: now.wall.after(proposal.until.since(now.mono)),
        })
    }

    /// A person approves a proposal; none: the answer waits for the batch.
    #[expect(clippy::too_many_arguments, reason = "what a poll hands on, and the word")]
    pub(super) fn approve(
        &mut self,
        id: u64,
        run: &str,
        by: String,
        now: Now,
        elsewhere: Elsewhere,
        batch: &mut Batch,
        ready: &mut Ready,
    ) -> Option<Reply> {
        // The second word is for the same run.
        if self.run.as_ref().is_some_and(|under_way| under_way.id == run) {
            return Some(Reply::Started { run: run.to_owned() });
        }
        let waiting = |one: &&Proposal| one.run == run && now.mono < one.until;
        let Some(proposal) = self.proposals.current.as_ref().filter(waiting).cloned() else {
            let text = format!("{run} does not wait for an approval: it is over, or was never proposed");
            return Some(Reply::Refused(text));
        };
        let (waive_for, pass_limits, by_name) = (false, false, false);
        let person = Person { by: by.clone(), since: proposal.since, waive_for, pass_limits, by_name };
        let wish = Recover {
            cluster: self.id.clone(),
            playbook: Some(proposal.playbook.clone()),
            node: Some(proposal.node.clone()),
            ..Recover::default()
        };
        let wished = self.wished(&wish, &person, now, elsewhere);
        let Some(chosen) = wished.first().filter(|one| one.plan.would()) else {
            let plans = wished.into_iter().map(|one| one.plan).collect();
            return Some(Reply::Held(Preview { cluster: self.id.clone(), plans }));
        };
        self.proposals.current = None;
        let run = self.begin(proposal.run, &chosen.judged, Some(person), now, batch, ready);
        let (waive_for, pass_limits) = (false, false);
        let order = Order::Recover {
            run: run.clone(),
            playbook: proposal.playbook,
            node: proposal.node,
            waive_for,
            pass_limits,
        };
        batch.records.push(Record::Command { by, order });
        self.answer_when_stored(batch.id, id, Reply::Started { run });
        None
    }
}
