//! What was reserved, and how much room the limits leave: sliding windows over the durable reservations.
//!
//! A reservation is spent from the moment it is written, whatever becomes of its step: done, failed, withdrawn or unknown.
//! No jump of a clock refills a window early while the process runs: everything ages by the monotonic clock. How old it
//! was when the ledger was opened is told by a clock that nobody can set, as long as the machine did not boot in between;
//! else by the wall clock, and then a stamp in the future counts as made at opening. Only a clock that was put forward
//! *and* a reboot of the machine that defib runs on make it look older than it is. Left out: the file (`journal`).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::{Ack, Kept};
use crate::finding::Subject;
use crate::observation::{ClusterId, NodeName};
use crate::playbook::{ActionClass, Limit, Playbook};
use crate::settings::Disruptive;
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
    /// How much the step can hurt.
    pub class: ActionClass,
    /// When, by the wall clock.
    pub at: UnixMs,
    /// How long ago, by a clock that nobody can set, when it was handed in; none where only the stamp tells.
    pub age: Option<Duration>,
    /// The end of its run was written down: nothing of it waits to be verified.
    pub ended: bool,
}

/// A reservation, and what it is aged by.
#[derive(Clone, Debug)]
struct Row {
    what: Reservation,
    age: Age,
    /// An earlier process made it.
    inherited: bool,
}

/// How old something is: so old at a tick; from there it ages by the monotonic clock.
#[derive(Clone, Copy, Debug)]
struct Age {
    then: Duration,
    at: Tick,
}

impl Age {
    /// What an earlier process wrote down. Where only its stamp tells, the wall clock at opening is believed, and a stamp
    /// in the future counts as made at opening.
    fn inherited(age: Option<Duration>, stamp: UnixMs, now: Now) -> Age {
        Age { then: age.unwrap_or_else(|| now.wall.since(stamp)), at: now.mono }
    }

    fn at(self, now: Now) -> Duration {
        self.then + now.mono.since(self.at)
    }
}

/// All reservations that a limit can still see.
#[derive(Clone, Debug)]
pub struct Ledger {
    rows: Vec<Row>,
    acks: BTreeMap<(String, NodeName), Age>,
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
    /// It ran so often without a lasting cure that a person must look first.
    pub exhausted: bool,
}

/// What room is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// In which cluster.
    pub cluster: &'a ClusterId,
    /// On which node.
    pub node: &'a NodeName,
    /// For which playbook.
    pub playbook: &'a Playbook,
    /// How often machines may be taken down.
    pub disruptive: &'a Disruptive,
    /// What all clusters have used of that.
    pub fleet: Used,
}

/// How much of a window is used, counted over several ledgers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Runs within it.
    pub runs: usize,
    /// It is full for so long; none: it has room.
    pub full_for: Option<Duration>,
}

impl Used {
    /// Of runs that are so old.
    #[must_use]
    pub fn of(ages: impl Iterator<Item = Duration>, limit: Limit) -> Used {
        let window = Window::of(ages.filter(|age| *age < limit.window).collect(), limit);
        Used { runs: window.used, full_for: window.full_for }
    }
}

/// One sliding window of a playbook's limits, and how much of it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitUse {
    /// The playbook.
    pub playbook: String,
    /// A node, or the cluster as a whole.
    pub subject: Subject,
    /// Runs within the window; more than `of` only where a person passed the limit.
    pub used: u32,
    /// How many it may have.
    pub of: u32,
    /// How long it is.
    pub window: Duration,
    /// It is full, and has room again then; none: it has room, or it may never have a run.
    pub room_at: Option<Tick>,
    /// It ran so often on this node without a lasting cure that a person must look first, whatever the window says.
    pub exhausted: bool,
}

impl LimitUse {
    /// How many runs it has room for.
    #[must_use]
    pub fn left(&self) -> u32 {
        if self.exhausted { 0 } else { self.of.saturating_sub(self.used) }
    }
}

/// Reservations older than this are forgotten: no limit may have a longer window.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(30 * 24 * 3600);

/// Between two disruptive steps in one cluster, whatever their playbooks and nodes.
pub const SPACING: Duration = Duration::from_secs(10 * 60);

/// A playbook that ran so often on a node within [`EXHAUSTED_WITHIN`] has not cured it.
pub const EXHAUSTED_AFTER: usize = 5;

/// See [`EXHAUSTED_AFTER`].
pub const EXHAUSTED_WITHIN: Duration = Duration::from_secs(24 * 3600);

impl Ledger {
    /// How long ago a playbook's newest run on a node was reserved; none where it had none that is still remembered.
    #[must_use]
    pub fn last_run(&self, cluster: &ClusterId, node: &NodeName, playbook: &str, now: Now) -> Option<Duration> {
        let own = |row: &&Row| row.what.cluster == *cluster && row.what.node == *node && row.what.playbook == playbook;
        self.rows.iter().filter(own).map(|row| row.age.at(now)).min()
    }

