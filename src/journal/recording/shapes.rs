//! What a recording holds: everything that goes into the engine, field by field.
//!
//! Left out: what comes out of it; that is told by the journal's own rows.

use std::time::Duration;

use defib_engine::command::{Ask, Command, Pause, PauseKind, Recover};
use defib_engine::diagnosis;
use defib_engine::event::{Ack, Event, Kept, ObserverHealth, OpenIncident, Saved};
use defib_engine::finding::Subject;
use defib_engine::latch::Timing;
use defib_engine::ledger::Reservation;
use defib_engine::maintenance::Maintenance;
use defib_engine::observation::{
    Apiserver, BackOff, ClusterApi, Container, CpuTimes, Credential, Disk, EtcdMember, EtcdMembers, EtcdMetrics,
    EtcdStatus, Facts, Failure, Filesystem, Histogram, HypervisorHost, KernelLog, KubeletLog, Logs, Observation,
    OomKill, Path, ProbeKind, Seen, Service, Snapshot, Snapshots, Stage, TalosMachine, TalosServices, Target, Vip,
    VirtualMachine, VmState, Why,
};
use defib_engine::playbook::{ActionClass, Limit};
use defib_engine::record::{FindingKey, Left, Outcome, StepId};
use defib_engine::route::Route;
use defib_engine::settings::{ClusterSettings, Disruptive, Mode};
use defib_engine::threshold::{CLOSES_AFTER, OPENS_AFTER, Thresholds};
use serde_json::{Map, Value};

use super::shape::{Misshapen, Shape, field, fields, tag, tagged, variants};

variants! {
    Target { Node(cluster, node), Vip(cluster), Own(cluster), Canary(address) }
    Path { Direct, Vip, Talos, Hypervisor, Own, Outside }
    ProbeKind {
        TalosServices, TalosContainers, TalosKubeletLog, TalosMachine, TalosDmesg, EtcdStatus, EtcdReadSerializable,
        EtcdReadLinearizable, EtcdMembers, EtcdMetrics, Apiserver, Vip, Credentials, Snapshots, Logs, Canary,
        HypervisorHost, HypervisorVm, TalosStage, ClusterApi,
    }
    Seen { Healthy(facts), Unhealthy(failure), Unknown(why) }
    Why { Unauthorized(detail), OwnSide(detail) }
    Stage { Connect, Handshake, Response }
    Failure {
        Refused, Reset, Unreachable, Timeout(stage), Tls(detail), Status { code, detail }, TooLarge, Garbage(detail),
        Protocol(detail),
    }
    Facts {
        TalosServices(facts), TalosContainers(facts), TalosKubeletLog(facts), TalosDmesg(facts), EtcdStatus(facts), EtcdRead { took },
        EtcdMembers(facts), EtcdMetrics(facts), TalosMachine(facts), Apiserver(facts), Vip(facts), Credentials(facts),
        Snapshots(facts), Logs(facts), Canary, HypervisorHost(facts), HypervisorVm(facts), TalosStage(facts), ClusterApi(facts),
    }
    VmState { Running, Stopped, Paused, IoError, Other(word) }
    Event {
        Observed(observation), Stored { cluster, batch, result }, Ended { cluster, step, outcome },
        Suspected { target, kind }, Observer(health), Asked(command),
    }
    Outcome { Done(text), Failed(text), Unknown(text), Withdrawn(text) }
    Ask {
        Pause { cluster, reason, for_ }, Resume { cluster }, Ack { cluster, playbook, node }, Preview(recover),
        Recover(recover), Approve { cluster, run },
    }
    Mode { Observe, Ask, Act }
    ActionClass { Harmless, Service, Data, Disruptive, Erasing }
    PauseKind { Command, File, Window }
}

fields! {
    Observation { target, path, kind, sent, at, seen }
    TalosServices { version, services }
    Service { id, state, healthy }
    Container { name, pod, pod_uid, id, running }
    KubeletLog { back_off }
    KernelLog { oom_kills }
    OomKill { process, rss_bytes, ago }
    BackOff { length, first_said_ago, last_said_ago }
    EtcdStatus {
        cluster_id, member_id, leader, term, index, applied_index, db_size_bytes, db_in_use_bytes, learner, errors, version,
    }
    EtcdMembers { cluster_id, members }
    EtcdMember { id, name, learner, peer_urls, client_urls }
    EtcdMetrics {
        fsync, commit, has_leader, is_leader, leader_changes, heartbeat_send_failures, peer_sent_failures,
        proposals_failed, slow_apply, peer_round_trip, quota_bytes, db_size_bytes, db_in_use_bytes, process_start_s,
    }
    Histogram { buckets, sum, count }
    TalosMachine {
        memory_total_bytes, memory_available_bytes, boot_time_s, cpu, load1, load5, load15, processes_running,
        processes_blocked, disks, filesystems, watchdog, clock_offset_ms, clock_uncertainty_ms,
    }
    HypervisorHost {
        name, cpu_percent, cpus, cpus_promised, memory_total_bytes, memory_used_bytes, memory_promised_bytes,
        pressure_cpu_percent, pressure_memory_percent,
    }
    VirtualMachine {
        host, state, stopped_by, lock, task, ha, cpu_units, cpu_units_default, cpu_percent, memory_bytes, balloon_bytes,
    }
    CpuTimes { user_s, nice_s, system_s, idle_s, iowait_s, irq_s, softirq_s, steal_s }
    Disk { name, write_completed, write_time_ms, io_in_progress, io_time_ms }
    Filesystem { mounted_on, size_bytes, available_bytes }
    Apiserver { ready, live, failing, took, certificate_sha256, certificate_not_after }
    Vip { ready, certificate_sha256, certificate_not_after, connect, handshake, response }
    ClusterApi { paused, remediated }
    Credential { what, not_after, problem, groups, names_vip }
    Snapshots { every, newest, failed }
    Snapshot { at, bytes }
    Logs { listening_for, silent_for }
    ObserverHealth { late, pause_file }
    Command { id, by, ask }
    Recover { cluster, playbook, node, plan, waive_for, pass_limits }
    ClusterSettings { nodes, sources, armed, maintenance, thresholds, disruptive }
    Maintenance { days, from, length, offset_minutes, holds, words }
    Saved { reservations, last_incident, last_run, routes, pauses, acks, incidents, left }
    OpenIncident { id, root, findings }
    Left { playbook, node, findings }
    Reservation { cluster, node, playbook, run, class, at, age, ended }
    Route { direct, direct_since, ready, suspect }
    Pause { kind, by, reason, since, until, holds }
    Ack { cluster, playbook, node }
}

