//! What a seed stands for: a cluster, and everything that happens to it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::play::{Crash, Journal, Play, Side, Which};
use crate::single::Single;
use defib::model::Model;
use defib::model::fault::{BENEATH, Fault, KINDS, Kind};
use defib::model::lottery::Lottery;
use defib::model::vip::Way;
use defib::model::world;
use defib::playbook;
use defib_engine::command::{Ask, Recover};
use defib_engine::settings::{Mode, Settings};
use defib_engine::time::Tick;

/// Quiet at the beginning: a pod counts as settled after five minutes.
const QUIET_S: u64 = 330;
/// After the last fault was mended; longer than the longest back-off with its consequences.
const CALM_S: u64 = 1_500;

/// Findings close, and a run is verified, so long after everything is well.
const CLOSES_WITHIN_S: u64 = 120;

/// Playbooks of an operator who has no patience and requires nothing.
const RECKLESS: &[(&str, &str)] = &[
    ("kubelet-at-once", include_str!("reckless/kubelet-at-once.yaml")),
    ("start-at-once", include_str!("reckless/start-at-once.yaml")),
    ("restart-short", include_str!("reckless/restart-short.yaml")),
    ("restart-unready", include_str!("reckless/restart-unready.yaml")),
    ("reboot-hung", include_str!("reckless/reboot-hung.yaml")),
    ("reboot-etcd", include_str!("reckless/reboot-etcd.yaml")),
    ("reboot-dead-etcd", include_str!("reckless/reboot-dead-etcd.yaml")),
];

/// Something that happens at a time.
#[derive(Clone, Debug)]
pub(crate) enum Cue {
    Break(Fault),
    Mend(Fault),
    Kill,
    Begin,
    Crash(Crash),
    Jump(i64),
    Journal(Journal),
    /// A person asks for something.
    Ask(Ask),
    /// A person approves what is proposed.
    Approve,
}

impl fmt::Display for Cue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cue::Break(fault) => write!(f, "break {fault}"),
            Cue::Mend(fault) => write!(f, "mend {fault}"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl Cue {
    /// Happens to this program, or to the cluster that it has in its hands.
    pub(crate) fn give(&self, play: &mut Play, faults: &mut BTreeMap<&'static str, u64>) {
        let name = match self {
            Cue::Break(fault) => {
                play.world.model.inflict(fault);
                fault.kind.name()
            }
            Cue::Mend(fault) => return play.world.model.mend(fault),
            Cue::Begin => return play.begin(),
            Cue::Kill => {
                play.kill();
                "kill-defib"
            }
            Cue::Crash(crash) => {
                play.crash = Some(*crash);
                "crash-defib"
            }
            Cue::Jump(by_ms) => {
                play.jump(*by_ms);
                "clock-jump"
            }
            Cue::Ask(ask) => {
                play.ask(ask.clone());
                "person"
            }
            Cue::Approve => return play.approve(),
            Cue::Journal(journal) => {
                play.journal = *journal;
                if *journal == Journal::Well {
                    return;
                }
                "journal"
            }
        };
        *faults.entry(name).or_default() += 1;
    }
}

pub(crate) struct Script {
    seed: u64,
    nodes: u64,
    way: Way,
    liveness_probes: bool,
    mode: Mode,
    /// Playbooks that require nothing and wait for nothing: whatever an operator writes, the guards hold.
    reckless: bool,
    /// One playbook of so many is not armed.
    unarmed: Option<usize>,
    /// The machines stand on a hypervisor that is asked; true: two of them on one host.
    hypervisor: Option<bool>,
    /// A second program watches the same cluster, in this mode.
    pub(crate) second: Option<Mode>,
    /// One trouble alone, instead of any.
    pub(crate) single: Option<Single>,
    pub(crate) calm_s: u64,
    pub(crate) lasts_s: u64,
    /// In order of time.
    pub(crate) cues: Vec<(Tick, Cue)>,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, way, seed) = (self.nodes, self.way, self.seed);
        write!(
            f,
            "seed {seed}: {nodes} nodes, vip by {way:?}, liveness probes {}, mode {}{}",
            self.liveness_probes,
            self.mode,
            if self.reckless { ", reckless playbooks" } else { "" }
        )?;
        if let Some(shared) = self.hypervisor {
            write!(f, ", on a hypervisor{}", if shared { " with two on one host" } else { "" })?;
        }
        self.second.map_or(Ok(()), |mode| write!(f, ", a second program in mode {mode}"))
    }
}

