//! Time as the engine knows it: two readings that the caller hands in, so that every decision can be replayed.
//!
//! The monotonic [`Tick`] orders and measures; the wall clock [`UnixMs`] only stamps what outlives the process.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Milliseconds on a clock that never goes back, counted from wherever the caller started counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

impl Tick {
    /// The time that passed since `earlier`; zero when `earlier` lies ahead.
    #[must_use]
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Tick {
    type Output = Tick;

    fn add(self, duration: Duration) -> Tick {
        Tick(self.0.saturating_add(millis(duration)))
    }
}

impl Sub<Duration> for Tick {
    type Output = Tick;

    fn sub(self, duration: Duration) -> Tick {
        Tick(self.0.saturating_sub(millis(duration)))
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z by a wall clock, which may jump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// This time moved back by `duration`.
    #[must_use]
    pub fn before(self, duration: Duration) -> UnixMs {
        UnixMs(self.0.saturating_sub_unsigned(millis(duration)))
    }

    /// This time moved ahead by `duration`.
    #[must_use]
    pub fn after(self, duration: Duration) -> UnixMs {
        UnixMs(self.0.saturating_add_unsigned(millis(duration)))
    }

    /// The time that passed since `earlier`; zero when `earlier` lies ahead.
    #[must_use]
    pub fn since(self, earlier: UnixMs) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Both readings, taken together by the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Orders and measures.
    pub mono: Tick,
    /// Stamps what is written down.
    pub wall: UnixMs,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A duration as people read it: `850ms`, `4.2s`, `2m40s`, `3h05m`.
#[derive(Clone, Copy, Debug)]
pub struct Human(pub Duration);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.as_secs();
        match whole {
            0 => write!(f, "{}ms", self.0.as_millis()),
            1..10 if self.0.subsec_millis() >= 100 => write!(f, "{}.{}s", whole, self.0.subsec_millis() / 100),
            1..60 => write!(f, "{whole}s"),
            60..3600 if whole.is_multiple_of(60) => write!(f, "{}m", whole / 60),
            60..3600 => write!(f, "{}m{:02}s", whole / 60, whole % 60),
            _ if whole % 3600 < 60 => write!(f, "{}h", whole / 3600),
            _ => write!(f, "{}h{:02}m", whole / 3600, whole % 3600 / 60),
        }
    }
}
