//! One rule about one subject over time: its latch, its newest evidence, or why nothing is known; and all of a cluster.

use std::time::Duration;

use crate::finding::{Rule, Verdict};
use crate::latch::{Change, Latch, Signal, Timing};
use crate::record::{FindingKey, Record};
use crate::time::{Human, Now, Tick, UnixMs};

const EARLY: &str = "seen, and not for long enough to tell: ";

pub(crate) struct Tracked {
    pub(crate) rule: &'static Rule,
    pub(crate) latch: Latch,
    /// Since when it is open, by the wall clock at the time.
    pub(crate) since: UnixMs,
    /// The newest evidence.
    pub(crate) text: String,
    /// Why the last verdict was no verdict.
    pub(crate) unknown: Option<String>,
    /// Since when nothing has been known.
    unknown_since: Option<Tick>,
    /// What was last known before it began to appear is that it was clear.
    was_clear: bool,
}

impl Tracked {
    pub(crate) fn new(rule: &'static Rule) -> Tracked {
        Tracked {
            rule,
            latch: Latch::default(),
            since: UnixMs::default(),
            text: String::new(),
            unknown: None,
            unknown_since: None,
            was_clear: false,
        }
    }

    /// Nothing has been known for so long.
    pub(crate) fn unknown_for(&self, now: Tick) -> Duration {
        self.unknown_since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Why nothing can be told of it. What appears in what was seen clear may turn out to be a blip, and is none until it
    /// opens. What was there at the first look, or at the first after the dark, is unknown until then.
    pub(crate) fn untold(&self) -> Option<String> {
        let early =
            || (!self.was_clear && self.latch.pending_since().is_some()).then(|| format!("{EARLY}{}", self.text));
        self.unknown.clone().or_else(early)
    }

    /// It is open, or may be soon, or nothing is known of it.
    pub(crate) fn may_last(&self) -> bool {
        self.latch.open_since().or(self.latch.pending_since()).is_some() || self.unknown.is_some()
    }

    /// Takes a verdict; says whether the finding opened or closed.
    pub(crate) fn take(&mut self, key: &FindingKey, verdict: Verdict, timing: Timing, now: Now) -> Option<Record> {
        let (signal, unknown) = match verdict {
            Verdict::Raised(text) => {
                self.text = text;
                (Signal::Raised, None)
            }
            Verdict::Clear => (Signal::Clear, None),
            Verdict::Unknown(why) => (Signal::Unknown, Some(why)),
        };
        self.unknown_since = unknown.as_ref().map(|_| self.unknown_since.unwrap_or(now.mono));
        self.unknown = unknown;
        match signal {
            Signal::Clear => self.was_clear = true,
            Signal::Unknown => self.was_clear = false,
            Signal::Raised => {}
        }
        match self.latch.update(signal, timing, now.mono)? {
            Change::Opened => {
                let since = self.latch.open_since().unwrap_or(now.mono);
                self.since = now.wall.before(now.mono.since(since));
                Some(Record::Finding { key: key.clone(), opened: true, text: self.text.clone() })
            }
            Change::Closed => {
                let text = format!("after {}", Human(now.wall.since(self.since)));
                Some(Record::Finding { key: key.clone(), opened: false, text })
            }
        }
    }
}

/// Every rule with every subject of a cluster. It never grows, and is judged as a whole at every poll.
#[derive(Default)]
pub(crate) struct Tracks {
    /// From the ground up.
    all: Vec<(FindingKey, Tracked)>,
    /// The places of them in the order of their keys.
    by_key: Vec<usize>,
}

impl Tracks {
    /// All of these, from the ground up.
    pub(crate) fn new(all: Vec<(FindingKey, Tracked)>) -> Tracks {
        let mut by_key: Vec<(FindingKey, usize)> = all.iter().map(|(key, _)| key.clone()).zip(0..).collect();
        by_key.sort();
        Tracks { all, by_key: by_key.into_iter().map(|(_, place)| place).collect() }
    }

    pub(crate) fn get(&self, key: &FindingKey) -> Option<&Tracked> {
        let found = self.by_key.binary_search_by(|&place| self.all.get(place).map(|(known, _)| known).cmp(&Some(key)));
        let place = self.by_key.get(found.ok()?)?;
        self.all.get(*place).map(|(_, tracked)| tracked)
    }

    /// In the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&FindingKey, &Tracked)> {
        self.by_key.iter().filter_map(|&place| self.all.get(place)).map(|(key, tracked)| (key, tracked))
    }

    /// In no order that means anything.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Tracked> {
        self.all.iter().map(|(_, tracked)| tracked)
    }

    /// From the ground up.
    pub(crate) fn ground_up(&mut self) -> impl Iterator<Item = (&FindingKey, &mut Tracked)> {
        self.all.iter_mut().map(|(key, tracked)| (&*key, tracked))
    }
}
