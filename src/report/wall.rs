//! Wall-clock times as people read them, in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `2026-11-23T01:02:03Z`; the epoch for times before it.
#[must_use]
pub fn date_time(unix_ms: i64) -> String {
    humantime::format_rfc3339_seconds(system_time(unix_ms)).to_string()
}

/// `01:02:03Z`.
#[must_use]
pub fn time(unix_ms: i64) -> String {
    let whole = date_time(unix_ms);
    whole.split_once('T').map_or_else(|| whole.clone(), |(_, time)| time.to_owned())
}

fn system_time(unix_ms: i64) -> SystemTime {
    // The formatter's own limit is the year 9999; no honest stamp lies behind it.
    const LAST_MS: u64 = 253_402_300_799_000;
    UNIX_EPOCH + Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0).min(LAST_MS))
}
