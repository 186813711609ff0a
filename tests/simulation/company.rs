//! One cluster and the programs that watch it: one, or two that know nothing of each other (two operators' hosts; a second
//! one started by mistake), each with a journal, limits and a network of its own.
//!
//! There is one model; it is handed to whichever program comes next. Each keeps every invariant by itself; what must hold of
//! both together is judged here. Left out: two programs on one journal, which the journal's lock refuses.

use std::time::Duration;

use defib::model::Model;
use defib_engine::settings::Settings;
use defib_engine::time::Tick;

use crate::invariants::Violation;
use crate::play::{Entry, Play};

/// The programs' plays, and who has the model.
pub(crate) struct Company {
    plays: Vec<Play>,
    holder: usize,
    /// Every deed that took a member down: by whom, where, when.
    taken: Vec<(usize, String, Tick)>,
}

/// A machine that was taken down is back, or will not be, after so long.
const BACK_WITHIN: Duration = Duration::from_secs(600);

impl Company {
    /// Each with its settings; the first has the model.
    pub(crate) fn new(first: Play, second: Option<Play>) -> Company {
        Company { plays: std::iter::once(first).chain(second).collect(), holder: 0, taken: Vec::new() }
    }

    /// The cluster as it is.
    pub(crate) fn model(&self) -> &Model {
        &self.plays[self.holder].world.model
    }

    /// The program with this number, with the model in its hands.
    pub(crate) fn of(&mut self, number: usize) -> &mut Play {
        if number != self.holder {
            let (low, high) = self.plays.split_at_mut(number.max(self.holder));
            let (one, other) = (&mut low[number.min(self.holder)], &mut high[0]);
            std::mem::swap(&mut one.world.model, &mut other.world.model);
            self.holder = number;
        }
        &mut self.plays[number]
    }

    /// The time of the cluster.
    pub(crate) fn now(&self) -> Tick {
        self.plays[self.holder].now().mono
    }

    /// What happened to a program since this was asked last.
    pub(crate) fn take_story(&mut self, number: usize) -> Vec<(Tick, Entry)> {
        std::mem::take(&mut self.plays[number].story)
    }

    /// Plays what comes next to any of them, at most up to `end`; false when `end` is reached.
    pub(crate) fn turn(&mut self, end: Tick) -> bool {
        let next = |number: &usize| self.plays[*number].next().unwrap_or(Tick(u64::MAX));
        if let Some(number) = (0..self.plays.len()).min_by_key(next).filter(|number| next(number) <= end) {
            return self.of(number).turn(end) || self.plays.len() > 1;
        }
        for number in 0..self.plays.len() {
            self.of(number).turn(end);
        }
        false
    }

    /// What both did together: whoever takes a member down can see what the other took down a while ago.
    pub(crate) fn judge(&mut self, number: usize, entry: &Entry, at: Tick, settings: &Settings) -> Vec<Violation> {
        let Entry::Started(deed) = entry else { return Vec::new() };
        if !deed.action.takes_etcd_down() {
            return Vec::new();
        }
        let model = self.model();
        let serves = |name: &String| model.etcd.serves(name);
        let without = model.nodes.keys().filter(|name| **name != deed.node && serves(name)).count();
        let quorum = settings.clusters.values().map(|known| known.nodes.len()).sum::<usize>() / 2 + 1;
        let others = self.taken.iter().filter(|(by, node, taken)| {
            *by != number && *node != deed.node && at.since(*taken) < BACK_WITHIN && !serves(node)
        });
        let text = |(by, node, taken): &(usize, String, Tick)| {
            let ago = at.since(*taken);
            format!(
                "{} takes {} down, {ago:?} after program {by} took {node} down, which does not serve yet",
                deed.id, deed.node
            )
        };
        let found = others.filter(|_| without < quorum && serves(&deed.node)).map(|other| ("together", text(other)));
        let found = found.collect();
        self.taken.push((number, deed.node.clone(), at));
        found
    }
}