    /// Opens it with what earlier processes reserved, and with what people acknowledged.
    #[must_use]
    pub fn open(rows: Vec<Reservation>, acks: &[Kept<Ack>], now: Now) -> Ledger {
        let row = |what: Reservation| Row { age: Age::inherited(what.age, what.at, now), what, inherited: true };
        let ack = |ack: &Kept<Ack>| {
            ((ack.what.playbook.clone(), ack.what.node.clone()), Age::inherited(ack.age, ack.at, now))
        };
        Ledger { rows: rows.into_iter().map(row).collect(), acks: acks.iter().map(ack).collect(), opened: now }
    }

    /// Nothing was reserved that is still remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds what is being reserved. It counts at once, durable or not.
    pub fn reserve(&mut self, reservation: Reservation, now: Now) {
        self.rows.retain(|row| row.age.at(now) <= LONGEST_WINDOW);
        let age = Age { then: Duration::ZERO, at: now.mono };
        self.rows.push(Row { what: reservation, age, inherited: false });
    }

    /// A person has looked at a playbook on a node: what it did there until now no longer exhausts it.
    pub fn acknowledge(&mut self, playbook: String, node: NodeName, now: Now) {
        self.acks.insert((playbook, node), Age { then: Duration::ZERO, at: now.mono });
    }

    /// The stamp for a reservation made at `now`: never earlier than the monotonic clock allows, so that a wall clock
    /// that was set back does not make it look old to a later process.
    #[must_use]
    pub fn stamp(&self, now: Now) -> UnixMs {
        now.wall.max(self.opened.wall.after(now.mono.since(self.opened.mono)))
    }

    /// How long ago an earlier process last reserved a step of this class or a worse one in this cluster for a run whose end
    /// it did not write down.
    #[must_use]
    pub fn unverified(&self, cluster: &ClusterId, class: ActionClass, now: Now) -> Option<Duration> {
        let left = |row: &&Row| row.inherited && !row.what.ended && row.what.cluster == *cluster;
        self.rows.iter().filter(left).filter(|row| row.what.class >= class).map(|row| row.age.at(now)).min()
    }

    /// Within some span of [`EXHAUSTED_WITHIN`] since the last acknowledgement it ran [`EXHAUSTED_AFTER`] times. It stays
    /// so, whatever time passes, until a person acknowledges it or the runs are forgotten.
    #[must_use]
    pub fn is_exhausted(&self, cluster: &ClusterId, node: &NodeName, playbook: &str, now: Now) -> bool {
        let counts = |row: &&Row| {
            let what = &row.what;
            what.cluster == *cluster && what.node == *node && what.playbook == playbook
        };
        if self.rows.iter().filter(counts).count() < EXHAUSTED_AFTER {
            return false;
        }
        let acked = self.acks.get(&(playbook.to_owned(), node.clone())).map(|age| age.at(now));
        let mut runs: BTreeMap<&str, Duration> = BTreeMap::new();
        for row in self.rows.iter().filter(counts) {
            let age = row.age.at(now);
            if acked.is_none_or(|acked| age < acked) {
                runs.entry(&row.what.run).and_modify(|known| *known = age.min(*known)).or_insert(age);
            }
        }
        let mut ages: Vec<Duration> = runs.into_values().collect();
        ages.sort_unstable();
        ages.windows(EXHAUSTED_AFTER).any(|span| match (span.first(), span.last()) {
            (Some(youngest), Some(oldest)) => *oldest - *youngest <= EXHAUSTED_WITHIN,
            _ => false,
        })
    }

    /// How old the runs are that took a machine down, or may have.
    pub(crate) fn disruptions(&self, now: Now) -> impl Iterator<Item = Duration> {
        let disruptive = self.rows.iter().filter(|row| row.what.class >= ActionClass::Disruptive);
        youngest(disruptive, LONGEST_WINDOW, now).into_iter()
    }

