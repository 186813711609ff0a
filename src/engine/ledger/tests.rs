//! Windows, cooldowns and clocks: what refills a limit, and what never does.

use super::*;
use crate::playbook::{Action, Limits, RebootMode, RestartableService, Verify, When};

const HOUR: Duration = Duration::from_secs(3600);

fn playbook(action: Action) -> Playbook {
    let rule = crate::diagnosis::ALL[0];
    Playbook {
        name: "p".into(),
        when: When { finding: rule, for_: Duration::ZERO },
        require: Vec::new(),
        limits: Limits {
            per_node: Limit { count: 2, window: HOUR },
            per_cluster: Limit { count: 3, window: HOUR * 6 },
            cooldown: Duration::from_secs(300),
        },
        veto: Duration::ZERO,
        steps: vec![action],
        verify: Verify { cleared: vec![rule], within: Duration::from_secs(180), steady_for: Duration::from_secs(20) },
        otherwise: None,
        text: String::new(),
    }
}

fn restart() -> Playbook {
    playbook(Action::RestartService { service: RestartableService::Kubelet, deadline: Duration::from_secs(60) })
}

fn now(mono_s: u64, wall_s: i64) -> Now {
    Now { mono: Tick(mono_s * 1_000), wall: UnixMs(wall_s * 1_000) }
}

fn row(node: &str, run: &str, wall_s: i64) -> Reservation {
    Reservation {
        cluster: "c".into(),
        node: node.into(),
        playbook: "p".into(),
        run: run.into(),
        class: ActionClass::Service,
        at: UnixMs(wall_s * 1_000),
        age: None,
        ended: false,
    }
}

fn room(ledger: &Ledger, node: &str, playbook: &Playbook, at: Now) -> Room {
    room_in(ledger, node, playbook, Used::default(), at)
}

fn room_in(ledger: &Ledger, node: &str, playbook: &Playbook, fleet: Used, at: Now) -> Room {
    let disruptive = &Disruptive::default();
    ledger.room(&Wanted { cluster: &"c".into(), node: &node.into(), playbook, disruptive, fleet }, at)
}

fn over(ledger: &Ledger, node: &str, at: Now) -> Option<u64> {
    room(ledger, node, &restart(), at).over.map(|wait| wait.as_secs())
}

#[test]
fn two_in_the_window_and_the_third_waits_for_the_first_to_leave_it() {
    let ledger = Ledger::open(vec![row("n", "a", 10_000), row("n", "b", 11_000)], &[], now(0, 12_000));
    assert_eq!(over(&ledger, "n", now(0, 12_000)), Some(1_600));
    assert_eq!(over(&ledger, "n", now(1_599, 13_599)), Some(1));
    assert_eq!(over(&ledger, "n", now(1_600, 13_600)), None);
    assert_eq!(over(&ledger, "other", now(0, 12_000)), None);
}

#[test]
fn the_cluster_has_a_window_of_its_own() {
    let ledger = Ledger::open(vec![row("1", "a", 0), row("2", "b", 0), row("3", "c", 0)], &[], now(0, 7_200));
    assert_eq!(over(&ledger, "4", now(0, 7_200)), Some(6 * 3_600 - 7_200));
}

#[test]
fn a_cooldown_counts_from_any_playbook_on_the_node() {
    let foreign = Reservation { playbook: "another".into(), ..row("n", "a", 1_000) };
    let ledger = Ledger::open(vec![foreign], &[], now(0, 1_100));
    assert_eq!(over(&ledger, "n", now(0, 1_100)), Some(200));
}

#[test]
fn no_jump_of_the_wall_clock_refills() {
    let mut ledger = Ledger::open(vec![row("n", "a", 900)], &[], now(0, 1_000));
    ledger.reserve(row("n", "b", 1_000), now(0, 1_000));
    let a_day_ahead = now(400, 1_400 + 86_400);
    assert_eq!(over(&ledger, "n", a_day_ahead), Some(3_600 - 500), "a jump ahead is not believed");
    let a_day_back = now(400, 1_400 - 86_400);
    assert_eq!(
        over(&ledger, "n", a_day_back),
        Some(3_600 - 500),
        "a jump back leaves it spent, and no longer than it was"
    );
    assert_eq!(ledger.stamp(a_day_back), UnixMs(1_400_000), "and is not written down");
}

