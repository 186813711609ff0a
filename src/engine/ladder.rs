//! Ladders: which playbooks did not cure whom, and what follows from it.
//!
//! A verification that failed leads to the next rung, which is a playbook like any other: it is judged by every guard and
//! limit again. A rung below one that may run waits for it; where no rung is left, a person must look before the ladder is
//! climbed again. A playbook that only tells has told of a patient once it ran there. All of it ends with the finding, or
//! with a person's acknowledgement, and outlives a restart of defib by what the runs' ends say. Left out: what a single playbook does that has no ladder, for it runs again as often as its limits allow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::check::{Hold, Lift};
use crate::observation::NodeName;
use crate::playbook::Playbook;
use crate::record::{FindingKey, Left};

/// What failed, on whom, and the finding that it left open: at most one entry a playbook and node.
#[derive(Debug, Default)]
pub(crate) struct Ladders {
    failed: BTreeMap<(String, NodeName), BTreeSet<FindingKey>>,
    /// What an earlier process left, as long as none of it was seen to be open.
    remembered: BTreeMap<(String, NodeName), BTreeSet<FindingKey>>,
}

/// Whether it is a playbook's turn.
pub(crate) enum Turn {
    /// Yes.
    Its,
    /// It is a rung, and none below it has failed: nothing calls for it.
    NotYet(Hold),
    /// It has failed: what follows.
    Over(Hold),
}

impl Ladders {
    /// With what earlier processes left.
    pub(crate) fn restored(left: Vec<Left>) -> Ladders {
        let remembered = left.into_iter().map(|left| ((left.playbook, left.node), left.findings)).collect();
        Ladders { failed: BTreeMap::new(), remembered }
    }

    /// A verification failed; what it left.
    pub(crate) fn fail(&mut self, playbook: &Playbook, node: &NodeName) -> Left {
        self.leave(playbook, node, playbook.verify.keys(node).collect())
    }

    /// A playbook that changes nothing has run; of what it told.
    pub(crate) fn told(&mut self, playbook: &Playbook, node: &NodeName) -> Left {
        self.leave(playbook, node, BTreeSet::from([FindingKey::about(playbook.when.finding, node)]))
    }

    fn leave(&mut self, playbook: &Playbook, node: &NodeName, findings: BTreeSet<FindingKey>) -> Left {
        self.failed.insert((playbook.name.clone(), node.clone()), findings.clone());
        Left { playbook: playbook.name.clone(), node: node.clone(), findings }
    }

    /// Forgets what was left open and is closed. What an earlier process left is kept besides for as long as it `may_last`:
    /// this one may not have seen it yet.
    pub(crate) fn keep_open(&mut self, open: impl Fn(&FindingKey) -> bool, may_last: impl Fn(&FindingKey) -> bool) {
        self.remembered.retain(|key, left| {
            let seen = left.iter().any(&open);
            if seen {
                self.failed.entry(key.clone()).or_insert_with(|| left.clone());
            }
            !seen && left.iter().any(&may_last)
        });
        self.failed.retain(|_, left| left.iter().any(&open));
    }

    /// A person has looked at a ladder on a node; false where nothing of it failed there.
    pub(crate) fn acknowledge(&mut self, playbook: &Playbook, node: &NodeName) -> bool {
        let count = |ladders: &Ladders| ladders.failed.len() + ladders.remembered.len();
        let before = count(self);
        let answered = FindingKey::about(playbook.when.finding, node);
        for left in [&mut self.failed, &mut self.remembered] {
            left.retain(|(_, patient), left| patient != node || !left.contains(&answered));
        }
        count(self) < before
    }

    /// Whether it is this playbook's turn on this node; `armed` says which playbooks may run at all.
    pub(crate) fn turn(
        &self,
        playbooks: &[Arc<Playbook>],
        playbook: &Playbook,
        node: &NodeName,
        armed: impl Fn(&str) -> bool,
    ) -> Turn {
        let hold = |text: String, lifts: Lift| Hold { check: "when", text, lifts };
        let failed = |name: &str| self.failed.contains_key(&(name.to_owned(), node.clone()));
        let name = playbook.name.as_str();
        let mut below = playbooks.iter().filter(|one| one.otherwise.as_deref() == Some(name)).peekable();
        let lowest = below.peek().map(|one| one.name.clone());
        if let Some(lower) = lowest.as_deref().filter(|_| !below.any(|one| failed(&one.name))) {
            return Turn::NotYet(hold(format!("it follows {lower}, which has not failed on {node}"), Lift::Patient));
        }
        if !failed(name) {
            return Turn::Its;
        }
        if playbook.only_tells() {
            let text = format!("it has told of {node} since {} opened", playbook.when.finding.name);
            return Turn::Over(hold(text, Lift::Clears(playbook.when.finding.name)));
        }
        let exhausted = || format!("it did not cure {node}, and no rung of its ladder is left");
        match playbook.otherwise.as_deref().filter(|next| playbooks.iter().any(|one| one.name == *next)) {
            // A ladder that a person does not allow to be climbed is none.
            Some(next) if !armed(next) => Turn::Its,
            Some(next) if failed(next) => Turn::Over(hold(exhausted(), Lift::Ack)),
            Some(next) => Turn::Over(hold(format!("it did not cure {node}; {next} follows"), Lift::Patient)),
            None if lowest.is_some() => Turn::Over(hold(exhausted(), Lift::Ack)),
            None => Turn::Its,
        }
    }
}
