//! Every duration of a finding, in one place: a verdict must hold for a while before the finding opens, and must be gone
//! for a while before it closes.
//!
//! Unknown freezes a latch: while nothing can be said, neither wait goes on, and nothing opens or closes.

use std::time::Duration;

use crate::time::Tick;

/// How long a verdict must last to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Raised for this long: open.
    pub open_after: Duration,
    /// Clear for this long: closed.
    pub close_after: Duration,
}

impl Timing {
    /// Both waits in milliseconds.
    #[must_use]
    pub const fn ms(open_after: u64, close_after: u64) -> Timing {
        Timing { open_after: Duration::from_millis(open_after), close_after: Duration::from_millis(close_after) }
    }
}

/// What a rule says at one time, without its evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The condition holds.
    Raised,
    /// It does not.
    Clear,
    /// Nothing can be said.
    Unknown,
}

/// One finding's state over time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latch {
    /// Since when it is open; the time at which the condition was first seen, not the end of the wait.
    open_since: Option<Tick>,
    /// Since when the verdict differs from the state, time without knowledge left out.
    differs_since: Option<Tick>,
    /// When the verdict was last known.
    known_at: Option<Tick>,
    /// While it is open: `open_since` moved by the time in which nothing was known.
    sure_since: Option<Tick>,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It opened.
    Opened,
    /// It closed.
    Closed,
}

impl Latch {
    /// Takes the verdict at `now`; says what changed.
    pub fn update(&mut self, signal: Signal, timing: Timing, now: Tick) -> Option<Change> {
        if signal == Signal::Unknown {
            return None;
        }
        self.skip_unknown_time(now);
        self.known_at = Some(now);
        let open = self.open_since.is_some();
        if (signal == Signal::Raised) == open {
            self.differs_since = None;
            return None;
        }
        let since = *self.differs_since.get_or_insert(now);
        let wait = if open { timing.close_after } else { timing.open_after };
        if now.since(since) < wait {
            return None;
        }
        self.differs_since = None;
        if open {
            (self.open_since, self.sure_since) = (None, None);
            Some(Change::Closed)
        } else {
            (self.open_since, self.sure_since) = (Some(since), Some(since));
            Some(Change::Opened)
        }
    }

    /// Moves running waits by the time in which nothing was known, when that was longer than the engine's own pace.
    fn skip_unknown_time(&mut self, now: Tick) {
        const PACE: Duration = Duration::from_secs(2);
        let gap = self.known_at.map_or(Duration::ZERO, |known| now.since(known));
        if gap > PACE {
            self.differs_since = self.differs_since.map(|since| since + gap);
            self.sure_since = self.sure_since.map(|since| since + gap);
        }
    }

    /// Since when it is open.
    #[must_use]
    pub fn open_since(&self) -> Option<Tick> {
        self.open_since
    }

    /// Since when it is open, the time in which nothing was known left out: what a playbook's `for` counts.
    #[must_use]
    pub fn sure_since(&self) -> Option<Tick> {
        self.sure_since
    }

    /// The verdict is raised and the wait goes on: since when.
    #[must_use]
    pub fn pending_since(&self) -> Option<Tick> {
        if self.open_since.is_none() { self.differs_since } else { None }
    }

    /// It is open, and the verdict is clear by now: since when.
    #[must_use]
    pub fn clear_since(&self) -> Option<Tick> {
        if self.open_since.is_some() { self.differs_since } else { None }
    }

    /// When a wait that goes on ends, if the verdict stays.
    #[must_use]
    pub fn wake_at(&self, timing: Timing) -> Option<Tick> {
        let wait = if self.open_since.is_some() { timing.close_after } else { timing.open_after };
        self.differs_since.map(|since| since + wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing::ms(2_000, 3_000);

    fn run(latch: &mut Latch, steps: &[(u64, Signal)]) -> Vec<(u64, Change)> {
        steps.iter().filter_map(|&(ms, signal)| Some((ms, latch.update(signal, TIMING, Tick(ms))?))).collect()
    }

    #[test]
    fn opens_after_its_wait_and_dates_back_to_the_first_sight() {
        let mut latch = Latch::default();
        let changes = run(&mut latch, &[(0, Signal::Raised), (1_000, Signal::Raised), (2_000, Signal::Raised)]);
        assert_eq!(changes, [(2_000, Change::Opened)]);
        assert_eq!(latch.open_since(), Some(Tick(0)));
    }

    #[test]
    fn an_open_one_says_since_when_it_is_clear() {
        let mut latch = Latch::default();
        run(&mut latch, &[(0, Signal::Raised), (2_000, Signal::Raised)]);
        assert_eq!(latch.clear_since(), None);
        run(&mut latch, &[(2_500, Signal::Clear), (3_000, Signal::Clear)]);
        assert_eq!((latch.clear_since(), latch.pending_since()), (Some(Tick(2_500)), None));
        run(&mut latch, &[(3_500, Signal::Raised)]);
        assert_eq!((latch.clear_since(), latch.open_since()), (None, Some(Tick(0))), "it was there all along");
        run(&mut latch, &[(4_000, Signal::Clear), (5_500, Signal::Clear), (7_000, Signal::Clear)]);
        assert_eq!((latch.clear_since(), latch.open_since()), (None, None));
    }

    #[test]
    fn a_flicker_starts_the_wait_again() {
        let mut latch = Latch::default();
        let changes = run(
            &mut latch,
            &[(0, Signal::Raised), (1_000, Signal::Clear), (2_000, Signal::Raised), (3_500, Signal::Raised)],
        );
        assert_eq!(changes, []);
    }

    #[test]
    fn unknown_freezes_both_waits() {
        let mut latch = Latch::default();
        let unknown: Vec<_> = (1..60).map(|second| (second * 1_000, Signal::Unknown)).collect();
        assert_eq!(run(&mut latch, &[(0, Signal::Raised)]), []);
        assert_eq!(run(&mut latch, &unknown), []);
        assert_eq!(run(&mut latch, &[(60_000, Signal::Raised)]), [], "the minute of ignorance does not count");
        assert_eq!(run(&mut latch, &[(62_000, Signal::Raised)]), [(62_000, Change::Opened)]);
        assert_eq!(run(&mut latch, &[(63_000, Signal::Clear)]), []);
        assert_eq!(run(&mut latch, &[(90_000, Signal::Unknown), (90_500, Signal::Clear)]), []);
    }
}