#[test]
fn a_stamp_in_the_future_counts_as_new() {
    let ledger = Ledger::open(vec![row("n", "a", 99_000), row("n", "b", 99_000)], &[], now(0, 1_000));
    assert_eq!(over(&ledger, "n", now(0, 1_000)), Some(3_600));
    assert_eq!(over(&ledger, "n", now(600, 1_600)), Some(3_000), "and grows old from then on");
}

#[test]
fn a_clock_that_was_put_forward_while_nobody_ran_is_not_believed_where_the_machine_tells_better() {
    let aged = |run| Reservation { age: Some(Duration::from_secs(500)), ..row("n", run, 1_000) };
    let ledger = Ledger::open(vec![aged("a"), aged("b")], &[], now(0, 1_500 + 86_400));
    assert_eq!(over(&ledger, "n", now(0, 1_500 + 86_400)), Some(3_100));
}

#[test]
fn several_steps_of_one_run_count_once() {
    let ledger = Ledger::open(vec![row("n", "a", 1_000), row("n", "a", 1_010)], &[], now(0, 2_000));
    assert_eq!(over(&ledger, "n", now(0, 2_000)), None);
}

#[test]
fn disruptive_steps_keep_their_distance_in_the_cluster_whatever_the_node() {
    let reboot = playbook(Action::RebootNode { mode: RebootMode::Default, deadline: Duration::from_secs(60) });
    let other = Reservation { playbook: "q".into(), class: ActionClass::Disruptive, ..row("other", "a", 1_000) };
    let ledger = Ledger::open(vec![other], &[], now(0, 1_100));
    let wait = |playbook| room(&ledger, "n", playbook, now(0, 1_100)).over.map(|wait| wait.as_secs());
    assert_eq!(wait(&reboot), Some(500));
    assert_eq!(wait(&restart()), None, "a service's restart is no such step");
}

#[test]
fn a_reservation_is_remembered_for_thirty_days() {
    let at = |day: i64| now(0, day * 86_400);
    let mut ledger = Ledger::open(vec![row("n", "a", 86_400), row("m", "b", 3 * 86_400)], &[], at(32));
    ledger.reserve(row("k", "c", 32 * 86_400), at(32));
    let last = |node: &str| ledger.last_run(&"c".into(), &node.into(), "p", at(32));
    assert_eq!((last("n"), last("m")), (None, Some(Duration::from_secs(29 * 86_400))));
}

#[test]
fn five_runs_in_a_day_exhaust_a_playbook_on_a_node_until_somebody_looks() {
    let hours = |count: i64| (0..count).map(|n| row("n", &format!("r{n}"), n * 4 * 3_600)).collect::<Vec<_>>();
    let month = 86_400 * 20;
    assert!(!room(&Ledger::open(hours(4), &[], now(0, month)), "n", &restart(), now(0, month)).exhausted);
    let mut ledger = Ledger::open(hours(5), &[], now(0, month));
    assert!(room(&ledger, "n", &restart(), now(0, month)).exhausted, "no time alone cures it");
    assert!(!room(&ledger, "other", &restart(), now(0, month)).exhausted);
    let six = Ledger::open(hours(6), &[], now(0, month));
    assert!(room(&six, "n", &restart(), now(0, month)).exhausted, "nor does one run more");
    ledger.acknowledge("p".into(), "n".into(), now(10, month));
    assert!(!room(&ledger, "n", &restart(), now(11, month)).exhausted);

    let what = Ack { cluster: "c".into(), playbook: "p".into(), node: "n".into() };
    let kept = |at_s: i64| [Kept { what: what.clone(), at: UnixMs(at_s * 1_000), age: None }];
    let again = |at_s| {
        Ledger::open(hours(5), &kept(at_s), now(0, month)).is_exhausted(&"c".into(), &"n".into(), "p", now(0, month))
    };
    assert!(!again(17 * 3_600), "an acknowledgement outlives the process");
    assert!(!again(0), "a run of the same instant was seen by whoever looked");
    assert!(again(-1), "one that came before the runs says nothing of them");
}

