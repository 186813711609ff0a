//! What is counted over a window is what Prometheus counts: `changes()` of who holds the address, `resets()` of a machine's
//! processor time, and the `increase()` of a term and of a container's restarts, which only rise, between samples and without
//! its extrapolation.
//!
//! Prometheus's definitions are written out here, over the samples themselves; `tests/quantile.rs` has its quantiles.

use defib_engine::observation::{
    Apiserver, Container, CpuTimes, EtcdStatus, Facts, Observation, Path, ProbeKind, Seen, TalosMachine, Target, Vip,
};
use defib_engine::time::Tick;
use defib_engine::window::Windows;
use proptest::prelude::*;

const NODES: [&str; 3] = ["cp1", "cp2", "cp3"];
/// Between two samples, in ms.
const STEP: u64 = 1_000;

fn see(windows: &mut Windows, at: u64, target: Target, kind: ProbeKind, facts: Facts) {
    let at = Tick(at);
    windows.fold(&Observation { target, path: Path::Direct, kind, sent: at, at, seen: Seen::Healthy(facts) });
}

fn node(name: &str) -> Target {
    Target::Node("prod".to_owned(), name.to_owned())
}

/// How many samples of the window differ from the one before them.
fn pairs<T>(samples: &[T], from: usize, counts: impl Fn(&T, &T) -> bool) -> usize {
    let numbered = samples.windows(2).enumerate().filter(|(index, _)| index + 1 >= from);
    numbered.filter(|(_, pair)| counts(&pair[0], &pair[1])).count()
}

proptest! {
    #[test]
    fn moves_of_the_address_are_changes(holders in prop::collection::vec(0..3_usize, 1..60), from in 1..60_usize) {
        let mut windows = Windows::default();
        for name in NODES {
            let own = Apiserver { certificate_sha256: name.to_owned(), ..Apiserver::default() };
            see(&mut windows, 0, node(name), ProbeKind::Apiserver, Facts::Apiserver(own));
        }
        for (index, holder) in holders.iter().enumerate() {
            let shown = Vip { certificate_sha256: NODES[*holder].to_owned(), ..Vip::default() };
            see(&mut windows, index as u64 * STEP, Target::Vip("prod".to_owned()), ProbeKind::Vip, Facts::Vip(shown));
        }
        let counted = windows.moves_since(Tick(from as u64 * STEP)).count();
        prop_assert_eq!(counted, pairs(&holders, from, |before, now| before != now));
    }

    #[test]
    fn starts_of_a_machine_are_resets(times in prop::collection::vec(0..5_u32, 1..60), from in 1..60_usize) {
        let mut windows = Windows::default();
        for (index, idle_s) in times.iter().enumerate() {
            let cpu = CpuTimes { idle_s: f64::from(*idle_s), ..CpuTimes::default() };
            let machine = Facts::TalosMachine(Box::new(TalosMachine { cpu, ..TalosMachine::default() }));
            see(&mut windows, index as u64 * STEP, node("cp1"), ProbeKind::TalosMachine, machine);
        }
        let counted = windows.boots_since(&"cp1".to_owned(), Tick(from as u64 * STEP));
        prop_assert_eq!(counted, pairs(&times, from, |before, now| now < before));
    }

    #[test]
    fn starts_of_an_api_server_are_the_increase_of_its_restarts(
        steps in prop::collection::vec((0..2_u64, any::<bool>()), 1..60),
        from in 1..60_usize,
    ) {
        let mut windows = Windows::default();
        let mut restarts = 0;
        // What a kubelet counts: a restart is seen once its container runs.
        let mut seen: Vec<u64> = Vec::new();
        for (index, (more, running)) in steps.iter().enumerate() {
            restarts += more;
            let id = format!("container-{restarts}");
            let container = Container { name: "kube-apiserver".to_owned(), id, running: *running, ..Container::default() };
            see(&mut windows, index as u64 * STEP, node("cp1"), ProbeKind::TalosContainers,
                Facts::TalosContainers(vec![container]));
            seen.push(if *running { restarts } else { seen.last().copied().unwrap_or(u64::MAX) });
        }
        // Several restarts between two samples are one start that was seen: a sample has one container.
        let rises = pairs(&seen, from, |before, now| *before != u64::MAX && now > before);
        prop_assert_eq!(windows.starts_since(&"cp1".to_owned(), Tick(from as u64 * STEP)), rises);
    }

    #[test]
    fn elections_are_the_increase_of_the_term(rises in prop::collection::vec(0..3_u64, 1..60), from in 1..60_usize) {
        let mut windows = Windows::default();
        let mut term = 7;
        let mut terms = Vec::new();
        for (index, rise) in rises.iter().enumerate() {
            term += rise;
            terms.push(term);
            let status = EtcdStatus { cluster_id: 1, term, ..EtcdStatus::default() };
            // Whichever member tells it.
            let told_by = node(NODES[index % NODES.len()]);
            see(&mut windows, index as u64 * STEP, told_by, ProbeKind::EtcdStatus, Facts::EtcdStatus(status));
        }
        // The sample before the window is where the increase begins.
        let begins = terms.get(from.min(terms.len()) - 1).copied().unwrap_or(term);
        prop_assert_eq!(windows.elections_since(Tick(from as u64 * STEP)), term - begins);
    }
}
