//! The real clocks, read in one place: the engine's [`Tick`] counts from the start of the process.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use defib_engine::time::{Now, Tick, UnixMs};

use crate::journal::Boot;

/// How long the machine has been up, asleep or not, and which boot of it that is: tells what passed between two processes
/// however the wall clock was set. None where the kernel does not say.
#[must_use]
pub fn boot() -> Option<Boot> {
    static ID: OnceLock<Option<String>> = OnceLock::new();
    let read = || Some(std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned());
    let id = ID.get_or_init(read).clone()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = uptime.split(' ').next()?.parse().ok()?;
    Some(Boot { id, up: Duration::try_from_secs_f64(seconds).ok()? })
}

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
        self.origin + Duration::from_millis(tick.0)
    }
}
