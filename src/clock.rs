//! The real clocks, read in one place: the engine's [`Tick`] counts from the start of the process.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use defib_engine::time::{Now, Tick, UnixMs};

/// A monotonic origin that observations and the driver share.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts counting. The origin is tick 0.
    #[must_use]
    pub fn start() -> Clock {
        Clock { origin: Instant::now() }
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn tick(&self) -> Tick {
        Tick(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Both readings.
    #[must_use]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        Now { mono: self.tick(), wall: UnixMs(i64::try_from(wall).unwrap_or(i64::MAX)) }
    }

    /// The instant of a tick, for timers.
    #[must_use]
    pub fn instant(&self, tick: Tick) -> Instant {
        self.origin + std::time::Duration::from_millis(tick.0)
    }
}
