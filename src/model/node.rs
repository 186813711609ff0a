//! One machine with what runs on it: a member of etcd, a kubelet, an API server, whoever keeps the virtual address.
//!
//! Figures come from real parts (tests/lab, and the sources beside them): an API server is ready 3 s after its start, gives
//! up 20 s after a start without its store, and is killed by its kubelet after eight failed probes, 10 s apart; the
//! kubelet waits 10 s after the second death, doubling to 300 s, and forgets that when it is restarted or when the container
//! ran for 600 s; Talos starts a service again 5 s after it ended.

use std::time::Duration;

use defib_engine::time::Tick;

use super::figures::Counters;

/// From an API server's start until it answers at all, and until it is ready.
const LISTENS_AFTER: Duration = Duration::from_millis(1_500);
const READY_AFTER: Duration = Duration::from_secs(3);
/// An API server that finds no store when it starts gives up after this long.
const GIVES_UP_AFTER: Duration = Duration::from_secs(20);
/// A kubelet kills what failed its liveness probe for this long.
const KILLED_AFTER: Duration = Duration::from_secs(80);
/// On a machine of 3 GiB an API server grew for a minute or two before the kernel killed it.
const OUTGROWS_WITHIN: Duration = Duration::from_secs(70);
const OUTGROWS_APART: Duration = Duration::from_secs(17);
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// From a kubelet's start until it starts what is dead.
const SYNCS_AFTER: Duration = Duration::from_millis(800);
/// Talos starts a service again this long after it ended.
const RESTARTED_AFTER: Duration = Duration::from_secs(5);
/// A machine's firmware, kernel and services.
const BOOTS_WITHIN: Duration = Duration::from_secs(45);

/// How a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// It runs.
    Up,
    /// Nothing of it runs, not even its kernel.
    Frozen,
    /// Its kernel answers, its processes do not run.
    Hung,
    /// Its hypervisor halted it; it goes on when it is woken.
    Paused,
    /// Its hypervisor halted it because its disk failed; it goes on when that is mended.
    DiskFailed,
    /// It is off.
    Off,
    /// It boots until then.
    Booting(Tick),
}

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// It runs since then.
    Running(Tick),
    /// It ended then.
    Dead(Tick),
    /// It exists and does nothing.
    Hung,
}

impl Process {
    /// It runs.
    #[must_use]
    pub fn runs(self) -> bool {
        matches!(self, Process::Running(_))
    }
}

/// What is broken on a node until somebody mends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ills {
    /// etcd ends as soon as it starts.
    pub etcd_cannot_start: bool,
    /// etcd's disk takes 0.6 s for a write.
    pub slow_disk: bool,
    /// The API server ends 2 s after each start.
    pub apiserver_cannot_start: bool,
    /// A person stopped the kubelet: Talos does not start it again.
    pub kubelet_stopped: bool,
    /// The hypervisor gives it a tenth of the CPU that it wants.
    pub starved: bool,
    /// Its hypervisor is overcommitted: what runs on it answers late, and its etcd misses every heartbeat.
    pub overcommitted: bool,
    /// Its host has no time to give, and it has no larger share of that than others.
    pub host_short: bool,
    /// Since then it has 3 GiB, and the kernel kills its API server for memory whenever that has grown.
    pub small_since: Option<Tick>,
    /// Its memory is nearly used up.
    pub memory_short: bool,
    /// Its clock is wrong by so many milliseconds.
    pub clock_offset_ms: i64,
    /// Its database has reached its quota.
    pub no_space: bool,
    /// It refuses our credentials.
    pub refuses_us: bool,
    /// A person upgrades it: its kubelet stops, and starts nothing.
    pub upgrading: bool,
    /// Its container runtime does nothing until it boots: no pod is started or stopped, the kubelet neither.
    pub runtime_hangs: bool,
    /// No kubelet that runs there, a new one neither, starts a static pod until it boots.
    pub pods_lost: bool,
}

impl Ills {
    /// Others have its processor time.
    #[must_use]
    pub fn lacks_cpu(&self) -> bool {
        self.starved || self.overcommitted || self.host_short
    }
}

/// One node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its place, from one: also its member's id.
    pub number: u64,
    /// How the machine is.
    pub machine: Machine,
    /// Since when this boot lasts.
    pub booted: Tick,
    /// The member of etcd.
    pub etcd: Process,
    /// The kubelet.
    pub kubelet: Process,
    /// The API server's container.
    pub apiserver: Process,
    /// Counts its containers: a name for each.
    pub containers: u64,
    /// Who keeps the virtual address: kube-vip's container, or a part of Talos.
    pub vip_agent: Process,
    /// Counts the agent's containers.
    pub vip_agents: u64,
    /// Deaths that the kubelet remembers.
    deaths: u32,
    /// The wait that the kubelet is in: how long, since when.
    pub wait: Option<(Duration, Tick)>,
    /// Since when the API server fails its liveness probe.
    fails_since: Option<Tick>,
    /// What is broken.
    pub ills: Ills,
    /// What is counted.
    pub counters: Counters,
}

