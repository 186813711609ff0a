//! What a preflight asks again for each check, and what checks make of a world at the edge of their figures.

use super::*;
use crate::ledger::Reservation;
use crate::observation::{
    EtcdMember, EtcdMembers, EtcdMetrics, EtcdStatus, Facts, Failure, KernelLog, Observation, OomKill, Path, Seen,
    Service, Stage, TalosMachine, TalosServices, VirtualMachine, VmState,
};
use crate::playbook::{Action, ActionClass, Limit, Limits, RebootMode, RestartableService, Verify, VmDeed, When};
use crate::settings::ClusterSettings;
use crate::time::UnixMs;
use crate::view::Elsewhere;
use crate::world::World;

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
    let asked: Vec<_> = ProbeKind::common().collect();
    with(world, Elsewhere::default(), &asked, look)
}

/// The same where this is so elsewhere, and only these kinds can be asked.
fn with<T>(world: &World, elsewhere: Elsewhere, sources: &[ProbeKind], look: impl FnOnce(&Case<'_>) -> T) -> T {
    let settings = ClusterSettings {
        nodes: ["cp1", "cp2", "cp3"].map(str::to_owned).to_vec(),
        sources: sources.iter().copied().collect(),
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
            elsewhere,
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
        needs: &[],
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
    assert_eq!(
        asked("etcd-data-sound"),
        ["cp1 etcd.status", "cp2 etcd.status", "cp3 etcd.status", "cp2 talos.machine"]
    );
    assert_eq!(asked("etcd-member-serving"), ["cp2 etcd.read-linearizable"]);
    assert_eq!(asked("holds-vip"), ["vip vip"]);
    assert_eq!(asked("no-ready-apiserver"), ["cp1 apiserver", "cp2 apiserver", "cp3 apiserver", "vip vip"]);
    assert_eq!(asked("memory-suffices"), ["cp2 talos.dmesg"]);
    assert_eq!(asked("pod-settled"), ["cp2 talos.containers"]);
    assert_eq!(asked("talos-reachable"), ["cp2 talos.services"]);
    let all = REQUIREMENTS.iter().filter(|check| asked(check.name).is_empty());
    assert_eq!(all.count(), 0, "a requirement that reads nothing rests on nothing");
}

/// Every machine answers, and `cp3` booted so many seconds ago.
fn booted(ago_s: u64) -> World {
    let mut world = World::default();
    for node in ["cp1", "cp2", "cp3"] {
        let boot_time_s = if node == "cp3" { DAY_S - ago_s } else { DAY_S - 7_200 };
        let machine = TalosMachine { boot_time_s, ..TalosMachine::default() };
        let service = Service { id: "etcd".to_owned(), state: "Running".to_owned(), healthy: Some(true) };
        let services = TalosServices { services: vec![service], ..TalosServices::default() };
        for (kind, facts) in [
            (ProbeKind::TalosMachine, Facts::TalosMachine(Box::new(machine))),
            (ProbeKind::TalosServices, Facts::TalosServices(services)),
        ] {
            world.fold(of(node, kind, Seen::Healthy(facts)));
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

/// What `cp2` answered to a kind of probe, so many seconds ago.
fn seen(kind: ProbeKind, ago_s: u64, seen: Seen) -> Observation {
    let at = Tick(600_000 - ago_s * 1_000);
    Observation { sent: at, at, ..of("cp2", kind, seen) }
}

/// What a node answered just now.
fn of(node: &str, kind: ProbeKind, seen: Seen) -> Observation {
    let (target, at) = (Target::Node("prod".to_owned(), node.to_owned()), Tick(600_000));
    Observation { target, path: Path::Direct, kind, sent: at, at, seen }
}

#[test]
fn one_fresh_answer_proves_that_we_are_connected_and_an_old_one_or_a_silence_does_not() {
    let judged = |seen: &[Observation]| {
        let mut world = World::default();
        seen.iter().for_each(|one| world.fold(one.clone()));
        about_cp2(&world, |case| (not_isolated::CHECK.judge)(case))
    };
    let (machine, services) = (ProbeKind::TalosMachine, ProbeKind::TalosServices);
    let well = || Seen::Healthy(Facts::TalosMachine(Box::default()));
    let mute = || Seen::Unhealthy(Failure::Timeout(Stage::Connect));
    let age_s = machine.max_age().as_secs();
    assert_eq!(judged(&[]).unwrap_err().text, "nothing answers, canaries configured: 0");
    assert_eq!(judged(&[seen(machine, 0, well())]), Ok("1 probes are answered".to_owned()));
    let refused = seen(services, 0, Seen::Unhealthy(Failure::Refused));
    assert_eq!(judged(&[seen(machine, age_s, well()), refused]), Ok("2 probes are answered".to_owned()));
    assert!(judged(&[seen(machine, age_s + 1, well()), seen(services, 0, mute())]).is_err());
    // Our own files lie on this side of every wire, and a kernel's log that came half a minute ago tells of then.
    let own = Observation {
        target: Target::Own("prod".to_owned()),
        ..seen(ProbeKind::Credentials, 0, Seen::Healthy(Facts::Credentials(Vec::new())))
    };
    let log = seen(ProbeKind::TalosDmesg, 30, Seen::Healthy(Facts::TalosDmesg(KernelLog::default())));
    assert!(judged(&[own, log, seen(services, 0, mute())]).is_err());
}

#[test]
fn the_way_is_broken_where_more_are_mute_than_the_quorum_that_serves_can_spare() {
    let judged = |mute: &[&str], serves: bool| {
        let mut world = World::default();
        let lost = || Seen::Unhealthy(Failure::Timeout(Stage::Connect));
        mute.iter().for_each(|node| world.fold(of(node, ProbeKind::Apiserver, lost())));
        let read = Seen::Healthy(Facts::EtcdRead { took: Duration::from_millis(2) });
        world.fold(of("cp3", ProbeKind::EtcdReadLinearizable, if serves { read } else { lost() }));
        let elsewhere = Elsewhere { answers: true, ..Elsewhere::default() };
        with(&world, elsewhere, &ProbeKind::ALL, |case| (not_isolated::CHECK.judge)(case))
    };
    let connected = Ok("a canary or another cluster answers".to_owned());
    assert_eq!(judged(&[], true), connected);
    assert_eq!(judged(&["cp1"], true), connected, "three voters spare one");
    let hold = judged(&["cp1", "cp2"], true).unwrap_err();
    assert!(hold.text.starts_with("2 machines are mute to us"), "{}", hold.text);
    assert_eq!(hold.lifts, Lift::Clears("machine-unreachable"));
    assert_eq!(judged(&["cp1", "cp2"], false), connected, "nobody serves: they may well be dead");
}

#[test]
fn a_machine_waits_for_a_disruptive_run_in_another_cluster_and_a_service_does_not() {
    let elsewhere = Elsewhere { disrupted: true, ..Elsewhere::default() };
    let judged = |steps: Option<Vec<Action>>| {
        with(&World::default(), elsewhere, &ProbeKind::ALL, |case| {
            let playbook = Playbook { steps: steps.unwrap_or(case.playbook.steps.clone()), ..case.playbook.clone() };
            (one_at_a_time::CHECK.judge)(&Case { playbook: &playbook, ..*case })
        })
    };
    let hold = judged(None).unwrap_err();
    assert_eq!((hold.text.as_str(), hold.lifts), ("a disruptive run is under way in another cluster", Lift::RunEnds));
    let deadline = Duration::from_secs(60);
    let restart = Action::RestartService { service: RestartableService::Kubelet, deadline };
    assert_eq!(judged(Some(vec![restart])), Ok("no other run".to_owned()));
}

#[test]
fn a_service_that_its_own_talos_calls_unhealthy_is_a_view_of_its_own() {
    let judged = |healthy: Option<bool>| {
        let mut world = World::default();
        let service = Service { id: "etcd".to_owned(), state: "Running".to_owned(), healthy };
        let services = TalosServices { services: vec![service], ..TalosServices::default() };
        world.fold(seen(ProbeKind::TalosServices, 0, Seen::Healthy(Facts::TalosServices(services))));
        world.fold(seen(ProbeKind::EtcdStatus, 0, Seen::Unhealthy(Failure::Timeout(Stage::Response))));
        about_cp2(&world, |case| (two_views::CHECK.judge)(case))
    };
    let both = "we see etcd.status response-timeout; its own Talos says etcd is unhealthy (hypervisor: not asked)";
    assert_eq!(judged(Some(false)), Ok(both.to_owned()));
    for healthy in [Some(true), None] {
        let text = judged(healthy).unwrap_err().text;
        assert!(text.starts_with("one view alone: we see etcd.status response-timeout; its own Talos finds"), "{text}");
    }
}

#[test]
fn what_fails_everywhere_or_may_be_ours_is_no_view_of_a_node() {
    let judged = |kind: ProbeKind, failure: Failure, another_serves: bool| {
        let mut world = World::default();
        let service = Service { id: "etcd".to_owned(), state: "Running".to_owned(), healthy: Some(false) };
        let services = TalosServices { services: vec![service], ..TalosServices::default() };
        world.fold(seen(ProbeKind::TalosServices, 0, Seen::Healthy(Facts::TalosServices(services))));
        world.fold(seen(kind, 0, Seen::Unhealthy(failure)));
        let read = Seen::Healthy(Facts::EtcdRead { took: Duration::from_millis(2) });
        let late = Seen::Unhealthy(Failure::Timeout(Stage::Response));
        world.fold(of("cp3", ProbeKind::EtcdReadLinearizable, if another_serves { read } else { late }));
        about_cp2(&world, |case| (two_views::CHECK.judge)(case)).is_ok()
    };
    let late = || Failure::Timeout(Stage::Response);
    assert!(judged(ProbeKind::EtcdReadLinearizable, late(), true));
    assert!(!judged(ProbeKind::EtcdReadLinearizable, late(), false), "a quorum that is lost fails every read");
    assert!(judged(ProbeKind::Apiserver, late(), false));
    assert!(!judged(ProbeKind::Apiserver, Failure::Tls("expired".to_owned()), true), "the certificate may be ours");
    assert!(!judged(ProbeKind::EtcdStatus, Failure::Garbage("HTTP/1.1".to_owned()), true));
}

#[test]
fn where_nobody_can_tell_of_starvation_that_is_said_and_holds_nothing() {
    let judged = |sources: &[ProbeKind]| {
        with(&World::default(), Elsewhere::default(), sources, |case| (not_starved::CHECK.judge)(case))
    };
    assert_eq!(judged(&[ProbeKind::TalosServices]), Ok("talos.machine: not asked".to_owned()));
    assert!(judged(&[ProbeKind::TalosMachine]).is_err(), "a source that has not answered yet is no clearance");
}

#[test]
fn every_guard_can_be_left_out_by_its_name_and_no_other_with_it() {
    for guard in GUARDS {
        let left = Guards::all_but(guard.name).unwrap();
        let named: Vec<_> = left.in_force().map(|one| one.name).collect();
        assert_eq!(named.len(), GUARDS.len() - 1);
        assert!(!named.contains(&guard.name));
        assert_eq!(left.wants_fresh(), guard.name != "fresh");
    }
    assert!(Guards::all_but("no-such-guard").is_none());
}

/// What the member of a node answers; the member of `cp2`, number 2, leads.
fn member(node: &str, applied_index: u64) -> [Observation; 2] {
    let member_id = u64::from(node.as_bytes()[2] - b'0');
    let status = EtcdStatus { cluster_id: 7, member_id, leader: 2, applied_index, ..EtcdStatus::default() };
    let read = Facts::EtcdRead { took: Duration::from_millis(2) };
    let facts = [(ProbeKind::EtcdStatus, Facts::EtcdStatus(status)), (ProbeKind::EtcdReadLinearizable, read)];
    facts.map(|(kind, facts)| of(node, kind, Seen::Healthy(facts)))
}

#[test]
fn the_voter_that_has_applied_most_leads_next_and_the_first_of_equals() {
    let world_of = |cp1: u64, cp3: u64| {
        let mut world = World::default();
        [("cp1", cp1), ("cp2", 5_000), ("cp3", cp3)]
            .into_iter()
            .flat_map(|(node, applied)| member(node, applied))
            .for_each(|one| world.fold(one));
        world
    };
    let heir = |cp1, cp3| about_cp2(&world_of(cp1, cp3), |case| heir::heir(&case.view, case.patient).cloned());
    assert_eq!(heir(4_998, 4_999), Ok("cp3".to_owned()));
    assert_eq!(heir(4_999, 4_998), Ok("cp1".to_owned()));
    assert_eq!(heir(4_999, 4_999), Ok("cp1".to_owned()));
    assert_eq!(heir(4_000, 3_999), Ok("cp1".to_owned()), "a thousand entries behind is near enough");
    let alone = about_cp2(&world_of(4_999, 4_999), |case| {
        let settings = ClusterSettings { nodes: vec!["cp2".to_owned()], ..case.view.settings.clone() };
        heir::heir(&View { settings: &settings, ..case.view }, case.patient).cloned()
    });
    assert_eq!(alone, Err("there is no voter but that of cp2".to_owned()));
    let nobody = "no other voter can lead: cp1: 1001 entries behind; cp3: 1001 entries behind";
    assert_eq!(heir(3_999, 3_999), Err(nobody.to_owned()));
}

#[test]
fn a_member_that_answers_under_another_number_than_its_peers_list_is_not_lost() {
    let lost = |answers_as: Option<u64>| {
        let mut world = World::default();
        for node in ["cp1", "cp3"] {
            let members = [1, 2, 3].map(|id| EtcdMember { id, ..EtcdMember::default() }).to_vec();
            let list = Facts::EtcdMembers(EtcdMembers { cluster_id: 7, members });
            let [mut status, mut own] = member(node, 5_000);
            if let Seen::Healthy(Facts::EtcdStatus(status)) = &mut status.seen {
                status.errors = vec!["memberID:2 alarm:CORRUPT ".to_owned()];
            }
            (own.kind, own.seen) = (ProbeKind::EtcdMembers, Seen::Healthy(list));
            [status, own].into_iter().for_each(|one| world.fold(one));
        }
        if let Some(member_id) = answers_as {
            let status = Facts::EtcdStatus(EtcdStatus { member_id, ..EtcdStatus::default() });
            world.fold(seen(ProbeKind::EtcdStatus, 0, Seen::Healthy(status)));
        }
        about_cp2(&world, |case| member_lost::lost(&case.view, case.patient))
    };
    let named = Ok("the alarm CORRUPT names its member 2, and no other".to_owned());
    assert_eq!(lost(None), named);
    assert_eq!(lost(Some(2)), named);
    assert_eq!(lost(Some(9)), Err("it answers as member 9, and its peers list 2".to_owned()));
}

#[test]
fn without_a_quorum_only_what_stands_still_is_touched_and_a_paused_machine_is_woken_but_not_reset() {
    let deadline = Duration::from_secs(60);
    let restart = || Action::RestartService { service: RestartableService::Kubelet, deadline };
    let judged = |state: VmState, step: Action| {
        let mut world = World::default();
        let vm = VirtualMachine { host: "pve1".to_owned(), state, ..VirtualMachine::default() };
        world.fold(seen(ProbeKind::HypervisorVm, 0, Seen::Healthy(Facts::HypervisorVm(Box::new(vm)))));
        world.fold(seen(ProbeKind::EtcdStatus, 0, Seen::Unhealthy(Failure::Timeout(Stage::Connect))));
        with(&world, Elsewhere::default(), &ProbeKind::ALL, |case| {
            let playbook = Playbook { steps: vec![step], ..case.playbook.clone() };
            (quorum::CHECK.judge)(&Case { playbook: &playbook, ..*case })
        })
    };
    let vm = |deed| Action::Vm { deed, deadline };
    let mute = "no linearizable read succeeds through any of 3 voters, a quorum needs 2";
    assert_eq!(judged(VmState::Running, restart()).unwrap_err().text, mute);
    assert_eq!(judged(VmState::Paused, vm(VmDeed::Reset)).unwrap_err().text, mute);
    let says = |word: &str| format!("cp2's member takes no part already: pve1 says its machine is {word}");
    assert_eq!(judged(VmState::Paused, vm(VmDeed::Resume)), Ok(says("paused")));
    assert_eq!(judged(VmState::Stopped, vm(VmDeed::Start)), Ok(says("stopped")));
}

#[test]
fn the_patients_stage_must_be_told_where_it_is_asked_for_and_nobody_elses() {
    let judged = |stage: Option<&str>| {
        let mut world = booted(7_200);
        if let Some(stage) = stage {
            world.fold(seen(ProbeKind::TalosStage, 0, Seen::Healthy(Facts::TalosStage(stage.to_owned()))));
        }
        let asked: Vec<_> = ProbeKind::common().chain([ProbeKind::TalosStage]).collect();
        with(&world, Elsewhere::default(), &asked, |case| (undisturbed::CHECK.judge)(case))
    };
    assert_eq!(judged(Some("running")), Ok("nobody is seen at work anywhere".to_owned()));
    assert_eq!(judged(Some("upgrading")).unwrap_err().text, "Talos of cp2 says that the machine is upgrading");
    assert_eq!(judged(None).unwrap_err().lifts, Lift::Fresh(ProbeKind::TalosStage));
}

#[test]
fn two_kills_after_a_revival_within_the_hour_hold_and_none_of_its_own_instant_is_counted() {
    let judged = |revived_s: u64, kills_s: &[u64]| {
        let mut world = World::default();
        let kill = |ago_s: &u64| OomKill {
            process: "kube-apiserver".to_owned(),
            rss_bytes: 0,
            ago: Duration::from_secs(*ago_s),
        };
        let log = KernelLog { oom_kills: kills_s.iter().map(kill).collect() };
        world.fold(seen(ProbeKind::TalosDmesg, 0, Seen::Healthy(Facts::TalosDmesg(log))));
        with(&world, Elsewhere::default(), &ProbeKind::ALL, |case| {
            let run = Reservation {
                cluster: "prod".to_owned(),
                node: "cp2".to_owned(),
                playbook: case.playbook.name.clone(),
                run: "R-1".to_owned(),
                class: ActionClass::Service,
                at: UnixMs(0),
                age: Some(Duration::from_secs(revived_s)),
                ended: true,
            };
            let ledger = Ledger::open(vec![run], &[], case.now);
            (memory_suffices::CHECK.judge)(&Case { ledger: &ledger, ..*case })
        })
    };
    let hold = judged(3_599, &[600, 100]).unwrap_err();
    assert_eq!(hold.lifts, Lift::At(Tick(601_000)));
    assert_eq!(judged(3_600, &[600, 100]), Ok("p did not run on cp2 within 1h".to_owned()));
    assert_eq!(judged(600, &[600, 100]), Ok("kube-apiserver was killed 1 times since the last run".to_owned()));
}

#[test]
fn a_frozen_machine_is_one_that_its_serving_peers_have_lost_too() {
    let judged = |unsent: Option<[Option<f64>; 2]>, sources: &[ProbeKind]| {
        let mut world = World::default();
        let vm = VirtualMachine { host: "pve1".to_owned(), cpu_percent: Some(0.0), ..VirtualMachine::default() };
        world.fold(seen(ProbeKind::HypervisorVm, 0, Seen::Healthy(Facts::HypervisorVm(Box::new(vm)))));
        world.fold(seen(ProbeKind::HypervisorHost, 0, Seen::Healthy(Facts::HypervisorHost(Box::default()))));
        let read = Seen::Healthy(Facts::EtcdRead { took: Duration::from_millis(2) });
        world.fold(of("cp1", ProbeKind::EtcdReadLinearizable, read));
        for (ago_s, peer_sent_failures) in [10, 0].into_iter().zip(unsent.unwrap_or_default()) {
            let metrics = EtcdMetrics { peer_sent_failures, ..EtcdMetrics::default() };
            let at = Tick(600_000 - ago_s * 1_000);
            let scrape = of("cp1", ProbeKind::EtcdMetrics, Seen::Healthy(Facts::EtcdMetrics(Box::new(metrics))));
            if unsent.is_some() {
                world.fold(Observation { sent: at, at, ..scrape });
            }
        }
        with(&world, Elsewhere::default(), sources, |case| (vm_hangs::CHECK.judge)(case))
    };
    let all = &ProbeKind::ALL;
    let hangs = || Ok("cp2 runs and uses 0.0 % of its processors, and its member serves nobody".to_owned());
    assert_eq!(judged(Some([Some(3.0), Some(4.0)]), all), hangs());
    let hold = judged(Some([Some(3.0), Some(3.0)]), all).unwrap_err();
    assert_eq!(hold.text, "cp1 serves and reaches each of its peers");
    let hold = judged(None, all).unwrap_err();
    assert_eq!((hold.text.as_str(), hold.lifts), ("etcd.metrics: not seen yet", Lift::Fresh(ProbeKind::EtcdMetrics)));
    // What nobody can be asked for, or a member does not tell, speaks against nothing.
    let others: Vec<_> = all.iter().copied().filter(|kind| *kind != ProbeKind::EtcdMetrics).collect();
    assert_eq!(judged(None, &others), hangs());
    assert_eq!(judged(Some([None, None]), all), hangs());
}
