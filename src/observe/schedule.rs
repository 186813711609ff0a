//! When to ask: a cadence for each probe, spread so that they do not all ask at once. Pure: time is an argument.
//!
//! Each round comes one interval after the round before, less a little jitter, which keeps a fleet's probes from falling
//! into step and never makes one rarer than its interval. The first round comes within a fifth of the interval. A round
//! that could not be asked in time is not made up for. The same seed gives the same times.

use std::collections::BTreeSet;
use std::time::Duration;

use defib_engine::time::Tick;

/// A round may come earlier than its interval by this part of it.
const JITTER: u32 = 10;

/// The first round comes within this part of the interval.
const FIRST: u32 = 5;

/// The rounds of a fixed number of probes, each named by its place in the list.
#[derive(Clone, Debug)]
pub struct Schedule {
    every: Vec<Duration>,
    due: Vec<Tick>,
    order: BTreeSet<(Tick, usize)>,
    random: u64,
}

impl Schedule {
    /// One probe for each interval; `now` is when the first round may begin.
    #[must_use]
    pub fn new(every: Vec<Duration>, seed: u64, now: Tick) -> Schedule {
        let mut schedule = Schedule { due: Vec::new(), every, order: BTreeSet::new(), random: seed };
        for at in 0..schedule.every.len() {
            let due = now + schedule.part(schedule.every[at] / FIRST);
            schedule.due.push(due);
            schedule.order.insert((due, at));
        }
        schedule
    }

    /// When the next round of any probe is due; none when there is no probe.
    #[must_use]
    pub fn next_due(&self) -> Option<Tick> {
        self.order.first().map(|(due, _)| *due)
    }

    /// A probe whose round is due, if there is one; its next round is set.
    pub fn take_due(&mut self, now: Tick) -> Option<usize> {
        let (_, at) = *self.order.first().filter(|(due, _)| *due <= now)?;
        let every = self.every[at];
        let early = self.part(every / JITTER);
        self.put(at, now + every.saturating_sub(early));
        Some(at)
    }

    /// Brings a probe's next round forward to `now`.
    pub fn hasten(&mut self, at: usize, now: Tick) {
        if self.due.get(at).is_some_and(|due| *due > now) {
            self.put(at, now);
        }
    }

    /// Puts a probe's next round off until `until`; one that is due later anyway stays.
    pub fn put_off(&mut self, at: usize, until: Tick) {
        if self.due.get(at).is_some_and(|due| *due < until) {
            self.put(at, until);
        }
    }

    fn put(&mut self, at: usize, due: Tick) {
        self.order.remove(&(self.due[at], at));
        self.due[at] = due;
        self.order.insert((due, at));
    }

    /// From zero up to `whole`, by the next number of a splitmix64 sequence.
    fn part(&mut self, whole: Duration) -> Duration {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let whole_ms = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX - 1);
        Duration::from_millis(mixed % (whole_ms + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times of every round until `end`, by a caller that always comes in time.
    fn rounds(seed: u64, end: Tick) -> Vec<(Tick, usize)> {
        let every = vec![Duration::from_secs(1), Duration::from_secs(5)];
        let mut schedule = Schedule::new(every, seed, Tick(0));
        let mut rounds = Vec::new();
        while let Some(now) = schedule.next_due().filter(|due| *due < end) {
            while let Some(at) = schedule.take_due(now) {
                rounds.push((now, at));
            }
        }
        rounds
    }

    #[test]
    fn keeps_the_cadence_with_jitter() {
        let rounds = rounds(7, Tick(60_000));
        for (probe, every_ms) in [(0, 1_000), (1, 5_000)] {
            let times: Vec<u64> = rounds.iter().filter(|(_, at)| *at == probe).map(|(tick, _)| tick.0).collect();
            assert!(times[0] <= every_ms / 5);
            let gaps: BTreeSet<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(gaps.iter().all(|gap| (every_ms * 9 / 10..=every_ms).contains(gap)), "{gaps:?}");
            assert!(gaps.len() > 3, "no jitter in {gaps:?}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_times() {
        assert_eq!(rounds(7, Tick(20_000)), rounds(7, Tick(20_000)));
        assert_ne!(rounds(7, Tick(20_000)), rounds(8, Tick(20_000)));
    }

    #[test]
    fn missed_rounds_are_not_made_up_for() {
        let mut schedule = Schedule::new(vec![Duration::from_secs(1)], 1, Tick(0));
        let late = Tick(60_000);
        assert_eq!(schedule.take_due(late), Some(0));
        assert_eq!(schedule.take_due(late), None);
        assert!(schedule.next_due().is_some_and(|due| due > late));
    }

    #[test]
    fn hastening_brings_forward_and_never_puts_off() {
        let mut schedule = Schedule::new(vec![Duration::from_secs(5); 2], 1, Tick(0));
        while schedule.take_due(Tick(1_000)).is_some() {}
        schedule.hasten(1, Tick(1_200));
        assert_eq!(schedule.next_due(), Some(Tick(1_200)));
        schedule.hasten(1, Tick(1_500));
        assert_eq!(schedule.next_due(), Some(Tick(1_200)));
        schedule.hasten(9, Tick(1_500));
    }

    #[test]
    fn putting_off_never_brings_forward() {
        let mut schedule = Schedule::new(vec![Duration::from_secs(5); 2], 1, Tick(0));
        while schedule.take_due(Tick(1_000)).is_some() {}
        let due = schedule.next_due();
        schedule.put_off(0, Tick(1_000));
        schedule.put_off(9, Tick(90_000));
        assert_eq!(schedule.next_due(), due);
        schedule.put_off(0, Tick(60_000));
        schedule.put_off(1, Tick(70_000));
        assert_eq!(schedule.next_due(), Some(Tick(60_000)));
    }

    #[test]
    fn nothing_to_ask_is_never_due() {
        let mut schedule = Schedule::new(Vec::new(), 1, Tick(0));
        assert_eq!(schedule.next_due(), None);
        assert_eq!(schedule.take_due(Tick(9)), None);
    }
}