impl Node {
    /// A node on which everything has been running for a while.
    #[must_use]
    pub fn well(number: u64, now: Tick) -> Node {
        Node {
            number,
            machine: Machine::Up,
            booted: now,
            etcd: Process::Running(now),
            kubelet: Process::Running(now),
            apiserver: Process::Running(now),
            containers: 1,
            vip_agent: Process::Running(now),
            vip_agents: 1,
            deaths: 0,
            wait: None,
            fails_since: None,
            ills: Ills::default(),
            counters: Counters::default(),
        }
    }

    /// Its processes run.
    #[must_use]
    pub fn executes(&self) -> bool {
        self.machine == Machine::Up
    }

    /// Its kernel answers.
    #[must_use]
    pub fn answers(&self) -> bool {
        matches!(self.machine, Machine::Up | Machine::Hung)
    }

    /// The API server listens.
    #[must_use]
    pub fn listens(&self, now: Tick) -> bool {
        match self.apiserver {
            Process::Running(since) => now.since(since) >= LISTENS_AFTER,
            Process::Hung => true,
            Process::Dead(_) => false,
        }
    }

    /// The API server is ready, given whether its store serves.
    #[must_use]
    pub fn ready(&self, store_serves: bool, now: Tick) -> bool {
        let old_enough = matches!(self.apiserver, Process::Running(since) if now.since(since) >= READY_AFTER);
        self.executes() && old_enough && store_serves
    }

    /// On a machine that is too small: how long an API server grows. It differs by node, so that they flap, each in its
    /// own time.
    #[must_use]
    pub fn outgrows_within(&self) -> Duration {
        OUTGROWS_WITHIN + OUTGROWS_APART * u32::try_from(self.number % 5).unwrap_or(0)
    }

    /// When the kernel kills the API server that runs, for its memory.
    #[must_use]
    pub fn outgrows_at(&self) -> Option<Tick> {
        let Process::Running(since) = self.apiserver else { return None };
        Some(self.ills.small_since?.max(since) + self.outgrows_within())
    }

    /// Ends the member; Talos starts it again.
    pub fn kill_etcd(&mut self, now: Tick) {
        self.etcd = Process::Dead(now);
    }

    /// Ends the API server.
    pub fn kill_apiserver(&mut self, now: Tick) {
        if let Process::Running(since) = self.apiserver {
            let forgotten = now.since(since) >= FORGOTTEN_AFTER;
            self.deaths = if forgotten { 1 } else { self.deaths + 1 };
        }
        self.apiserver = Process::Dead(now);
        self.fails_since = None;
        self.wait = None;
    }

    /// Ends the kubelet; Talos starts it again, unless a person stopped it.
    pub fn kill_kubelet(&mut self, now: Tick) {
        self.kubelet = Process::Dead(now);
        self.deaths = 0;
        self.wait = None;
    }

    /// Ends whoever keeps the virtual address; the kubelet starts it again.
    pub fn kill_vip_agent(&mut self, now: Tick) {
        self.vip_agent = Process::Dead(now);
    }

    /// Restarts the kubelet, as Talos's `ServiceRestart` does; also one that was stopped.
    pub fn restart_kubelet(&mut self, now: Tick) {
        self.kill_kubelet(now);
        self.kubelet = Process::Running(now + Duration::from_millis(500));
        self.ills.kubelet_stopped = false;
    }

    /// Ends everything and boots.
    pub fn reboot(&mut self, now: Tick) {
        self.machine = Machine::Booting(now + BOOTS_WITHIN);
        self.kill_kubelet(now);
        (self.etcd, self.apiserver, self.vip_agent) = (Process::Dead(now), Process::Dead(now), Process::Dead(now));
        (self.ills.runtime_hangs, self.ills.pods_lost) = (false, false);
    }

    /// Ends everything, and stays off.
    pub fn switch_off(&mut self, now: Tick) {
        self.reboot(now);
        self.machine = Machine::Off;
    }

    /// Lets time pass up to `now`. `store_serves`: a linearizable read through this node's member succeeds.
    pub fn advance(&mut self, store_serves: bool, now: Tick) {
        if let Machine::Booting(until) = self.machine
            && now >= until
        {
            self.machine = Machine::Up;
            self.booted = now;
            (self.etcd, self.kubelet) = (Process::Running(now), Process::Running(now));
        }
        if !self.executes() {
            return;
        }
        self.counters.advance(self.ills.slow_disk, self.ills.lacks_cpu());
        self.advance_services(now);
        self.advance_apiserver(store_serves, now);
        self.advance_kubelet(now);
    }

    fn advance_services(&mut self, now: Tick) {
        if let Process::Dead(at) = self.etcd
            && now.since(at) >= RESTARTED_AFTER
        {
            self.etcd = if self.ills.etcd_cannot_start { Process::Dead(now) } else { Process::Running(now) };
        }
        if let Process::Dead(at) = self.kubelet
            && now.since(at) >= RESTARTED_AFTER
            && !self.ills.kubelet_stopped
            && !self.ills.runtime_hangs
        {
            self.kubelet = Process::Running(now);
        }
    }

