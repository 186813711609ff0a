//! What can be rehearsed, by name: the two outages that defib was written for, two of the lab's drills, and every fault
//! alone.
//!
//! A story is a list of cues: what breaks when, and when somebody from outside mends it. Left out: what defib does.

use std::fmt;
use std::time::Duration;

use super::Model;
use super::fault::{Fault, Kind};
use super::vip::Way;

/// A fault alone is mended after this long; what mends itself does so sooner.
const ALONE: Duration = Duration::from_secs(120);

/// The same for what is seen or cured late, as what a hypervisor is asked to mend: the longest wait of a playbook, its veto and a
/// boot lie within it.
const LATE: Duration = Duration::from_secs(900);
/// The same where restarts that do not help come before a boot, which then waits for its cooldown.
const LATER: Duration = Duration::from_secs(1_500);

/// Something that happens in a story.
#[derive(Clone, Debug)]
pub struct Cue {
    /// How long after the first one.
    pub at: Duration,
    /// It breaks; otherwise it is mended.
    pub breaks: bool,
    /// What, and where.
    pub faults: Vec<Fault>,
    /// In a sentence.
    pub text: String,
}

impl fmt::Display for Cue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.breaks { "BREAK" } else { "MEND " }, self.text)
    }
}

/// A story.
#[derive(Clone, Debug)]
pub struct Story {
    /// Its name.
    pub name: String,
    /// What it is about, in a line.
    pub about: String,
    /// How the VIP is held.
    pub way: Way,
    /// The cluster stands on a hypervisor that is asked.
    pub on_hypervisor: bool,
    /// What happens, in order; the first at zero.
    pub cues: Vec<Cue>,
    /// The cue from which the return of service is counted: what keeps it away is over then.
    pub counted_from: usize,
    /// The findings without which it is not understood.
    pub named: &'static [&'static str],
    /// What no program can do about it, if so.
    pub person: Option<&'static str>,
}

impl Story {
    /// The cluster that it happens to, all well.
    #[must_use]
    pub fn model(&self, seed: u64) -> Model {
        let model = Model::well(3, self.way, seed);
        if self.on_hypervisor { model.on_hypervisor(false) } else { model }
    }

    /// How long after its first cue the last one comes.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        self.cues.last().map_or(Duration::ZERO, |cue| cue.at)
    }

    /// How long after the first cue the one comes from which the return of service is counted.
    #[must_use]
    pub fn counted_at(&self) -> Duration {
        self.cues.get(self.counted_from).map_or(Duration::ZERO, |cue| cue.at)
    }
}

/// Every story with what it is about: the four that are composed, then the faults.
#[must_use]
pub fn all() -> Vec<Story> {
    let faults = Kind::all().map(|(kind, name)| alone(kind, name));
    [incident_a(), incident_b(), back_off(), vip_lost()].into_iter().chain(faults).collect()
}

/// The story of this name.
#[must_use]
pub fn named(name: &str) -> Option<Story> {
    all().into_iter().find(|story| story.name == name)
}

fn cue(at_s: u64, breaks: bool, kind: Kind, nodes: &[&str], text: &str) -> Cue {
    let faults = nodes.iter().map(|node| Fault { kind, node: (*node).to_owned() }).collect();
    Cue { at: Duration::from_secs(at_s), breaks, faults, text: text.to_owned() }
}

const EVERYWHERE: &[&str] = &["cp1", "cp2", "cp3"];

fn incident_a() -> Story {
    let mut over = cue(420, false, Kind::Overcommit, EVERYWHERE, "the contention is over; cp3 stays frozen");
    over.faults.extend(EVERYWHERE.iter().map(|node| Fault { kind: Kind::Starve, node: (*node).to_owned() }));
    Story {
        name: "incident-a".to_owned(),
        about:
            "an overcommitted host starves its control planes: quorum and VIP are lost, one machine freezes, and the \
                API servers stay in back-off when it is over (the outage of 2026-02-17)"
                .to_owned(),
        way: Way::KubeVip,
        on_hypervisor: false,
        cues: vec![
            cue(
                0,
                true,
                Kind::Starve,
                EVERYWHERE,
                "the host is overcommitted: cp1, cp2 and cp3 get too little processor time",
            ),
            cue(60, true, Kind::Overcommit, EVERYWHERE, "it becomes worse: etcd misses every heartbeat"),
            cue(120, true, Kind::HangMachine, &["cp3"], "cp3 freezes: its kernel answers, nothing else does"),
            over,
        ],
        counted_from: 3,
        named: &["host-starved", "etcd-quorum-lost", "vip-lost"],
        person: Some("reset cp3, which stays frozen, and give the control planes priority on their host"),
    }
}