#[test]
fn the_uses_of_the_limits_agree_with_the_room() {
    let ledger = Ledger::open(vec![row("n", "a", 10_000), row("n", "b", 11_000)], &[], now(0, 12_000));
    let nodes = ["n".to_owned(), "other".to_owned()];
    let uses = |at| ledger.limit_uses(&"c".into(), &nodes, &restart(), at);
    let told = |at| -> Vec<_> {
        let told = |one: LimitUse| (one.subject.to_string(), one.used, one.of, one.left(), one.room_at);
        uses(at).into_iter().map(told).collect()
    };
    let full = Some(Tick(1_600_000));
    let cluster = ("cluster".to_owned(), 2, 3, 1, None);
    let other = ("other".to_owned(), 0, 2, 2, None);
    assert_eq!(told(now(0, 12_000)), [cluster.clone(), ("n".to_owned(), 2, 2, 0, full), other.clone()]);
    assert_eq!(uses(now(0, 12_000)), uses(now(1_599, 13_599)), "time alone changes nothing until there is room");
    assert_eq!(told(now(1_600, 13_600)), [cluster, ("n".to_owned(), 1, 2, 1, None), other]);
    assert!(ledger.limit_uses(&"elsewhere".into(), &nodes, &restart(), now(0, 12_000)).iter().all(|one| one.used == 0));
}

#[test]
fn a_limit_of_none_names_no_time_at_which_it_has_room() {
    let mut none = restart();
    none.limits.per_node.count = 0;
    let ledger = Ledger::open(Vec::new(), &[], now(0, 12_000));
    let uses = ledger.limit_uses(&"c".into(), &["n".to_owned()], &none, now(0, 12_000));
    let node = uses.iter().find(|one| one.subject == Subject::Node("n".into())).unwrap();
    assert_eq!((node.left(), node.room_at), (0, None));
    assert_eq!(room(&ledger, "n", &none, now(0, 12_000)).over, Some(LONGEST_WINDOW));
}

#[test]
fn no_set_of_playbooks_takes_a_machine_down_all_day_nor_half_a_fleet_in_an_hour() {
    let reboot = playbook(Action::RebootNode { mode: RebootMode::Default, deadline: Duration::from_secs(60) });
    let row = |playbook: &str, wall_s| Reservation {
        playbook: playbook.into(),
        class: ActionClass::Disruptive,
        ..row("n", playbook, wall_s)
    };
    let at = now(0, 200_000);
    let day = |rows: Vec<Reservation>, node: &str| room(&Ledger::open(rows, &[], at), node, &reboot, at).over;
    let three = vec![row("a", 120_000), row("b", 140_000), row("c", 190_000)];
    assert_eq!(day(three[..2].to_vec(), "n"), None);
    assert_eq!(day(three.clone(), "n"), Some(Duration::from_secs(86_400 - 80_000)), "until the first is a day old");
    assert_eq!(day(three.clone(), "other"), None);
    let ledger = Ledger::open(three, &[], at);
    assert_eq!(room(&ledger, "n", &restart(), at).over, None, "what takes no machine down is not counted");

    let limit = Limit { count: 2, window: HOUR };
    let used = |ages: &[u64]| Used::of(ages.iter().map(|age| Duration::from_secs(*age)), limit);
    assert_eq!(used(&[60, 4_000]), Used { runs: 1, full_for: None });
    assert_eq!(used(&[60, 3_600]), Used { runs: 1, full_for: None }, "what is as old as the window has left it");
    let full = used(&[60, 600, 4_000]);
    assert_eq!(full, Used { runs: 2, full_for: Some(Duration::from_secs(3_000)) });
    let empty = Ledger::open(Vec::new(), &[], at);
    let told = room_in(&empty, "n", &reboot, full, at);
    assert_eq!(told.over, Some(Duration::from_secs(3_000)));
    assert!(told.text.ends_with("n 0 of 3 per 24h used, all clusters 2 of 6 per 1h used"), "{}", told.text);
    assert_eq!(room_in(&empty, "n", &restart(), full, at).over, None);
}

#[test]
fn a_ledger_is_empty_until_something_is_reserved_here_or_was_before() {
    assert!(!Ledger::open(vec![row("n", "a", 10_000)], &[], now(0, 12_000)).is_empty());
    let mut ledger = Ledger::open(Vec::new(), &[], now(0, 12_000));
    assert!(ledger.is_empty());
    ledger.reserve(row("n", "a", 12_000), now(0, 12_000));
    assert!(!ledger.is_empty());
}
