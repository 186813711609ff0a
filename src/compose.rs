//! From what the operator wrote to what the engine works with.

use std::collections::BTreeSet;

use defib_engine::check::Guards;
use defib_engine::observation::ProbeKind;
use defib_engine::playbook::Playbook;
use defib_engine::settings::{ClusterSettings, Settings};

use crate::config::{Cluster, Config};

/// The engine's settings of a configuration with its playbooks.
#[must_use]
pub fn settings(config: &Config, playbooks: Vec<Playbook>) -> Settings {
    let cluster = |cluster: &Cluster| ClusterSettings {
        nodes: cluster.nodes.iter().map(|node| node.name.clone()).collect(),
        sources: sources(cluster),
        armed: cluster.arm.iter().cloned().collect(),
        maintenance: cluster.maintenance.clone(),
        thresholds: cluster.thresholds.clone(),
        disruptive: config.disruptive.clone(),
    };
    Settings {
        mode: config.mode,
        clusters: config.clusters.iter().map(|one| (one.name.clone(), cluster(one))).collect(),
        canaries: config.canaries.iter().map(ToString::to_string).collect(),
        playbooks,
        seen_once: false,
        guards: Guards::default(),
    }
}

/// The kinds of probe that a cluster's credentials allow. Everything else is *not asked*.
fn sources(cluster: &Cluster) -> BTreeSet<ProbeKind> {
    let mut sources = BTreeSet::new();
    if cluster.talos.is_some() {
        sources.extend([
            ProbeKind::TalosServices,
            ProbeKind::TalosContainers,
            ProbeKind::TalosKubeletLog,
            ProbeKind::TalosMachine,
            ProbeKind::TalosDmesg,
        ]);
    }
    if cluster.etcd.is_some() {
        sources.extend([ProbeKind::EtcdReadSerializable, ProbeKind::EtcdReadLinearizable]);
    }
    if cluster.etcd.is_some() || cluster.talos.is_some() {
        sources.extend([ProbeKind::EtcdStatus, ProbeKind::EtcdMembers]);
    }
    if cluster.etcd_metrics.is_some() {
        sources.insert(ProbeKind::EtcdMetrics);
    }
    if cluster.kubernetes.is_some() || cluster.etcd.is_some() || cluster.talos.is_some() {
        sources.insert(ProbeKind::Credentials);
    }
    if cluster.kubernetes.is_some() {
        sources.insert(ProbeKind::Apiserver);
    }
    if cluster.snapshots.is_some() {
        sources.insert(ProbeKind::Snapshots);
    }
    if cluster.kubernetes.is_some() && cluster.vip.is_some() {
        sources.insert(ProbeKind::Vip);
    }
    sources
}