impl Script {
    pub(crate) fn of(seed: u64) -> Script {
        // A lottery of its own: whoever plays no single trouble draws as ever.
        let mut lottery = Lottery::new(seed ^ 0x2545_f491_4f6c_dd1d);
        if lottery.one_in(5) {
            return Script::of_one(seed, &mut lottery);
        }
        let mut lottery = Lottery::new(seed);
        let nodes = lottery.pick(&[3, 3, 3, 3, 5, 1]).copied().unwrap_or(3);
        let way = if lottery.one_in(3) { Way::Talos } else { Way::KubeVip };
        let liveness_probes = !lottery.one_in(4);
        let mode = lottery.pick(&[Mode::Act, Mode::Act, Mode::Act, Mode::Act, Mode::Ask, Mode::Observe]);
        let mode = mode.copied().unwrap_or(Mode::Act);
        let reckless = lottery.one_in(2);
        let unarmed = lottery.one_in(4).then(|| lottery.pick(&[2, 3]).copied().unwrap_or(2));
        let mut cues = Vec::new();
        let mut at_s = QUIET_S + lottery.between(0, 60);
        if lottery.one_in(2) {
            at_s = incident(&mut lottery, nodes, at_s, &mut cues);
        } else {
            at_s = match lottery.between(0, 3) {
                0 => at_s,
                1 => siege(&mut lottery, nodes, at_s, &mut cues),
                _ => blind(&mut lottery, nodes, at_s, &mut cues),
            };
        }
        let mut last = None;
        for _ in 0..lottery.between(1, 4) {
            // Troubles come together.
            let again = last.take().filter(|_| lottery.one_in(2));
            let node = again.unwrap_or_else(|| format!("cp{}", lottery.between(1, nodes)));
            last = Some(node.clone());
            let Some(&(kind, _)) = lottery.pick(&KINDS) else { continue };
            let longest_s = if lottery.one_in(2) { 20 } else { 400 };
            let lasts_s = lottery.between(1, longest_s);
            let fault = Fault { kind, node };
            cues.push((at_s, Cue::Break(fault.clone())));
            cues.push((at_s + lasts_s, Cue::Mend(fault)));
            at_s += lottery.between(0, 200);
        }
        if lottery.one_in(3) {
            let at_an_intent = |side| Crash::Write(Which::Intent, side);
            let crash = [at_an_intent(Side::Before), at_an_intent(Side::After), Crash::AfterStep];
            let crash = lottery.pick(&crash).copied();
            cues.extend(crash.map(|crash| (QUIET_S, Cue::Crash(crash))));
        }
        if lottery.one_in(4) {
            let at = lottery.between(0, at_s);
            cues.push((at, Cue::Kill));
        }
        if lottery.one_in(3) {
            let by_ms = i64::try_from(lottery.between(0, 8 * 3_600_000)).unwrap_or(0);
            cues.push((lottery.between(QUIET_S, at_s), Cue::Jump(if lottery.one_in(2) { by_ms } else { -by_ms })));
        }
        if lottery.one_in(4) {
            let slow = Journal::Slow(Duration::from_secs(lottery.between(1, 40)));
            let mood = lottery.pick(&[slow, Journal::Refuses, Journal::Silent]).copied().unwrap_or_default();
            let from = lottery.between(0, at_s);
            cues.push((from, Cue::Journal(mood)));
            cues.push((from + lottery.between(1, 300), Cue::Journal(Journal::Well)));
        }
        if lottery.one_in(3) {
            let from = lottery.between(QUIET_S, at_s);
            let for_ = Duration::from_secs(lottery.between(30, 900));
            let pause = Ask::Pause { cluster: None, reason: "I am at work".to_owned(), for_ };
            cues.push((from, Cue::Ask(pause)));
            if lottery.one_in(2) {
                let resume = Ask::Resume { cluster: None };
                cues.push((from + lottery.between(1, 300), Cue::Ask(resume)));
            }
        }
        if lottery.one_in(3) {
            let wish = Recover {
                cluster: world::CLUSTER.to_owned(),
                waive_for: lottery.one_in(2),
                pass_limits: lottery.one_in(4),
                ..Recover::default()
            };
            cues.push((lottery.between(QUIET_S, at_s + 300), Cue::Ask(Ask::Recover(wish))));
        }
        crashes(seed, at_s, &mut cues);
        unseen(seed, nodes, &mut cues);
        let hypervisor = hypervisor(seed);
        if hypervisor.is_some() {
            beneath(seed, nodes, &mut cues);
        }
        cues.sort_by_key(|(at, _)| *at);
        let last_s = cues.last().map_or(at_s, |(at, _)| *at);
        let lasts_s = last_s + CALM_S;
        // Whoever was killed is started again, by systemd; the cluster has started before the program does.
        cues.extend((7..lasts_s).step_by(7).map(|at| (at, Cue::Begin)));
        if mode == Mode::Ask {
            cues.extend((0..lasts_s).step_by(40).map(|at| (at, Cue::Approve)));
        }
        cues.sort_by_key(|(at, _)| *at);
        let cues = cues.into_iter().map(|(at, cue)| (Tick(at * 1_000), cue)).collect();
        Script {
            seed,
            nodes,
            way,
            liveness_probes,
            mode,
            reckless,
            unarmed,
            hypervisor,
            second: second(seed),
            single: None,
            calm_s: CALM_S,
            lasts_s,
            cues,
        }
    }

