//! What a seed stands for: a cluster, and everything that happens to it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::play::{Crash, Journal, Play};
use defib::model::Model;
use defib::model::fault::{Fault, KINDS, Kind};
use defib::model::lottery::Lottery;
use defib::model::vip::Way;
use defib::model::world;
use defib::playbook;
use defib_engine::settings::{Mode, Settings};
use defib_engine::time::Tick;

/// Quiet at the beginning: a pod counts as settled after five minutes.
const QUIET_S: u64 = 330;
/// After the last fault was mended; longer than the longest back-off with its consequences.
const CALM_S: u64 = 1_500;

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
    pub(crate) calm_s: u64,
    pub(crate) lasts_s: u64,
    /// In order of time.
    pub(crate) cues: Vec<(Tick, Cue)>,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, way, seed) = (self.nodes, self.way, self.seed);
        write!(f, "seed {seed}: {nodes} nodes, vip by {way:?}, liveness probes {}", self.liveness_probes)
    }
}

impl Script {
    pub(crate) fn of(seed: u64) -> Script {
        let mut lottery = Lottery::new(seed);
        let nodes = lottery.pick(&[3, 3, 3, 3, 5, 1]).copied().unwrap_or(3);
        let way = if lottery.one_in(3) { Way::Talos } else { Way::KubeVip };
        let liveness_probes = !lottery.one_in(4);
        let mut cues = Vec::new();
        let mut at_s = QUIET_S + lottery.between(0, 60);
        if lottery.one_in(2) {
            at_s = incident(&mut lottery, nodes, at_s, &mut cues);
        }
        for _ in 0..lottery.between(1, 4) {
            let node = format!("cp{}", lottery.between(1, nodes));
            let Some(&(kind, _)) = lottery.pick(&KINDS) else { continue };
            let longest_s = if lottery.one_in(2) { 20 } else { 400 };
            let lasts_s = lottery.between(1, longest_s);
            let fault = Fault { kind, node };
            cues.push((at_s, Cue::Break(fault.clone())));
            cues.push((at_s + lasts_s, Cue::Mend(fault)));
            at_s += lottery.between(0, 200);
        }
        if lottery.one_in(3) {
            let crash = lottery.pick(&[Crash::BeforeWrite, Crash::AfterWrite, Crash::AfterStep]).copied();
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
        cues.sort_by_key(|(at, _)| *at);
        let last_s = cues.last().map_or(at_s, |(at, _)| *at);
        let lasts_s = last_s + CALM_S;
        // Whoever was killed is started again, by systemd.
        cues.extend((0..lasts_s).step_by(7).map(|at| (at, Cue::Begin)));
        cues.sort_by_key(|(at, _)| *at);
        let cues = cues.into_iter().map(|(at, cue)| (Tick(at * 1_000), cue)).collect();
        Script { seed, nodes, way, liveness_probes, calm_s: CALM_S, lasts_s, cues }
    }

    pub(crate) fn model(&self) -> Model {
        let mut model = Model::well(self.nodes, self.way, self.seed);
        model.liveness_probes = self.liveness_probes;
        model
    }

    pub(crate) fn settings(&self) -> Settings {
        let playbooks = playbook::load(playbook::SHIPPED, None).unwrap_or_default();
        world::settings(self.nodes, Mode::Act, playbooks)
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
