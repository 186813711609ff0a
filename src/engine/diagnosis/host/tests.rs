//! A host that carries machines of two clusters is told of in both, and each cluster says only its own nodes.

use crate::event::{Event, Saved};
use crate::fleet::Fleet;
use crate::observation::{Facts, HypervisorHost, Observation, Path, ProbeKind, Seen, Target};
use crate::settings::{ClusterSettings, Settings};
use crate::time::{Now, Tick, UnixMs};

fn now(at_ms: u64) -> Now {
    Now { mono: Tick(at_ms), wall: UnixMs(i64::try_from(at_ms).unwrap()) }
}

fn settings(clusters: &[&str]) -> Settings {
    let one = |name: &&str| {
        let nodes = vec![format!("{name}-cp1"), format!("{name}-cp2")];
        let own = ClusterSettings { nodes, sources: ProbeKind::HYPERVISOR.into(), ..ClusterSettings::default() };
        ((*name).to_owned(), own)
    };
    Settings { clusters: clusters.iter().map(one).collect(), ..Settings::default() }
}

#[test]
fn a_busy_host_is_a_finding_of_every_cluster_that_stands_on_it_and_of_no_other() {
    let (clusters, kind) = (["blue", "green", "red"], ProbeKind::HypervisorHost);
    let mut fleet = Fleet::restore(&settings(&clusters), &Saved::default(), now(0));
    for at_ms in (0..=60_000).step_by(1_000) {
        for cluster in clusters {
            for (number, node) in ["cp1", "cp2"].into_iter().enumerate() {
                // The first machines of blue and green share a host; every other one has a quiet host.
                let shared = number == 0 && cluster != "red";
                let host = HypervisorHost {
                    name: if shared { "pve1".to_owned() } else { format!("{cluster}-{node}") },
                    cpu_percent: if shared { 95.0 } else { 10.0 },
                    ..HypervisorHost::default()
                };
                let target = Target::Node(cluster.to_owned(), format!("{cluster}-{node}"));
                let seen = Seen::Healthy(Facts::HypervisorHost(Box::new(host)));
                let at = Tick(at_ms);
                let observation = Observation { target, path: Path::Hypervisor, kind, sent: at, at, seen };
                fleet.handle(Event::Observed(observation), now(at_ms));
            }
        }
        while fleet.poll(now(at_ms)).is_some() {}
    }
    let told = |cluster: &str| -> Vec<String> {
        let status = fleet.status(&cluster.to_owned()).unwrap();
        status.findings.iter().map(|finding| format!("{}: {}", finding.key, finding.text)).collect()
    };
    let busy = |node: &str| vec![format!("host-busy {node}: pve1 uses 95 % of its processors (limit 80 %)")];
    assert_eq!(told("blue"), busy("blue-cp1"));
    assert_eq!(told("green"), busy("green-cp1"));
    assert_eq!(told("red"), Vec::<String>::new());
}