    /// One trouble alone, with every shipped playbook armed.
    fn of_one(seed: u64, lottery: &mut Lottery) -> Script {
        let nodes = lottery.pick(&[3, 3, 3, 5]).copied().unwrap_or(3);
        let way = if lottery.one_in(3) { Way::Talos } else { Way::KubeVip };
        let liveness_probes = !lottery.one_in(4);
        let from_s = QUIET_S + lottery.between(0, 60);
        let hypervisor = hypervisor(seed);
        let single = match hypervisor {
            Some(_) => Single::beneath(lottery, nodes, from_s),
            None => Single::of(lottery, nodes, way, from_s),
        };
        let calm_s = single.calm_s() + CLOSES_WITHIN_S;
        let lasts_s = single.counts_from_s() + calm_s;
        let mut cues = vec![(7, Cue::Begin)];
        cues.extend(single.faults.iter().map(|fault| (single.from_s, Cue::Break(fault.clone()))));
        let mended = single.to_s.into_iter().flat_map(|at| single.faults.iter().map(move |fault| (at, fault)));
        cues.extend(mended.map(|(at, fault)| (at, Cue::Mend(fault.clone()))));
        let cues = cues.into_iter().map(|(at, cue)| (Tick(at * 1_000), cue)).collect();
        Script {
            seed,
            nodes,
            way,
            liveness_probes,
            mode: Mode::Act,
            reckless: false,
            unarmed: None,
            hypervisor,
            second: None,
            single: Some(single),
            calm_s,
            lasts_s,
            cues,
        }
    }

    pub(crate) fn model(&self) -> Model {
        let mut model = Model::well(self.nodes, self.way, self.seed);
        model.liveness_probes = self.liveness_probes;
        match self.hypervisor {
            Some(shared) => model.on_hypervisor(shared),
            None => model,
        }
    }

    #[expect(clippy::panic, reason = "a playbook of the test that does not load must be heard")]
    pub(crate) fn settings(&self) -> Settings {
        let texts = if self.reckless { RECKLESS } else { playbook::SHIPPED };
        let playbooks = playbook::load(texts, None).unwrap_or_else(|problems| panic!("{problems}"));
        let mut settings = world::settings(self.nodes, self.mode, playbooks);
        if self.hypervisor.is_some() {
            world::ask_hypervisor(&mut settings);
        }
        let every = self.unarmed.unwrap_or(usize::MAX);
        for known in settings.clusters.values_mut() {
            let armed = std::mem::take(&mut known.armed).into_iter().enumerate();
            known.armed = armed.filter(|(place, _)| place % every != every - 1).map(|(_, name)| name).collect();
        }
        settings
    }
}