/// An older program wrote none, and had no such limit of its own.
impl Shape for Disruptive {
    fn put(&self) -> Value {
        let one = |limit: Limit| Value::Array(vec![u64::from(limit.count).put(), limit.window.put()]);
        Value::Object(Map::from_iter([
            ("per_node".to_owned(), one(self.per_node)),
            ("per_fleet".to_owned(), one(self.per_fleet)),
        ]))
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        if value.is_null() {
            return Ok(Disruptive::default());
        }
        let limit = |key: &str| match value.get(key).and_then(Value::as_array).map(Vec::as_slice) {
            Some([count, window]) => {
                let count = u32::try_from(u64::take(count)?).map_err(|_| Misshapen::new("too many"))?;
                Ok(Limit { count, window: Duration::take(window)? })
            }
            _ => Err(Misshapen::new(format!("{key}: no count and window"))),
        };
        Ok(Disruptive { per_node: limit("per_node")?, per_fleet: limit("per_fleet")? })
    }
}

/// By finding and name, figures and waits alike; none is written where nothing is set, nor was by an older program.
impl Shape for Thresholds {
    fn put(&self) -> Value {
        let one =
            |(finding, name, value): (&str, &str, f64)| Value::Array(vec![finding.into(), name.into(), value.put()]);
        Value::Array(self.all().map(one).collect())
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        let mut thresholds = Thresholds::default();
        let Value::Array(all) = value else {
            return if value.is_null() { Ok(thresholds) } else { Err(Misshapen::new("not a list")) };
        };
        for one in all {
            let [Value::String(finding), Value::String(name), value] = one.as_array().map_or(&[][..], Vec::as_slice)
            else {
                return Err(Misshapen::new("neither a finding, a name nor a figure"));
            };
            let rule =
                diagnosis::rule(finding).ok_or_else(|| Misshapen::new(format!("there is no finding {finding}")))?;
            let value = f64::take(value)?;
            let time = Duration::try_from_secs_f64(value).map_err(|_| Misshapen::new("no time"));
            let (known, timing) = (rule.thresholds.iter().find(|known| known.name == name), thresholds.timing(rule));
            match (known, name.as_str()) {
                (Some(threshold), _) => thresholds.set(threshold, value),
                (None, OPENS_AFTER) => thresholds.wait(rule, Timing { open_after: time?, ..timing }),
                (None, CLOSES_AFTER) => thresholds.wait(rule, Timing { close_after: time?, ..timing }),
                (None, _) => return Err(Misshapen::new(format!("{finding} has no {name}"))),
            }
        }
        Ok(thresholds)
    }
}

impl Shape for FindingKey {
    fn put(&self) -> Value {
        Value::Object(Map::from_iter([
            ("rule".to_owned(), self.rule.into()),
            ("node".to_owned(), self.subject.node().cloned().put()),
        ]))
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        let (rule, node): (String, Option<String>) = (field(value, "rule")?, field(value, "node")?);
        let rule = diagnosis::rule(&rule).ok_or_else(|| Misshapen::new(format!("there is no finding {rule}")))?;
        Ok(FindingKey { rule: rule.name, subject: node.map_or(Subject::Cluster, Subject::Node) })
    }
}

impl Shape for StepId {
    fn put(&self) -> Value {
        self.0.put()
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        String::take(value).map(StepId)
    }
}

impl<T: Shape> Shape for Kept<T> {
    fn put(&self) -> Value {
        let Kept { what, at, age } = self;
        Value::Object(Map::from_iter([
            ("what".to_owned(), what.put()),
            ("at".to_owned(), at.put()),
            ("age".to_owned(), age.put()),
        ]))
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        Ok(Kept { what: field(value, "what")?, at: field(value, "at")?, age: field(value, "age")? })
    }
}
