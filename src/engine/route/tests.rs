//! The route over time, look by look: order, stickiness, and what unknown does.

use crate::time::UnixMs;
use std::collections::BTreeSet;

use super::*;
use crate::observation::{Apiserver, Failure, Path, Vip};
use crate::settings::ClusterSettings;
use crate::view::Elsewhere;
use crate::world::World;

const CP1: &str = "cp1";
const CP2: &str = "cp2";
const CP3: &str = "cp3";

/// A cluster of three with a virtual address, and its router.
struct Play {
    settings: ClusterSettings,
    world: World,
    router: Router,
    /// The nodes that a finding speaks against.
    lost: BTreeSet<NodeName>,
    now: Tick,
}

impl Play {
    fn new(saved: Route) -> Play {
        let nodes: Vec<NodeName> = [CP1, CP2, CP3].map(str::to_owned).into();
        let settings = ClusterSettings {
            nodes: nodes.clone(),
            sources: BTreeSet::from([ProbeKind::Apiserver, ProbeKind::Vip]),
            ..ClusterSettings::default()
        };
        Play {
            settings,
            world: World::default(),
            router: Router::restored(&saved, &nodes),
            lost: BTreeSet::new(),
            now: Tick(1_000_000),
        }
    }

    fn see(&mut self, target: Target, kind: ProbeKind, seen: Seen) {
        let (sent, at) = (self.now, self.now);
        self.world.fold(Observation { target, path: Path::Direct, kind, sent, at, seen });
    }

    fn node(&mut self, node: &str, ready: bool, took_ms: u64) {
        let took = Duration::from_millis(took_ms);
        let facts = Facts::Apiserver(Apiserver { ready, live: true, took, ..Apiserver::default() });
        let target = Target::Node("prod".to_owned(), node.to_owned());
        self.see(target, ProbeKind::Apiserver, Seen::Healthy(facts));
    }

