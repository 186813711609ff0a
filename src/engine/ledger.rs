//! What was reserved, and how much room the limits leave: sliding windows over the durable reservations.
//!
//! A reservation is spent from the moment it is written, whatever becomes of its step: done, failed, withdrawn or unknown.
//! No jump of a clock refills a window early while the process runs: what it reserved ages by the monotonic clock; what an
//! earlier one reserved ages by the wall clock at opening, and from there by the monotonic one. A stamp that lies in the
//! future when the ledger is opened counts as made then. A clock that was put forward while no process ran is believed.
//! Left out: the file (that is `journal`).

use std::time::Duration;

use crate::observation::{ClusterId, NodeName};
use crate::playbook::{Limit, Limits};
use crate::time::{Human, Now, Tick, UnixMs};

/// One step that may hurt, as it was reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// In which cluster.
    pub cluster: ClusterId,
    /// On which node.
    pub node: NodeName,
    /// By which playbook.
    pub playbook: String,
    /// By which run; several steps of one run count once.
    pub run: String,
    /// When, by the wall clock.
    pub at: UnixMs,
    /// When, by the monotonic clock, where this process reserved it.
    pub made: Option<Tick>,
}

/// All reservations that a limit can still see.
#[derive(Clone, Debug)]
pub struct Ledger {
    rows: Vec<Reservation>,
    /// Both clocks when the ledger was opened.
    opened: Now,
}

/// What the limits say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// In words, with figures.
    pub text: String,
    /// There is no room before this time has passed; none: there is room.
    pub over: Option<Duration>,
}

/// Reservations older than this are forgotten: no limit may have a longer window.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(30 * 24 * 3600);

impl Ledger {
    /// Opens it with what earlier processes reserved.
    #[must_use]
    pub fn open(rows: Vec<Reservation>, now: Now) -> Ledger {
        let made_now =
            |row: Reservation| if row.at > now.wall { Reservation { made: Some(now.mono), ..row } } else { row };
        Ledger { rows: rows.into_iter().map(made_now).collect(), opened: now }
    }

    /// Adds what is being reserved. It counts at once, durable or not.
    pub fn reserve(&mut self, reservation: Reservation, now: Now) {
        let ages: Vec<Duration> = self.rows.iter().map(|row| self.age(row, now)).collect();
        let mut ages = ages.into_iter();
        self.rows.retain(|_| ages.next().is_none_or(|age| age <= LONGEST_WINDOW));
        self.rows.push(reservation);
    }

    /// The stamp for a reservation made at `now`: never earlier than the monotonic clock allows, so that a wall clock
    /// that was set back does not make it look old to a later process.
    #[must_use]
    pub fn stamp(&self, now: Now) -> UnixMs {
        now.wall.max(self.steady_wall(now))
    }

    fn steady_wall(&self, now: Now) -> UnixMs {
        self.opened.wall.after(now.mono.since(self.opened.mono))
    }

    fn age(&self, row: &Reservation, now: Now) -> Duration {
        if let Some(made) = row.made {
            return now.mono.since(made);
        }
        now.wall.min(self.steady_wall(now)).since(row.at)
    }

    /// How long ago an earlier process last reserved a step in this cluster.
    #[must_use]
    pub fn inherited(&self, cluster: &ClusterId, now: Now) -> Option<Duration> {
        // What this process reserves it reserves after it opened the ledger.
        let earlier = |row: &&Reservation| row.made.is_none_or(|made| made == self.opened.mono);
        self.rows.iter().filter(|row| row.cluster == *cluster).filter(earlier).map(|row| self.age(row, now)).min()
    }

    /// What these limits leave for one more run.
    #[must_use]
    pub fn room(&self, cluster: &ClusterId, node: &NodeName, playbook: &str, limits: &Limits, now: Now) -> Room {
        let here = |row: &&Reservation| row.cluster == *cluster;
        let on_node = |row: &&Reservation| row.node == *node;
        let of_playbook = |row: &&Reservation| row.playbook == playbook;
        let rows = || self.rows.iter().filter(here);

        let node_window = self.window(rows().filter(on_node).filter(of_playbook), limits.per_node, now);
        let cluster_window = self.window(rows().filter(of_playbook), limits.per_cluster, now);
        let last = rows().filter(on_node).map(|row| self.age(row, now)).min();
        let cooldown = last.and_then(|age| limits.cooldown.checked_sub(age)).filter(|left| !left.is_zero());

        let mut text = format!("{node} {node_window}, {cluster} {cluster_window}");
        if let Some(left) = cooldown {
            text.push_str(&format!(", cooldown of {node} {} of {} left", Human(left), Human(limits.cooldown)));
        }
        Room { text, over: [node_window.full_for, cluster_window.full_for, cooldown].into_iter().flatten().max() }
    }