    /// What the limits leave for one more run.
    #[must_use]
    pub fn room(&self, wanted: &Wanted<'_>, now: Now) -> Room {
        let Wanted { cluster, node, playbook, disruptive: caps, fleet } = *wanted;
        let limits = &playbook.limits;
        let on_node = |row: &&Row| row.what.node == *node;
        let of_playbook = |row: &&Row| row.what.playbook == playbook.name;
        let rows = || self.rows.iter().filter(|row| row.what.cluster == *cluster);

        let node_window = self.window(rows().filter(on_node).filter(of_playbook), limits.per_node, now);
        let cluster_window = self.window(rows().filter(of_playbook), limits.per_cluster, now);
        let last = rows().filter(on_node).map(|row| row.age.at(now)).min();
        let cooldown = last.and_then(|age| limits.cooldown.checked_sub(age)).filter(|left| !left.is_zero());
        let disrupts = playbook.class() >= ActionClass::Disruptive;
        let disruptive = || rows().filter(|row| row.what.class >= ActionClass::Disruptive);
        let spacing = disruptive().map(|row| row.age.at(now)).min().filter(|_| disrupts);
        let spacing = spacing.and_then(|age| SPACING.checked_sub(age)).filter(|left| !left.is_zero());

        let mut text = format!("{node} {node_window}, {cluster} {cluster_window}");
        if let Some(left) = cooldown {
            text.push_str(&format!(", cooldown of {node} {} of {} left", Human(left), Human(limits.cooldown)));
        }
        if let Some(left) = spacing {
            text.push_str(&format!(", {} of {} between disruptive steps left", Human(left), Human(SPACING)));
        }
        let machine_window = self.window(disruptive().filter(on_node), caps.per_node, now);
        if disrupts {
            text.push_str(&format!(
                "; taking machines down: {node} {machine_window}, all clusters {} of {} per {} used",
                fleet.runs,
                caps.per_fleet.count,
                Human(caps.per_fleet.window)
            ));
        }
        let caps = [machine_window.full_for, fleet.full_for].into_iter().flatten().filter(|_| disrupts);
        let exhausted = self.is_exhausted(cluster, node, &playbook.name, now);
        if exhausted {
            let (times, within) = (EXHAUSTED_AFTER, Human(EXHAUSTED_WITHIN));
            text.push_str(&format!(", exhausted: it ran {times} times within {within} without a lasting cure"));
        }
        let own = [node_window.full_for, cluster_window.full_for, cooldown, spacing];
        let over = own.into_iter().flatten().chain(caps).max();
        Room { text, over, exhausted }
    }

    /// Every window of a playbook's limits in a cluster: the cluster's first, then each node's.
    pub(crate) fn limit_uses(
        &self,
        cluster: &ClusterId,
        nodes: &[NodeName],
        playbook: &Playbook,
        now: Now,
    ) -> Vec<LimitUse> {
        let rows = || self.rows.iter().filter(|row| row.what.cluster == *cluster && row.what.playbook == playbook.name);
        let limit_use = |subject: Subject, window: Window, exhausted| LimitUse {
            playbook: playbook.name.clone(),
            subject,
            used: u32::try_from(window.used).unwrap_or(u32::MAX),
            of: window.limit.count,
            window: window.limit.window,
            room_at: window.full_for.filter(|_| window.limit.count > 0).map(|wait| now.mono + wait),
            exhausted,
        };
        let whole = limit_use(Subject::Cluster, self.window(rows(), playbook.limits.per_cluster, now), false);
        let of_node = |node: &NodeName| {
            let window = self.window(rows().filter(|row| row.what.node == *node), playbook.limits.per_node, now);
            limit_use(Subject::Node(node.clone()), window, self.is_exhausted(cluster, node, &playbook.name, now))
        };
        std::iter::once(whole).chain(nodes.iter().map(of_node)).collect()
    }

    fn window<'a>(&self, rows: impl Iterator<Item = &'a Row>, limit: Limit, now: Now) -> Window {
        Window::of(youngest(rows, limit.window, now), limit)
    }
}

/// How old each run is, by its youngest reservation: those within the window.
fn youngest<'a>(rows: impl Iterator<Item = &'a Row>, window: Duration, now: Now) -> Vec<Duration> {
    let mut runs: Vec<(&str, Duration)> = Vec::new();
    for row in rows {
        let age = row.age.at(now);
        match runs.iter_mut().find(|(run, _)| *run == row.what.run) {
            Some((_, youngest)) => *youngest = (*youngest).min(age),
            None if age < window => runs.push((&row.what.run, age)),
            None => {}
        }
    }
    runs.into_iter().map(|(_, age)| age).collect()
}

struct Window {
    used: usize,
    limit: Limit,
    full_for: Option<Duration>,
}

impl Window {
    /// Of runs within it that are so old.
    fn of(mut ages: Vec<Duration>, limit: Limit) -> Window {
        ages.sort_unstable();
        // Room returns when the oldest of the newest `count` leaves the window.
        let blocking = usize::try_from(limit.count).ok().and_then(|count| ages.get(count.checked_sub(1)?).copied());
        let full_for = if limit.count == 0 { Some(LONGEST_WINDOW) } else { blocking.map(|age| limit.window - age) };
        Window { used: ages.len(), limit, full_for }
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} per {} used", self.used, self.limit.count, Human(self.limit.window))
    }
}

#[cfg(test)]
mod tests;