    fn vip(&mut self, ready: bool) {
        let seen = if ready {
            Seen::Healthy(Facts::Vip(Vip { ready, ..Vip::default() }))
        } else {
            Seen::Unhealthy(Failure::Refused)
        };
        self.see(Target::Vip("prod".to_owned()), ProbeKind::Vip, seen);
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    fn judge(&mut self, vip_lost: bool) -> (bool, String, Option<String>) {
        let view = View {
            cluster: &"prod".to_owned(),
            settings: &self.settings,
            world: &self.world,
            elsewhere: Elsewhere::default(),
            now: self.now,
            wall: UnixMs::default(),
            seen_once: false,
            ages: true,
        };
        let told = self.router.judge(view, vip_lost, &self.lost);
        (self.router.route().direct, self.router.route().ready.join(" "), told)
    }

    /// Everybody is ready for long enough to be in the list, and the address is well.
    fn well(&mut self) {
        for _ in 0..4 {
            for (node, took_ms) in [(CP1, 9), (CP2, 3), (CP3, 6)] {
                self.node(node, true, took_ms);
            }
            self.vip(true);
            self.judge(false);
            self.wait(1);
        }
    }
}

fn saved(direct: bool, ready: &[&str]) -> Route {
    let ready = ready.iter().map(ToString::to_string).collect();
    Route { direct, direct_since: direct.then_some(UnixMs(7)), ready, suspect: Vec::new() }
}

#[test]
fn the_fastest_is_first_and_stays_first() {
    let mut play = Play::new(Route::default());
    for (node, took_ms) in [(CP1, 9), (CP2, 3), (CP3, 6)] {
        play.node(node, true, took_ms);
    }
    assert_eq!(play.judge(false).1, "cp2 cp3 cp1");
    play.node(CP1, true, 1);
    assert_eq!(play.judge(false).1, "cp2 cp3 cp1", "a little faster is no reason to move everybody");
}

#[test]
fn who_stumbles_is_suspect_and_is_given_up_once_a_finding_says_so() {
    let mut play = Play::new(Route::default());
    play.well();
    assert_eq!(play.judge(false).1, "cp2 cp3 cp1");
    play.node(CP2, false, 3);
    assert_eq!(play.judge(false), (false, "cp3 cp1".to_owned(), None));
    assert_eq!(play.router.route().suspect, [CP2]);
    play.node(CP2, true, 3);
    assert_eq!(play.judge(false).1, "cp3 cp1 cp2", "a stumble costs the first place, no more");
    play.node(CP2, false, 3);
    play.lost.insert(CP2.to_owned());
    play.judge(false);
    assert_eq!(play.router.route().suspect, [""; 0]);
    play.lost.clear();
    play.node(CP2, true, 3);
    assert_eq!(play.judge(false).1, "cp3 cp1", "it may be gone again in a second");
    play.wait(2);
    assert_eq!(play.judge(false).1, "cp3 cp1 cp2");
}

#[test]
fn the_only_one_is_back_at_once() {
    let mut play = Play::new(Route::default());
    play.node(CP1, false, 3);
    assert_eq!(play.judge(true), (false, String::new(), None), "nobody to go to");
    play.node(CP1, true, 3);
    let (direct, ready, told) = play.judge(true);
    assert_eq!((direct, ready.as_str()), (true, "cp1"));
    assert_eq!(told.as_deref(), Some("direct to cp1: the virtual address is lost"));
}

#[test]
fn who_is_much_slower_for_long_gives_way() {
    let mut play = Play::new(saved(false, &[CP2, CP3]));
    for _ in 0..10 {
        play.node(CP2, true, 900);
        play.node(CP3, true, 5);
        assert_eq!(play.judge(false).1, "cp2 cp3");
        play.wait(1);
    }
    play.node(CP2, true, 900);
    play.node(CP3, true, 5);
    assert_eq!(play.judge(false).1, "cp3 cp2");
}

#[test]
fn direct_moves_on_when_its_node_is_lost_and_reverts_when_the_address_has_been_well() {
    let mut play = Play::new(Route::default());
    play.well();
    play.vip(false);
    assert!(!play.judge(false).0, "one look is no finding");
    assert_eq!(play.judge(true).2.as_deref(), Some("direct to cp2: the virtual address is lost"));
    assert_eq!(play.judge(true).2, None, "said once");
    play.node(CP2, false, 3);
    assert_eq!(play.judge(true).2.as_deref(), Some("direct to cp3"));
    play.wait(5);
    play.vip(true);
    assert!(play.judge(true).0);
    for _ in 0..14 {
        play.wait(2);
        play.vip(true);
        assert!(play.judge(false).0, "well for less than 30 s");
    }
    play.vip(false);
    assert!(play.judge(false).0, "a break counts from the beginning");
    for _ in 0..15 {
        play.wait(2);
        play.vip(true);
        assert!(play.judge(false).0);
    }
    play.wait(2);
    play.vip(true);
    let (direct, _, told) = play.judge(false);
    assert_eq!((direct, told.as_deref()), (false, Some("as configured again: the virtual address is well")));
}

#[test]
fn what_is_unknown_changes_nothing() {
    let mut play = Play::new(saved(true, &[CP3, CP1, "gone"]));
    assert_eq!(play.judge(false), (true, "cp3 cp1".to_owned(), None), "before the first look");
    play.wait(3_600);
    assert_eq!(play.judge(false).1, "cp3 cp1");
    play.node(CP1, true, 3);
    assert_eq!(play.judge(false).1, "cp1 cp3", "known to be ready goes before not known");
    play.see(
        Target::Node("prod".to_owned(), CP1.to_owned()),
        ProbeKind::Apiserver,
        Seen::Unknown(Why::Unauthorized("401".to_owned())),
    );
    play.node(CP3, false, 3);
    assert_eq!(play.judge(false).1, "cp1");
}

#[test]
fn without_a_virtual_address_nothing_is_direct() {
    let mut play = Play::new(saved(true, &[CP1]));
    play.settings.sources.remove(&ProbeKind::Vip);
    play.node(CP1, true, 3);
    assert!(!play.judge(true).0);
}

#[test]
fn since_when_it_is_direct_outlives_a_restart_and_ends_with_it() {
    let nodes = [CP1, CP2].map(str::to_owned);
    let since = |route: &Route| Router::restored(route, &nodes).route().direct_since;
    assert_eq!(since(&saved(true, &[CP1])), Some(UnixMs(7)));
    assert_eq!(since(&Route { direct: false, ..saved(true, &[CP1]) }), None);
    let mut play = Play::new(Route::default());
    play.well();
    assert_eq!(play.router.route().direct_since, None);
    play.vip(false);
    play.judge(true);
    assert_eq!(play.router.route().direct_since, Some(UnixMs::default()));
    play.vip(true);
    play.wait(1);
    play.judge(false);
    play.wait(31);
    play.well();
    assert_eq!((play.router.route().direct, play.router.route().direct_since), (false, None));
}
