//! How late our own timers run: the one measure of whether it is we who are slow. Pure: time is an argument.
//!
//! The worst of the last few seconds counts, so that one stall still stretches the deadlines that it made wrong.

use std::time::Duration;

use defib_engine::time::Tick;

/// A timer that was late is remembered for so long.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Less is the grain of the timers themselves.
const GRAIN: Duration = Duration::from_millis(20);

/// The latest timer of the last seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lateness {
    worst: Duration,
    seen: Tick,
}

impl Lateness {
    /// A timer that was set for `due` fired at `now`.
    pub fn fired(&mut self, due: Tick, now: Tick) {
        let late = now.since(due);
        if late >= self.worst || now.since(self.seen) > REMEMBERED {
            (self.worst, self.seen) = (late, now);
        }
    }

    /// How late timers ran lately; zero while they are as good as timers are.
    #[must_use]
    pub fn now(&self, now: Tick) -> Duration {
        if self.worst < GRAIN || now.since(self.seen) > REMEMBERED { Duration::ZERO } else { self.worst }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts_until_it_is_forgotten() {
        let mut lateness = Lateness::default();
        lateness.fired(Tick(1_000), Tick(1_003));
        assert_eq!(lateness.now(Tick(1_003)), Duration::ZERO, "the grain of a timer");
        lateness.fired(Tick(2_000), Tick(2_400));
        lateness.fired(Tick(3_000), Tick(3_100));
        assert_eq!(lateness.now(Tick(3_100)), Duration::from_millis(400));
        assert_eq!(lateness.now(Tick(7_500)), Duration::ZERO);
        lateness.fired(Tick(8_000), Tick(8_050));
        assert_eq!(lateness.now(Tick(8_050)), Duration::from_millis(50));
    }
}
