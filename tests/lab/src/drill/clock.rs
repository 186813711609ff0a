//! The clock that the lab, the call logs and the journal share, and waiting by it.
//!
//! All of them stamp in Unix milliseconds on one machine, so their times can be compared; a clock that is set during a
//! drill spoils it. Every wait has a deadline and an error that says what it waited for.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(super) type UnixMs = u64;

/// Between two looks at something that cannot wake us: a log file, a process table.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The time by the wall clock; 0 before 1970.
pub(super) fn now_ms() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Something that did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {} s for {what}", waited.as_secs())]
pub struct Late {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub waited: Duration,
}

/// Looks every 100 ms until `look` gives something, at most for `deadline`.
pub(super) fn wait<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T, Late> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(Late { what: what.to_owned(), waited: deadline });
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_is_late_says_what_for() {
        let late = wait::<()>("the moon", Duration::ZERO, || None).expect_err("it never comes");
        assert_eq!(late.to_string(), "waited 0 s for the moon");
        assert_eq!(wait("it", Duration::ZERO, || Some(1)).expect("there at once"), 1);
    }
}
