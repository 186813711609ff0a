//! What was measured of every node, for people and machines to read beside the findings.

use std::collections::BTreeMap;

use crate::observation::NodeName;
use crate::status::Figures;
use crate::view::View;

/// Leaders are counted over so long: the window of etcd's own alert.
pub(crate) const ELECTIONS_OVER: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// Of every configured node.
pub(crate) fn of(view: &View<'_>) -> BTreeMap<NodeName, Figures> {
    view.nodes().iter().map(|node| (node.clone(), of_node(view, node))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^53 bytes, shown rounded")]
fn of_node(view: &View<'_>, node: &NodeName) -> Figures {
    let window = view.etcd_window(node).ok();
    let (status, metrics) = (view.etcd_status(node), view.etcd_metrics(node));
    let (machine, apiserver) = (view.machine(node), view.apiserver(node));
    let share = |available: u64, total: u64| (total > 0).then(|| 100.0 * available as f64 / total as f64);
    Figures {
        fsync_p99: window.and_then(|window| window.fsync(0.99)),
        fsync_p50: window.and_then(|window| window.fsync(0.5)),
        commit_p99: window.and_then(|window| window.commit(0.99)),
        commit_p50: window.and_then(|window| window.commit(0.5)),
        peer_round_trip_p99: window.and_then(|window| window.peer_round_trip(0.99)),
        elections: status.map(|_| view.world.windows.elections_since(view.now - ELECTIONS_OVER)),
        db_size_bytes: status.map(|status| status.db_size_bytes as f64).or(metrics.and_then(|one| one.db_size_bytes)),
        db_quota_bytes: metrics.and_then(|metrics| metrics.quota_bytes),
        steal_percent: view.steal_percent(node).ok(),
        memory_available_percent: machine.and_then(|one| share(one.memory_available_bytes, one.memory_total_bytes)),
        load1: machine.map(|machine| machine.load1),
        clock_offset_ms: machine.and_then(|machine| machine.clock_offset_ms),
        apiserver_took: apiserver.map(|apiserver| apiserver.took),
        certificate_not_after: apiserver.and_then(|apiserver| apiserver.certificate_not_after),
    }
}
