//! The world around the engine: many clusters that are all well, and see the same model.
//!
//! Rounds come as the daemon's own schedule gives them, so no two clusters are asked in step.

use std::collections::BTreeSet;

use defib::model::Model;
use defib::model::vip::Way;
use defib::observe::schedule::Schedule;
use defib_engine::event::{Event, Saved};
use defib_engine::fleet::Fleet;
use defib_engine::observation::{Observation, Path, ProbeKind, Target};
use defib_engine::playbook::Playbook;
use defib_engine::settings::{ClusterSettings, Mode, Settings};
use defib_engine::time::{Now, Tick, UnixMs};

/// Design §16 counts so many.
pub(crate) const CLUSTERS: usize = 500;
/// Virtual time until windows and latches have what they need.
pub(crate) const WARM_S: u64 = 60;
/// In every cluster.
const NODES: [&str; 3] = ["cp1", "cp2", "cp3"];
/// The wall clock at the beginning; any would do.
const BEGINS: UnixMs = UnixMs(1_771_286_400_000);
/// For the model's chance and the rounds'.
const SEED: u64 = 1;
/// What every node is asked.
const OF_NODES: [ProbeKind; 11] = [
    ProbeKind::TalosServices,
    ProbeKind::TalosContainers,
    ProbeKind::TalosKubeletLog,
    ProbeKind::TalosMachine,
    ProbeKind::TalosDmesg,
    ProbeKind::EtcdStatus,
    ProbeKind::EtcdReadSerializable,
    ProbeKind::EtcdReadLinearizable,
    ProbeKind::EtcdMembers,
    ProbeKind::EtcdMetrics,
    ProbeKind::Apiserver,
];

/// Both clocks.
pub(crate) fn now(at: Tick) -> Now {
    Now { mono: at, wall: BEGINS.after(at.since(Tick(0))) }
}

/// The clusters' world and the engine before anything was seen, with the shipped playbooks.
pub(crate) fn begin() -> Result<(World, Fleet), defib::yaml::Problems> {
    let settings = settings(CLUSTERS, defib::playbook::load(defib::playbook::SHIPPED, None)?);
    Ok((World::of(&settings), Fleet::restore(&settings, &Saved::default(), now(Tick(0)))))
}

/// Polls until the engine has nothing more to say; whether it said anything.
pub(crate) fn poll(fleet: &mut Fleet, now: Now) -> bool {
    let mut news = false;
    while let Some(ready) = fleet.poll(now) {
        news = true;
        if let Some(batch) = ready.batch {
            let stored = Event::Stored { cluster: batch.cluster, batch: batch.id, result: Ok(()) };
            fleet.handle(stored, now);
        }
    }
    news
}

/// So many clusters with every source, in mode act, nothing armed.
fn settings(clusters: usize, playbooks: Vec<Playbook>) -> Settings {
    let cluster = ClusterSettings {
        nodes: NODES.map(str::to_owned).to_vec(),
        sources: ProbeKind::common().collect::<BTreeSet<_>>(),
        ..ClusterSettings::default()
    };
    let named = |number: usize| (format!("cluster-{number:03}"), cluster.clone());
    Settings { mode: Mode::Act, clusters: (0..clusters).map(named).collect(), playbooks, ..Settings::default() }
}

/// Who is asked when, and what they say.
pub(crate) struct World {
    model: Model,
    asked: Vec<(Target, ProbeKind)>,
    schedule: Schedule,
}

impl World {
    /// Every kind of probe for everything that the settings name.
    fn of(settings: &Settings) -> World {
        let mut asked = Vec::new();
        for cluster in settings.clusters.keys() {
            for node in NODES {
                let target = Target::Node(cluster.clone(), node.to_owned());
                asked.extend(OF_NODES.map(|kind| (target.clone(), kind)));
            }
            asked.push((Target::Vip(cluster.clone()), ProbeKind::Vip));
            asked.push((Target::Own(cluster.clone()), ProbeKind::Credentials));
        }
        let every = asked.iter().map(|(_, kind)| kind.every()).collect();
        let schedule = Schedule::new(every, SEED, Tick(0));
        World { model: Model::well(NODES.len() as u64, Way::Talos, SEED), asked, schedule }
    }

    /// What is seen until then, each with when, in order.
    pub(crate) fn until(&mut self, end: Tick) -> Vec<(Tick, Event)> {
        let mut seen = Vec::new();
        while let Some(due) = self.schedule.next_due().filter(|due| *due < end) {
            let Some(index) = self.schedule.take_due(due) else { break };
            let (target, kind) = &self.asked[index];
            self.model.advance(due);
            let (after, answer) = self.model.answer(target, *kind);
            let at = due + after;
            let observation = Observation {
                target: target.clone(),
                path: path(target, *kind),
                kind: *kind,
                sent: due,
                at,
                seen: answer,
            };
            seen.push((at, Event::Observed(observation)));
        }
        seen.sort_by_key(|(at, _)| *at);
        seen
    }
}

fn path(target: &Target, kind: ProbeKind) -> Path {
    match (target, kind) {
        (Target::Vip(_), _) => Path::Vip,
        (Target::Canary(_), _) => Path::Outside,
        (Target::Own(_), _) => Path::Own,
        (_, ProbeKind::TalosServices | ProbeKind::TalosContainers | ProbeKind::TalosKubeletLog) => Path::Talos,
        _ => Path::Direct,
    }
}