    fn window<'a>(&self, rows: impl Iterator<Item = &'a Reservation>, limit: Limit, now: Now) -> Window {
        let mut runs: Vec<(&str, Duration)> = Vec::new();
        for row in rows {
            let age = self.age(row, now);
            match runs.iter_mut().find(|(run, _)| *run == row.run) {
                Some((_, youngest)) => *youngest = (*youngest).min(age),
                None if age < limit.window => runs.push((&row.run, age)),
                None => {}
            }
        }
        let mut ages: Vec<Duration> = runs.into_iter().map(|(_, age)| age).collect();
        ages.sort_unstable();
        // Room returns when the oldest of the newest `count` leaves the window.
        let blocking = usize::try_from(limit.count).ok().and_then(|count| ages.get(count.checked_sub(1)?).copied());
        let full_for = if limit.count == 0 { Some(LONGEST_WINDOW) } else { blocking.map(|age| limit.window - age) };
        Window { used: ages.len(), limit, full_for }
    }
}

struct Window {
    used: usize,
    limit: Limit,
    full_for: Option<Duration>,
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} per {} used", self.used, self.limit.count, Human(self.limit.window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn limits() -> Limits {
        Limits {
            per_node: Limit { count: 2, window: HOUR },
            per_cluster: Limit { count: 3, window: HOUR * 6 },
            cooldown: Duration::from_secs(300),
        }
    }

    fn now(mono_s: u64, wall_s: i64) -> Now {
        Now { mono: Tick(mono_s * 1_000), wall: UnixMs(wall_s * 1_000) }
    }

    fn row(node: &str, run: &str, wall_s: i64, mono_s: Option<u64>) -> Reservation {
        Reservation {
            cluster: "c".into(),
            node: node.into(),
            playbook: "p".into(),
            run: run.into(),
            at: UnixMs(wall_s * 1_000),
            made: mono_s.map(|seconds| Tick(seconds * 1_000)),
        }
    }

    fn over(ledger: &Ledger, node: &str, at: Now) -> Option<u64> {
        ledger.room(&"c".into(), &node.into(), "p", &limits(), at).over.map(|wait| wait.as_secs())
    }

    #[test]
    fn two_in_the_window_and_the_third_waits_for_the_first_to_leave_it() {
        let rows = vec![row("n", "a", 10_000, None), row("n", "b", 11_000, None)];
        let ledger = Ledger::open(rows, now(0, 12_000));
        assert_eq!(over(&ledger, "n", now(0, 12_000)), Some(1_600));
        assert_eq!(over(&ledger, "n", now(1_599, 13_599)), Some(1));
        assert_eq!(over(&ledger, "n", now(1_600, 13_600)), None);
        assert_eq!(over(&ledger, "other", now(0, 12_000)), None);
    }

    #[test]
    fn the_cluster_has_a_window_of_its_own() {
        let rows = vec![row("1", "a", 0, None), row("2", "b", 0, None), row("3", "c", 0, None)];
        let ledger = Ledger::open(rows, now(0, 7_200));
        assert_eq!(over(&ledger, "4", now(0, 7_200)), Some(6 * 3_600 - 7_200));
    }

    #[test]
    fn a_cooldown_counts_from_any_playbook_on_the_node() {
        let mut foreign = row("n", "a", 1_000, None);
        foreign.playbook = "another".into();
        let ledger = Ledger::open(vec![foreign], now(0, 1_100));
        assert_eq!(over(&ledger, "n", now(0, 1_100)), Some(200));
    }

    #[test]
    fn no_jump_of_the_wall_clock_refills() {
        let mut ledger = Ledger::open(vec![row("n", "a", 900, None)], now(0, 1_000));
        ledger.reserve(row("n", "b", 1_000, Some(0)), now(0, 1_000));
        let a_day_ahead = now(400, 1_400 + 86_400);
        assert_eq!(over(&ledger, "n", a_day_ahead), Some(3_600 - 500), "a jump ahead is not believed");
        let a_day_back = now(400, 1_400 - 86_400);
        assert!(over(&ledger, "n", a_day_back).is_some(), "a jump back leaves it spent");
        assert_eq!(ledger.stamp(a_day_back), UnixMs(1_400_000), "and is not written down");
    }

    #[test]
    fn a_stamp_in_the_future_counts_as_new() {
        let rows = vec![row("n", "a", 99_000, None), row("n", "b", 99_000, None)];
        let ledger = Ledger::open(rows, now(0, 1_000));
        assert_eq!(over(&ledger, "n", now(0, 1_000)), Some(3_600));
        assert_eq!(over(&ledger, "n", now(600, 1_600)), Some(3_000), "and grows old from then on");
    }

    #[test]
    fn several_steps_of_one_run_count_once() {
        let rows = vec![row("n", "a", 1_000, None), row("n", "a", 1_010, None)];
        let ledger = Ledger::open(rows, now(0, 2_000));
        assert_eq!(over(&ledger, "n", now(0, 2_000)), None);
    }
}