/// One cluster in four stands on a hypervisor, one of three of those with two machines on one host. A lottery of its own, as
/// for crashes.
fn hypervisor(seed: u64) -> Option<bool> {
    let mut lottery = Lottery::new(seed ^ 0xa076_1d64_78bd_642f);
    lottery.one_in(4).then(|| lottery.one_in(3))
}

/// What happens beneath the machines: long enough for a playbook to answer, and a person or a backup comes between. A lottery
/// of its own: whatever happens on the machines is drawn as ever.
fn beneath(seed: u64, nodes: u64, cues: &mut Vec<(u64, Cue)>) {
    let mut lottery = Lottery::new(seed ^ 0xe703_7ed1_a0b4_28db);
    let mut at_s = QUIET_S + lottery.between(0, 300);
    for _ in 0..lottery.between(1, 3) {
        let node = format!("cp{}", lottery.between(1, nodes));
        let Some(&(kind, _)) = lottery.pick(&BENEATH) else { continue };
        let lasts_s = lottery.between(1, 900);
        let mut inflict = |kind, from_s: u64, lasts_s: u64| {
            let fault = Fault { kind, node: node.clone() };
            cues.push((from_s, Cue::Break(fault.clone())));
            cues.push((from_s + lasts_s, Cue::Mend(fault)));
        };
        inflict(kind, at_s, lasts_s);
        if lottery.one_in(2) {
            let between = [Kind::VmBackup, Kind::VmStoppedByPerson, Kind::HypervisorHung];
            let kind = lottery.pick(&between).copied().unwrap_or(Kind::VmBackup);
            inflict(kind, at_s + lottery.between(0, 400), lottery.between(20, 600));
        }
        at_s += lottery.between(0, 400);
    }
}

/// What says that it is well and is not, for as long as a playbook takes to believe it: kube-vip everywhere, or a node's
/// kubelet, pods or runtime. One play in six; a lottery of its own, as for crashes.
fn unseen(seed: u64, nodes: u64, cues: &mut Vec<(u64, Cue)>) {
    let mut lottery = Lottery::new(seed ^ 0x8cb9_2ba7_2f3d_8dd7);
    if !lottery.one_in(6) {
        return;
    }
    let at_s = QUIET_S + lottery.between(0, 300);
    let until_s = at_s + lottery.between(100, 1_200);
    let own = lottery.between(1, nodes);
    let kinds = [Kind::KillVipAgent, Kind::WedgeKubelet, Kind::LosePods, Kind::HangRuntime];
    let kind = lottery.pick(&kinds).copied().unwrap_or(Kind::KillVipAgent);
    for number in (1..=nodes).filter(|number| kind == Kind::KillVipAgent || *number == own) {
        for kind in std::iter::once(kind).chain(kind.shown_by()) {
            let fault = Fault { kind, node: format!("cp{number}") };
            cues.push((at_s, Cue::Break(fault.clone())));
            cues.push((until_s, Cue::Mend(fault)));
        }
    }
}

/// One play in eight has a second program. A lottery of its own, as for crashes.
fn second(seed: u64) -> Option<Mode> {
    let mut lottery = Lottery::new(seed ^ 0xd1b5_4a32_d192_ed03);
    lottery.one_in(8).then(|| lottery.pick(&[Mode::Act, Mode::Act, Mode::Observe]).copied()).flatten()
}

/// Any write may be the one that the program dies over, whatever it holds. A lottery of its own: whoever does not crash so
/// draws as ever.
fn crashes(seed: u64, until_s: u64, cues: &mut Vec<(u64, Cue)>) {
    let mut lottery = Lottery::new(seed ^ 0x9e37_79b9_7f4a_7c15);
    if !lottery.one_in(4) {
        return;
    }
    for _ in 0..lottery.between(1, 4) {
        let side = if lottery.one_in(2) { Side::Before } else { Side::After };
        let crash = Crash::Write(Which::Any(lottery.between(0, 20)), side);
        cues.push((lottery.between(0, until_s + 300), Cue::Crash(crash)));
    }
}

