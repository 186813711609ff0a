//! What the program shows to Prometheus: probes, findings, holds and runs, under names that begin with `defib_`.
//!
//! Labels are bounded by the configuration and by the tables of the engine: cluster, node, probe kind, outcome, finding,
//! check, playbook. Left out: serving them (`web`).

use std::collections::BTreeSet;

use defib_engine::event::Event;
use defib_engine::observation::{ClusterId, Facts, Observation, ProbeKind, Seen, Snapshots, Target};
use defib_engine::record::{Batch, Record};
use defib_engine::status::Status;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

const DURATION: &str = "defib_probe_duration_seconds";
const OUTCOME: &str = "defib_probe_outcome_total";
const SUSPICIONS: &str = "defib_suspicions_total";
const FINDING: &str = "defib_finding";
const HOLD: &str = "defib_hold";
const BUDGET: &str = "defib_budget_remaining";
const RUNS: &str = "defib_runs_total";
const JOURNAL: &str = "defib_journal_up";
const ROUTE_DIRECT: &str = "defib_route_direct";
const ROUTE_READY: &str = "defib_route_ready_apiservers";
const LIFELINE_UP: &str = "defib_lifeline_listening";
const LIFELINE_OPEN: &str = "defib_lifeline_connections";
const LIFELINE_ENDED: &str = "defib_lifeline_connections_ended_total";
const LIFELINE_BYTES: &str = "defib_lifeline_bytes_total";
const LIFELINE_NOT_TAKEN: &str = "defib_lifeline_not_taken_total";
const SNAPSHOT_AT: &str = "defib_snapshot_timestamp_seconds";
const SNAPSHOT_BYTES: &str = "defib_snapshot_bytes";
const HEARTBEAT: &str = "defib_heartbeat_timestamp_seconds";
const BUILD: &str = "defib_build_info";
const MODEL: &str = "defib_model";

/// Seconds: from a held loopback connection to the longest deadline.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 5.0];

/// Installs the recorder for this process.
///
/// # Errors
/// When one is installed already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(DURATION.to_owned()), &BUCKETS)?
        .install_recorder()?;
    describe_histogram!(DURATION, "how long a probe took, the dial included");
    describe_counter!(OUTCOME, "probes by outcome: healthy, unknown, or the failure's name");
    describe_counter!(SUSPICIONS, "held connections that ended by themselves, each worth a closer look at once");
    describe_gauge!(FINDING, "1 while the finding is open");
    describe_gauge!(HOLD, "1 while the check holds the playbook on the node");
    describe_gauge!(
        BUDGET,
        "runs that a playbook has room for, on the node or in the cluster; only while a journal is kept"
    );
    describe_counter!(RUNS, "runs by how they ended");
    describe_gauge!(JOURNAL, "1 while the journal takes what it is given");
    describe_gauge!(ROUTE_DIRECT, "1 while people are sent to a node because the virtual address is dead");
    describe_gauge!(ROUTE_READY, "API servers that are ready");
    describe_gauge!(LIFELINE_UP, "1 while the lifeline takes connections");
    describe_gauge!(LIFELINE_OPEN, "connections that go through the lifeline");
    describe_counter!(
        LIFELINE_ENDED,
        "connections by how they ended: closed, broken, cut, nobody (to forward to), full"
    );
    describe_counter!(LIFELINE_BYTES, "bytes through the lifeline, to and from the API servers");
    describe_counter!(LIFELINE_NOT_TAKEN, "connections that an API server did not take");
    describe_gauge!(
        SNAPSHOT_AT,
        "when the newest snapshot of etcd that is kept was taken; where a schedule is configured"
    );
    describe_gauge!(SNAPSHOT_BYTES, "the size of that snapshot");
    describe_gauge!(HEARTBEAT, "when the loop last went round, for a dead-man alert");
    describe_gauge!(BUILD, "1, with the version");
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// Says that everything which is measured here is of a model. A daemon has no such metric.
pub fn of_a_model() {
    describe_gauge!(MODEL, "1 where the clusters are a model: a rehearsal, which alerts leave out");
    gauge!(MODEL).set(1.0);
}

/// Counts what goes into the engine: probes, and what was suspected between them.
pub fn taken(event: &Event) {
    match event {
        Event::Observed(observation) => observed(observation),
        Event::Suspected { target, kind } => suspected(target, *kind),
        _ => {}
    }
}

fn suspected(target: &Target, kind: ProbeKind) {
    let cluster = target.cluster().cloned().unwrap_or_default();
    counter!(SUSPICIONS, "cluster" => cluster, "target" => target.to_string(), "kind" => kind.name()).increment(1);
}

fn observed(observation: &Observation) {
    let kind = observation.kind.name();
    let cluster = observation.target.cluster().cloned().unwrap_or_default();
    let target = observation.target.to_string();
    let outcome = match &observation.seen {
        Seen::Healthy(_) => "healthy",
        Seen::Unknown(_) => "unknown",
        Seen::Unhealthy(failure) => failure.name(),
    };
    if let Seen::Healthy(Facts::Snapshots(Snapshots { newest: Some(newest), .. })) = &observation.seen {
        gauge!(SNAPSHOT_AT, "cluster" => cluster.clone()).set(newest.at.0 as f64 / 1000.0);
        gauge!(SNAPSHOT_BYTES, "cluster" => cluster.clone()).set(newest.bytes as f64);
    }
    let took = observation.at.since(observation.sent).as_secs_f64();
    histogram!(DURATION, "cluster" => cluster.clone(), "target" => target.clone(), "kind" => kind).record(took);
    counter!(OUTCOME, "cluster" => cluster, "target" => target, "kind" => kind, "outcome" => outcome).increment(1);
}

