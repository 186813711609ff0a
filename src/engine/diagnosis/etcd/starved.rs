//! A leader that comes late with its own heartbeats while its messages arrive: it lacks processor time or its disk hangs;
//! the network is well.
//!
//! Raised from [`LATE`] late heartbeats (`etcd_server_heartbeat_send_failures_total`) over the window while
//! `etcd_network_peer_sent_failures_total` stays flat. etcd's own log says of the same: "leader failed to send out heartbeat
//! on time; took too long, leader is overloaded likely from slow disk". From incident A of 2026-02.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Threshold, Unit};
use crate::time::Human;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "etcd-starved",
    meaning: "a leader sent at least 5 heartbeats late within a minute though its messages arrive: no processor time, or its disk",
    layer: Layer::Etcd,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::EtcdMetrics],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::earned("host-starved", Relation::SameNode),
        Because::earned("machine-memory-short", Relation::SameNode),
        Because::earned("etcd-slow-disk", Relation::SameNode),
    ],
    timing: Timing::ms(0, 20_000),
    thresholds: &[&LATE],
    assess,
};

pub(crate) static LATE: Threshold = Threshold {
    finding: "etcd-starved",
    name: "heartbeats-late",
    usual: 5.0,
    unit: Unit::Count,
    least: 1.0,
    most: 10_000.0,
    beside: None,
    source: "incident A; over a minute, while no message to a peer fails",
};

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let window = match view.etcd_window(node) {
        Ok(window) => window,
        Err(why) => return Verdict::Unknown(why),
    };
    let (Some(late), Some(failed)) = (window.heartbeats_late(), window.peer_failures()) else {
        return Verdict::Unknown("etcd.metrics: heartbeats and peers are not told".to_owned());
    };
    let limit = view.threshold(&LATE);
    if late < if was_open { 1.0 } else { limit } || failed > 0.0 {
        return Verdict::Clear;
    }
    Verdict::Raised(format!("{late} heartbeats late in {} (limit {limit}), no message failed", Human(window.length)))
}