    fn advance_apiserver(&mut self, store_serves: bool, now: Tick) {
        let Process::Running(since) = self.apiserver else { return };
        let age = now.since(since);
        let dies_at_once = self.ills.apiserver_cannot_start && age >= Duration::from_secs(2);
        let finds_no_store = !store_serves && age >= GIVES_UP_AFTER && age < GIVES_UP_AFTER * 2;
        let outgrows = self.outgrows_at().is_some_and(|at| now >= at);
        if dies_at_once || finds_no_store || outgrows {
            self.kill_apiserver(now);
        }
    }

    fn advance_kubelet(&mut self, now: Tick) {
        let Process::Running(since) = self.kubelet else { return };
        let starts_nothing = self.ills.upgrading || self.ills.runtime_hangs || self.ills.pods_lost;
        if now.since(since) < SYNCS_AFTER || now < since || starts_nothing {
            return;
        }
        if let Process::Dead(died) = self.vip_agent
            && now.since(died) >= waits(1)
        {
            self.vip_agent = Process::Running(now);
            self.vip_agents += 1;
        }
        if let Process::Dead(died) = self.apiserver {
            let (length, begun) = *self.wait.get_or_insert((waits(self.deaths), died));
            if now.since(begun) >= length {
                self.apiserver = Process::Running(now);
                self.containers += 1;
                self.wait = None;
                self.fails_since = None;
            }
        }
    }

    /// The kubelet's liveness probe, where there is one.
    pub fn probe_liveness(&mut self, well: bool, now: Tick) {
        if !self.executes()
            || !self.kubelet.runs()
            || self.ills.runtime_hangs
            || matches!(self.apiserver, Process::Dead(_))
        {
            return;
        }
        if well || matches!(self.apiserver, Process::Running(since) if now.since(since) < READY_AFTER) {
            self.fails_since = None;
            return;
        }
        let since = *self.fails_since.get_or_insert(now);
        if now.since(since) >= KILLED_AFTER {
            if self.apiserver == Process::Hung {
                // A hung one counts as one that ran.
                self.apiserver = Process::Running(since);
            }
            self.kill_apiserver(now);
        }
    }
}

/// The kubelet's wait after so many deaths.
fn waits(deaths: u32) -> Duration {
    match deaths {
        0 | 1 => Duration::from_millis(500),
        more => (FIRST_WAIT * 2_u32.saturating_pow(more - 2)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(node: &mut Node, from_s: u64, to_s: u64, serves: bool) {
        for ms in (from_s * 1_000..to_s * 1_000).step_by(100) {
            node.advance(serves, Tick(ms));
        }
    }

    #[test]
    fn an_api_server_without_its_store_is_kept_waiting_ever_longer_and_a_new_kubelet_forgets() {
        let mut node = Node::well(1, Tick(0));
        node.kill_apiserver(Tick(0));
        until(&mut node, 0, 300, false);
        let (length, _) = node.wait.unwrap();
        assert!(length >= Duration::from_secs(80), "{length:?}");
        node.restart_kubelet(Tick(300_000));
        until(&mut node, 300, 305, true);
        assert!(node.ready(true, Tick(305_000)));
    }

    #[test]
    fn talos_starts_a_dead_kubelet_again_and_leaves_a_stopped_one() {
        let mut node = Node::well(1, Tick(0));
        node.kill_kubelet(Tick(0));
        until(&mut node, 0, 6, true);
        assert!(node.kubelet.runs());
        node.ills.kubelet_stopped = true;
        node.kill_kubelet(Tick(6_000));
        until(&mut node, 6, 60, true);
        assert!(!node.kubelet.runs());
    }

    #[test]
    fn pods_that_are_lost_and_a_runtime_that_hangs_take_a_boot_and_a_wedged_kubelet_another_one() {
        let ill = |how: fn(&mut Node)| {
            let mut node = Node::well(1, Tick(0));
            how(&mut node);
            node.kill_apiserver(Tick(0));
            node.kill_vip_agent(Tick(0));
            until(&mut node, 0, 60, true);
            assert!(!node.ready(true, Tick(60_000)) && !node.vip_agent.runs() && node.wait.is_none());
            node.restart_kubelet(Tick(60_000));
            until(&mut node, 60, 70, true);
            node
        };
        let wedged = ill(|node| node.kubelet = Process::Hung);
        assert!(wedged.ready(true, Tick(70_000)) && wedged.vip_agent.runs());
        for how in [(|node| node.ills.pods_lost = true) as fn(&mut Node), |node| node.ills.runtime_hangs = true] {
            let mut node = ill(how);
            assert!(!node.ready(true, Tick(70_000)));
            node.reboot(Tick(70_000));
            until(&mut node, 70, 125, true);
            assert!(node.ready(true, Tick(125_000)) && node.vip_agent.runs());
        }
    }
}
