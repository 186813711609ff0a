//! Maintenance windows: times of the week in which somebody else may be at work, and nothing, or nothing disruptive, is
//! started by itself.
//!
//! They are told by the wall clock at an offset from UTC that is written out: no table of time zones, so a window that is
//! to follow summer time is two windows or is changed twice a year. A window in force is a pause that nobody asked for and
//! that ends by itself; a person who asks for a recovery within it knows. Left out: anything that happens once (`pause`).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::check::Lift;
use crate::command::{Pause, PauseKind};
use crate::playbook::ActionClass;
use crate::time::{Now, Tick, UnixMs};

const DAY_MS: i64 = 24 * 3_600 * 1_000;
/// The first of January 1970 was a Thursday; weeks begin on Monday.
const THURSDAY: i64 = 3;

/// A time of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// On which days it begins, from Monday.
    pub days: [bool; 7],
    /// How long after midnight.
    pub from: Duration,
    /// How long it lasts; more than nothing, at most a day.
    pub length: Duration,
    /// Local time minus UTC, in minutes.
    pub offset_minutes: i32,
    /// Steps of this class and worse are not started.
    pub holds: ActionClass,
    /// As it was written, such as `sat, sun 02:00 to 04:00 +01:00`.
    pub words: String,
}

impl Maintenance {
    /// What is left of it; none outside of it.
    #[must_use]
    pub fn left(&self, wall: UnixMs) -> Option<Duration> {
        let local_ms = wall.0.checked_add(i64::from(self.offset_minutes) * 60_000)?;
        let today = local_ms.div_euclid(DAY_MS);
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        // The one that began yesterday may not have ended.
        [today, today - 1].into_iter().find_map(|day| {
            let weekday = usize::try_from((day + THURSDAY).rem_euclid(7)).ok()?;
            let since_ms = local_ms - day * DAY_MS - ms(self.from);
            let left_ms = ms(self.length) - since_ms;
            let within = self.days.get(weekday).copied().unwrap_or(false) && since_ms >= 0 && left_ms > 0;
            within.then(|| Duration::from_millis(left_ms.unsigned_abs()))
        })
    }
}

/// The windows in force, by their place in the configuration.
#[derive(Debug, Default)]
pub(crate) struct InForce(BTreeMap<usize, (Pause, Tick, Tick)>);

impl InForce {
    /// Looks at the clock again.
    pub(crate) fn judge(&mut self, windows: &[Maintenance], now: Now) {
        for (index, window) in windows.iter().enumerate() {
            let Some(left) = window.left(now.wall) else {
                self.0.remove(&index);
                continue;
            };
            let known = self.0.get(&index).map(|(pause, began, _)| (pause.since, *began));
            let (since, began) = known.unwrap_or((now.wall, now.mono));
            let what = if window.holds > ActionClass::Service { "nothing disruptive starts" } else { "nothing starts" };
            let pause = Pause {
                kind: PauseKind::Window,
                by: format!("the maintenance window {}", window.words),
                reason: what.to_owned(),
                since,
                until: Some(now.wall.after(left)),
                holds: window.holds,
            };
            self.0.insert(index, (pause, began, now.mono + left));
        }
    }

    /// Those in force, with when they began, here or in the world, and what lifts them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Pause, Tick, Lift)> {
        self.0.values().map(|(pause, began, ends)| (pause, *began, Lift::At(*ends)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    /// Monday, the fifth of January 2026, 00:00 UTC.
    const MONDAY_MS: i64 = 1_767_571_200_000;

    fn window(days: &[usize], from_h: u64, length_h: u64, offset_minutes: i32) -> Maintenance {
        let mut on = [false; 7];
        days.iter().for_each(|day| on[*day] = true);
        Maintenance {
            days: on,
            from: Duration::from_secs(from_h * 3_600),
            length: Duration::from_secs(length_h * 3_600),
            offset_minutes,
            holds: ActionClass::Disruptive,
            words: String::new(),
        }
    }

    /// What is left of it, in hours, so many hours after Monday's midnight.
    fn left_h(window: &Maintenance, hours: i64) -> Option<u64> {
        window.left(UnixMs(MONDAY_MS + hours * HOUR_MS)).map(|left| left.as_secs() / 3_600)
    }

    #[test]
    fn a_window_begins_on_its_days_and_ends() {
        let monday = window(&[0], 2, 2, 0);
        assert_eq!([0, 2, 3, 4].map(|hour| left_h(&monday, hour)), [None, Some(2), Some(1), None]);
        assert_eq!(left_h(&monday, 24 + 2), None, "not on Tuesday");
        assert_eq!(left_h(&monday, 7 * 24 + 3), Some(1), "every week");
    }

    #[test]
    fn a_window_goes_on_past_midnight() {
        let sunday = window(&[6], 23, 3, 0);
        assert_eq!([-1, 0, 1, 2].map(|hour| left_h(&sunday, hour)), [Some(3), Some(2), Some(1), None]);
        assert_eq!(left_h(&window(&[0], 0, 24, 0), 23), Some(1), "a whole day");
        assert_eq!(left_h(&window(&[0], 0, 24, 0), 24), None);
    }

    #[test]
    fn an_offset_moves_it() {
        // Monday 01:00 at +02:00 is Sunday 23:00 UTC.
        let east = window(&[0], 1, 1, 120);
        assert_eq!((left_h(&east, -1), left_h(&east, 1)), (Some(1), None));
        let west = window(&[6], 20, 1, -300);
        assert_eq!(left_h(&west, 1), Some(1), "Sunday 20:00 at -05:00 is Monday 01:00 UTC");
    }

    #[test]
    fn any_clock_is_taken() {
        for wall in [i64::MIN, -1, 0, i64::MAX] {
            let _ = window(&[0, 1, 2, 3, 4, 5, 6], 0, 24, 840).left(UnixMs(wall));
        }
    }
}