/// The shape of incident A: too few members, API servers that die until their kubelets wait, and then a quorum again.
fn incident(lottery: &mut Lottery, nodes: u64, at_s: u64, cues: &mut Vec<(u64, Cue)>) -> u64 {
    let lasts_s = lottery.between(60, 500);
    let down = nodes / 2 + 1;
    for number in 1..=down {
        let kind = lottery.pick(&[Kind::HangEtcd, Kind::EtcdCannotStart, Kind::FreezeMachine]).copied();
        let fault = Fault { kind: kind.unwrap_or(Kind::HangEtcd), node: format!("cp{number}") };
        cues.push((at_s + lottery.between(0, 10), Cue::Break(fault.clone())));
        cues.push((at_s + lasts_s + lottery.between(0, 5), Cue::Mend(fault)));
    }
    for number in 1..=nodes {
        let fault = Fault { kind: Kind::ApiserverCannotStart, node: format!("cp{number}") };
        cues.push((at_s + lottery.between(0, 10), Cue::Break(fault.clone())));
        cues.push((at_s + lasts_s + lottery.between(0, 5), Cue::Mend(fault)));
    }
    at_s + lasts_s + lottery.between(0, 100)
}

/// What we see is not what is: most machines are hidden from us, our probes of one hang while it recovers, its answers are
/// swallowed; or it alone serves, and is short of memory.
fn blind(lottery: &mut Lottery, nodes: u64, at_s: u64, cues: &mut Vec<(u64, Cue)>) -> u64 {
    let own = lottery.between(1, nodes);
    let mut inflict_on = |number: u64, kind: Kind, from_s: u64, to_s: u64| {
        let fault = Fault { kind, node: format!("cp{number}") };
        cues.push((at_s + from_s, Cue::Break(fault.clone())));
        cues.push((at_s + to_s, Cue::Mend(fault)));
    };
    let lasts_s = lottery.between(100, 400);
    let mut inflict = |kind, from_s, to_s| inflict_on(own, kind, from_s, to_s);
    match lottery.between(0, 3) {
        0 => {
            inflict(Kind::HideOthers, 0, lasts_s);
            inflict(Kind::StopKubelet, lottery.between(10, 40), lasts_s);
        }
        1 => {
            inflict(Kind::HangEtcd, 0, lottery.between(12, 40));
            inflict(Kind::StallProbes, lottery.between(8, 11), lasts_s);
        }
        2 => inflict(Kind::SwallowApiserver, 0, lasts_s),
        _ => {
            inflict(Kind::ShortMemory, lottery.between(10, 60), lasts_s);
            for other in (1..=nodes).filter(|number| *number != own) {
                inflict_on(other, Kind::HangApiserver, 0, lasts_s);
            }
        }
    }
    at_s + lasts_s
}

/// One machine is left, and that one is shaky.
fn siege(lottery: &mut Lottery, nodes: u64, at_s: u64, cues: &mut Vec<(u64, Cue)>) -> u64 {
    const TAKEN: [Kind; 4] =
        [Kind::ApiserverCannotStart, Kind::HangApiserver, Kind::StopKubelet, Kind::EtcdCannotStart];
    const SHAKY: [Kind; 6] = [
        Kind::ShortMemory,
        Kind::SmallMachine,
        Kind::SwallowApiserver,
        Kind::HideOthers,
        Kind::HangEtcd,
        Kind::Upgrade,
    ];
    let lasts_s = lottery.between(60, 500);
    let (first, left) = (lottery.between(1, nodes), lottery.between(1, nodes));
    let mut inflict = |lottery: &mut Lottery, number: u64, kinds: &[Kind]| {
        let kind = lottery.pick(kinds).copied().unwrap_or(Kind::HangApiserver);
        let fault = Fault { kind, node: format!("cp{number}") };
        cues.push((at_s + lottery.between(0, 30), Cue::Break(fault.clone())));
        cues.push((at_s + lasts_s + lottery.between(0, 5), Cue::Mend(fault)));
    };
    for number in (1..=nodes).filter(|number| *number != left && (nodes < 5 || *number != first)) {
        inflict(lottery, number, &TAKEN);
    }
    inflict(lottery, left, &SHAKY);
    if lottery.one_in(2) {
        inflict(lottery, left, &[Kind::StopKubelet, Kind::ShortMemory, Kind::HangApiserver]);
    }
    at_s + lasts_s + lottery.between(0, 100)
}
