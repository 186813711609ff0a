//! What a preflight asks again for each check, and how long a machine that booted is left alone.

use super::*;
use crate::observation::{Facts, Observation, Path, Seen, Service, TalosMachine, TalosServices};
use crate::playbook::{Action, Limit, Limits, RebootMode, Verify, When};
use crate::settings::ClusterSettings;
use crate::time::UnixMs;
use crate::view::{Elsewhere, World};

const DAY_S: u64 = 86_400;

fn reboot() -> Playbook {
    let rule = crate::diagnosis::ALL[0];
    let limit = Limit { count: 1, window: Duration::from_secs(3_600) };
    Playbook {
        name: "p".into(),
        when: When { finding: rule, for_: Duration::ZERO },
        require: Vec::new(),
        limits: Limits { per_node: limit, per_cluster: limit, cooldown: Duration::from_secs(300) },
        veto: Duration::ZERO,
        steps: vec![Action::RebootNode { mode: RebootMode::Default, deadline: Duration::from_secs(60) }],
        verify: Verify { cleared: vec![rule], within: Duration::from_secs(180), steady_for: Duration::from_secs(20) },
        otherwise: None,
        text: String::new(),
    }
}

/// Hands a case about `cp2` of three nodes to `look`, a day after 1970 began.
fn about_cp2<T>(world: &World, look: impl FnOnce(&Case<'_>) -> T) -> T {
    let settings = ClusterSettings {
        nodes: ["cp1", "cp2", "cp3"].map(str::to_owned).to_vec(),
        sources: ProbeKind::ALL.into_iter().collect(),
        ..ClusterSettings::default()
    };
    let now = Now { mono: Tick(600_000), wall: UnixMs(i64::try_from(DAY_S * 1_000).unwrap()) };
    let (cluster, patient, playbook) = ("prod".to_owned(), "cp2".to_owned(), reboot());
    let ledger = Ledger::open(Vec::new(), &[], now);
    look(&Case {
        view: View {
            cluster: &cluster,
            settings: &settings,
            world,
            elsewhere: Elsewhere::default(),
            now: now.mono,
            wall: now.wall,
            seen_once: false,
            ages: true,
        },
        playbook: &playbook,
        patient: &patient,
        guards: Guards::default(),
        ledger: &ledger,
        mode: Mode::Act,
        person: None,
        pauses: &[],
        store_answers: true,
        other_run: None,
        now,
        duration: Duration::ZERO,
    })
}

#[test]
fn a_preflight_asks_again_whatever_a_requirement_reads() {
    let asked = |name: &str| -> Vec<String> {
        let check = requirement(name).unwrap();
        let told = |(target, kind): (Target, ProbeKind)| {
            format!("{} {}", target.node().map_or("vip", String::as_str), kind.name())
        };
        about_cp2(&World::default(), |case| (check.needs)(case).into_iter().map(told).collect())
    };
    assert_eq!(asked("another-apiserver-ready"), ["cp1 apiserver", "cp3 apiserver"]);
    assert_eq!(asked("apiserver-ready"), ["cp2 apiserver"]);
    assert_eq!(asked("etcd-data-sound"), ["cp1 etcd.status", "cp2 etcd.status", "cp3 etcd.status"]);
    assert_eq!(asked("etcd-member-serving"), ["cp2 etcd.read-linearizable"]);
    assert_eq!(asked("holds-vip"), ["vip vip"]);
    assert_eq!(asked("no-ready-apiserver"), ["cp1 apiserver", "cp2 apiserver", "cp3 apiserver", "vip vip"]);
    assert_eq!(asked("pod-settled"), ["cp2 talos.containers"]);
    assert_eq!(asked("talos-reachable"), ["cp2 talos.services"]);
    let all = REQUIREMENTS.iter().filter(|check| asked(check.name).is_empty());
    assert_eq!(all.count(), 0, "a requirement that reads nothing rests on nothing");
}

/// Every machine answers, and `cp3` booted so many seconds ago.
fn booted(ago_s: u64) -> World {
    let mut world = World::default();
    let at = Tick(600_000);
    for node in ["cp1", "cp2", "cp3"] {
        let target = Target::Node("prod".to_owned(), node.to_owned());
        let boot_time_s = if node == "cp3" { DAY_S - ago_s } else { DAY_S - 7_200 };
        let machine = TalosMachine { boot_time_s, ..TalosMachine::default() };
        let service = Service { id: "etcd".to_owned(), state: "Running".to_owned(), healthy: Some(true) };
        let services = TalosServices { services: vec![service], ..TalosServices::default() };
        for (kind, facts) in [
            (ProbeKind::TalosMachine, Facts::TalosMachine(Box::new(machine))),
            (ProbeKind::TalosServices, Facts::TalosServices(services)),
        ] {
            let (target, seen) = (target.clone(), Seen::Healthy(facts));
            world.fold(Observation { target, path: Path::Direct, kind, sent: at, at, seen });
        }
    }
    world
}

#[test]
fn no_machine_is_taken_down_within_five_minutes_of_any_boot() {
    let judged = |ago_s| about_cp2(&booted(ago_s), |case| (undisturbed::CHECK.judge)(case));
    let hold = judged(100).unwrap_err();
    assert_eq!((hold.text.as_str(), hold.lifts), ("cp3 booted 1m40s ago", Lift::At(Tick(800_000))));
    let last = judged(299).unwrap_err();
    assert_eq!(last.lifts, Lift::At(Tick(601_000)));
    assert_eq!(judged(300), Ok("nobody is seen at work anywhere".to_owned()));
}