fn incident_b() -> Story {
    let small = Kind::SmallMachine;
    Story {
        name: "incident-b".to_owned(),
        about: "the kernel kills the API servers for memory again and again on machines of 3 GiB, and service flaps, until \
                a person gives them more (the outage of 2025-04-22)"
            .to_owned(),
        way: Way::KubeVip,
        on_hypervisor: false,
        cues: vec![
            cue(0, true, small, EVERYWHERE, "3 GiB are too little: each API server grows until it is killed"),
            cue(900, false, small, EVERYWHERE, "a person gives the machines 5 GiB"),
        ],
        counted_from: 1,
        named: &["machine-memory-short", "apiserver-crash-looping"],
        person: Some("give the machines 5 GiB"),
    }
}

fn back_off() -> Story {
    Story {
        name: "back-off".to_owned(),
        about: "quorum is lost until the API servers are deep in back-off; the lab's first drill".to_owned(),
        way: Way::KubeVip,
        on_hypervisor: false,
        cues: vec![
            cue(0, true, Kind::FreezeMachine, &["cp3"], "cp3 is frozen whole: its kernel is silent, too"),
            cue(5, true, Kind::HangEtcd, &["cp2"], "cp2's etcd hangs: quorum is lost"),
            cue(345, false, Kind::HangEtcd, &["cp2"], "cp2's etcd goes on; cp3 stays frozen"),
        ],
        counted_from: 2,
        named: &["etcd-quorum-lost", "vip-lost"],
        person: Some("look at cp3, which stays frozen"),
    }
}

fn vip_lost() -> Story {
    let dead = Kind::KillVipAgent;
    Story {
        name: "vip-lost".to_owned(),
        about: "nobody holds the VIP while every API server is ready: kube-vip hangs everywhere, and people are led past it \
                until one is restarted"
            .to_owned(),
        way: Way::KubeVip,
        on_hypervisor: false,
        cues: vec![
            cue(0, true, dead, EVERYWHERE, "the VIP's agents on cp1, cp2 and cp3 do nothing any more"),
            cue(300, false, dead, EVERYWHERE, "the VIP's agents go on, where defib has not restarted them"),
        ],
        counted_from: 0,
        named: &["vip-lost"],
        person: None,
    }
}

/// What defib may recover beneath a machine waits long, for a person is mostly the one who did it; and so does what says that
/// it is healthy.
fn ends_after(kind: Kind) -> Duration {
    match kind {
        Kind::VmStopped | Kind::VmPaused | Kind::VmFrozen | Kind::HostBusy => LATE,
        Kind::WedgeKubelet | Kind::HangRuntime => LATE,
        Kind::LosePods => LATER,
        _ => ALONE,
    }
}

/// What is not understood unless it is found: a kubelet says that it is healthy, and beneath a machine only the hypervisor
/// tells it.
fn named_alone(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::WedgeKubelet | Kind::LosePods => &["kubelet-wedged"],
        Kind::HangRuntime => &["runtime-unhealthy"],
        Kind::VmStopped | Kind::VmStoppedByPerson => &["vm-stopped"],
        Kind::VmPaused | Kind::VmDiskFailed => &["vm-paused"],
        Kind::VmFrozen => &["machine-frozen"],
        Kind::VmBackup => &["vm-busy"],
        Kind::HostDown => &["host-unreachable"],
        Kind::HostBusy => &["host-busy", "vm-unprioritised"],
        _ => &[],
    }
}

fn alone(kind: Kind, name: &str) -> Story {
    let ends_s = ends_after(kind).as_secs();
    // A machine whose member leads etcd is not taken down.
    let (node, which) = match kind {
        Kind::LosePods | Kind::HangRuntime => ("cp2", "which leads nothing"),
        _ => ("cp1", "which holds the VIP and leads etcd"),
    };
    let besides = kind.shown_by().map(|kind| Fault { kind, node: node.to_owned() });
    let and = besides.as_ref().map_or(String::new(), |fault| format!(", and {}", fault.kind.meaning()));
    let mut breaks = cue(0, true, kind, &[node], &format!("{name} {node}: {}{and}", kind.meaning()));
    breaks.faults.extend(besides);
    Story {
        name: name.to_owned(),
        about: format!("on {node}, {which}: {}{and}", kind.meaning()),
        way: Way::KubeVip,
        on_hypervisor: kind.is_beneath(),
        cues: vec![
            breaks,
            cue(ends_s, false, kind, &[node], &format!("{name} {node}, as far as it has not mended itself")),
        ],
        counted_from: 0,
        named: named_alone(kind),
        person: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_cues_are_in_order_and_what_is_waited_for_exists() {
        let stories = all();
        let names: std::collections::BTreeSet<_> = stories.iter().map(|story| story.name.as_str()).collect();
        assert_eq!(names.len(), stories.len());
        for story in &stories {
            assert!(story.cues.first().is_some_and(|cue| cue.at.is_zero()), "{}", story.name);
            assert!(story.cues.windows(2).all(|pair| pair[0].at <= pair[1].at), "{}", story.name);
            assert!(story.counted_from < story.cues.len(), "{}", story.name);
            for rule in story.named {
                assert!(defib_engine::diagnosis::rule(rule).is_some(), "{}: {rule}", story.name);
            }
        }
        assert!(named("incident-a").is_some() && named("kill-etcd").is_some() && named("nothing").is_none());
    }
}
