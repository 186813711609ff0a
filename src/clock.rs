//! The clocks, read in one place: the engine's [`Tick`] counts from the start of the process, or, in a rehearsal, is set by
//! the loop that plays it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// None: real time.
    modelled: Option<(Hand, UnixMs)>,
}

/// Sets a model's clock.
#[derive(Clone, Copy, Debug)]
pub struct Hand(&'static AtomicU64);

impl Hand {
    /// It is this time.
    pub fn set(self, tick: Tick) {
        self.0.store(tick.0, Ordering::Relaxed);
    }
}

impl Clock {
    /// Starts counting. The origin is tick 0.
    #[must_use]
    pub fn start() -> Clock {
        Clock { origin: Instant::now(), modelled: None }
    }

    /// A model's clock: it stands at tick 0, which is `begins` by its wall clock, until its hand is set. Its eight bytes are
    /// kept for the life of the process, which rehearses once.
    #[must_use]
    pub fn modelled(begins: UnixMs) -> (Clock, Hand) {
        let hand = Hand(Box::leak(Box::new(AtomicU64::new(0))));
        (Clock { origin: Instant::now(), modelled: Some((hand, begins)) }, hand)
    }

    /// Milliseconds since the start; in a rehearsal, of its virtual time.
    #[must_use]
    pub fn tick(&self) -> Tick {
        if let Some((hand, _)) = self.modelled {
            return Tick(hand.0.load(Ordering::Relaxed));
        }
        Tick(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Both readings.
    #[must_use]
    pub fn now(&self) -> Now {
        if let Some((_, begins)) = self.modelled {
            let mono = self.tick();
            return Now { mono, wall: begins.after(Duration::from_millis(mono.0)) };
        }
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        Now { mono: self.tick(), wall: UnixMs(i64::try_from(wall).unwrap_or(i64::MAX)) }
    }

    /// The instant of a tick, for timers; of no meaning for a model's clock.
    #[must_use]
    pub fn instant(&self, tick: Tick) -> Instant {
        self.origin + Duration::from_millis(tick.0)
    }
}