/// Counts what a batch says ended.
pub fn written(batch: &Batch) {
    for record in &batch.records {
        if let Record::Run { state, .. } = record {
            counter!(RUNS, "cluster" => batch.cluster.clone(), "state" => state.to_string()).increment(1);
        }
    }
}

/// The loop went round at this Unix time in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "a Unix time in milliseconds fits a double exactly for ages")]
pub fn heartbeat(unix_ms: i64) {
    gauge!(HEARTBEAT).set(unix_ms as f64 / 1000.0);
}

type Labels = (String, String, String, String);

/// Remembers which gauges are up, so that they go down again.
#[derive(Debug, Default)]
pub struct Gauges {
    findings: BTreeSet<Labels>,
    holds: BTreeSet<Labels>,
}

impl Gauges {
    /// Shows one cluster as it is.
    pub fn show(&mut self, cluster: &ClusterId, status: &Status) {
        gauge!(JOURNAL, "cluster" => cluster.clone()).set(if status.store_answers { 1.0 } else { 0.0 });
        gauge!(ROUTE_DIRECT, "cluster" => cluster.clone()).set(if status.route.direct { 1.0 } else { 0.0 });
        let ready = u32::try_from(status.route.ready.len()).unwrap_or(u32::MAX);
        gauge!(ROUTE_READY, "cluster" => cluster.clone()).set(f64::from(ready));
        for limit in status.limits.iter() {
            let labels = [
                ("cluster", cluster.clone()),
                ("playbook", limit.playbook.clone()),
                ("scope", limit.subject.to_string()),
            ];
            // Without a journal what was used is not known, and not known is no figure.
            gauge!(BUDGET, &labels).set(if status.store_answers { f64::from(limit.left()) } else { f64::NAN });
        }
        let findings = status.findings.iter().map(|finding| {
            (
                cluster.clone(),
                finding.key.rule.to_owned(),
                finding.key.subject.to_string(),
                finding.class.name().to_owned(),
            )
        });
        let set = |(cluster, finding, scope, class): &Labels, value: f64| {
            let labels = [
                ("cluster", cluster.clone()),
                ("finding", finding.clone()),
                ("scope", scope.clone()),
                ("class", class.clone()),
            ];
            gauge!(FINDING, &labels).set(value);
        };
        replace(&mut self.findings, cluster, findings.collect(), set);
        let holds = status.decisions.iter().flat_map(|decision| {
            let holds = decision.judgement.holds.iter();
            holds.map(|hold| (cluster.clone(), decision.playbook.clone(), decision.node.clone(), hold.check.to_owned()))
        });
        let set = |(cluster, playbook, node, check): &Labels, value: f64| {
            let labels = [
                ("cluster", cluster.clone()),
                ("playbook", playbook.clone()),
                ("node", node.clone()),
                ("check", check.clone()),
            ];
            gauge!(HOLD, &labels).set(value);
        };
        replace(&mut self.holds, cluster, holds.collect(), set);
    }
}

/// Sets what is up to 1 and what was up, in this cluster, and is no longer, to 0.
fn replace(shown: &mut BTreeSet<Labels>, cluster: &str, current: BTreeSet<Labels>, set: impl Fn(&Labels, f64)) {
    let gone: Vec<_> =
        shown.iter().filter(|labels| labels.0 == cluster && !current.contains(*labels)).cloned().collect();
    for labels in gone {
        set(&labels, 0.0);
        shown.remove(&labels);
    }
    for labels in current {
        set(&labels, 1.0);
        shown.insert(labels);
    }
}

/// What one lifeline counts.
pub struct Lifeline {
    cluster: String,
    /// Connections that are open.
    pub open: Gauge,
    /// Bytes to the API servers.
    pub sent: Counter,
    /// Bytes from them.
    pub received: Counter,
}

impl std::fmt::Debug for Lifeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lifeline").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl Lifeline {
    /// Those of this cluster.
    #[must_use]
    pub fn of(cluster: &str) -> Lifeline {
        let bytes = |direction: &'static str| counter!(LIFELINE_BYTES, "cluster" => cluster.to_owned(), "direction" => direction);
        Lifeline {
            cluster: cluster.to_owned(),
            open: gauge!(LIFELINE_OPEN, "cluster" => cluster.to_owned()),
            sent: bytes("sent"),
            received: bytes("received"),
        }
    }

    /// It takes connections, or does not.
    pub fn listening(&self, listening: bool) {
        gauge!(LIFELINE_UP, "cluster" => self.cluster.clone()).set(if listening { 1.0 } else { 0.0 });
    }

    /// A connection ended this way.
    pub fn ended(&self, how: &'static str) {
        counter!(LIFELINE_ENDED, "cluster" => self.cluster.clone(), "how" => how).increment(1);
    }

    /// A node did not take a connection.
    pub fn not_taken(&self, node: &str) {
        counter!(LIFELINE_NOT_TAKEN, "cluster" => self.cluster.clone(), "node" => node.to_owned()).increment(1);
    }
}
