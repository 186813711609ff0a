//! The drill `back-off`: the operational end of incident A.
//!
//! cp3 freezes whole and cp2's etcd hangs, so quorum and VIP are lost, and nothing may be done about it. Meanwhile the API
//! servers of cp1 and cp2 are killed as soon as they run, until both kubelets wait for 160 s or more between two attempts.
//! Then cp2's etcd thaws: quorum is back, and the API servers sit out a back-off whose cause is over. One restart of one
//! kubelet ends it; the cluster alone waits. Left out: judging (`judge`), and cp3, which stays frozen to the end.

use std::time::Duration;

use super::DrillError;
use super::clock::{UnixMs, now_ms, wait};
use super::journal::Journal;
use super::judge::{self, Evidence, Expected};
use super::kubelet_log::KubeletLog;
use super::probe::{Sight, Tracks};
use super::stage::{Stage, VIP_TARGET};
use super::story::Voice;
use crate::layout::{Node, Part};

/// The drill's name.
pub(super) const NAME: &str = "back-off";
const FROZEN: Node = Node::Cp3;
const HUNG: Node = Node::Cp2;
const VICTIMS: [Node; 2] = [Node::Cp1, Node::Cp2];
/// The back-off that both kubelets must have reached: the one before the longest (10, 20, 40, 80, 160, 300 s).
const DEPTH_S: u64 = 160;
/// The cluster alone must take at least this long, or the back-off was not what delayed it.
const ALONE_MS_MIN: u64 = 120_000;

/// Until the lab is healthy at the start, also after a heal that restarted its kubelets.
const HEALTHY_DEADLINE: Duration = Duration::from_secs(180);
/// Until defib says that it is ready.
const DEFIB_DEADLINE: Duration = Duration::from_secs(30);
/// How long defib watches a healthy cluster before the first fault: several rounds of its slowest probe.
const QUIET: Duration = Duration::from_secs(12);
/// Until nothing answers any more: the API servers' own etcd timeouts, and kube-vip's renew deadline of 10 s.
const LOST_DEADLINE: Duration = Duration::from_secs(60);
/// Until both back-offs are deep enough; about 180 s are usual.
const DEPTH_DEADLINE: Duration = Duration::from_secs(480);
/// Until the VIP serves again, with defib: half of what an API server alone takes.
const RESTORED_DEADLINE: Duration = Duration::from_secs(90);
/// The same without defib: the longest back-off, a lease, and room.
const ALONE_DEADLINE: Duration = Duration::from_secs(420);
/// Until defib has verified what it did: it watches for 20 s after the cure.
const VERIFIED_DEADLINE: Duration = Duration::from_secs(90);

/// Breaks, waits, watches; gives what the judge needs. Leaves the faults to be healed by the caller.
pub(super) fn perform(stage: &mut Stage<'_>) -> Result<Evidence, DrillError> {
    let story = stage.story.clone();
    let say = |line: &str| story.say(Voice::Lab, line);
    say("waits until every API server and the VIP are ready");
    stage.probes.wait("every API server and the VIP to be ready", HEALTHY_DEADLINE, all_ready)?;
    let began = now_ms();
    observe(stage)?;

    let mut logs = VICTIMS.map(|node| Watched {
        node,
        log: KubeletLog::from_end(stage.layout.log(node, Part::Kubelet)),
        told_s: 0,
    });
    let first_fault = now_ms();
    story.first_fault(first_fault);
    stage.freeze(FROZEN)?;
    say(&format!("{FROZEN} is frozen whole: its processes stand still, its network is dead"));
    stage.hang_etcd(HUNG)?;
    say(&format!("{HUNG}'s etcd hangs: it takes connections and answers nothing; quorum is lost"));
    stage.probes.wait("the API servers and the VIP to be lost", LOST_DEADLINE, none_ready)?;
    say("nothing is ready any more; from here on the API servers of cp1 and cp2 die young");

    wait("back-offs of 160 s or more in both kubelets' logs", DEPTH_DEADLINE, || {
        contend(stage, &mut logs).map(|deep| deep.then_some(())).transpose()
    })??;

    let relief = now_ms();
    stage.probes.forget();
    stage.thaw_etcd(HUNG)?;
    say(&format!("the contention is over: {HUNG}'s etcd thaws, quorum is back; the API servers wait in back-off"));
    let (api_ready, restored) = watch_return(stage, relief)?;
    await_verification(stage)?;
    stage.stop_defib();
    Ok(Evidence {
        drill: NAME,
        expected: stage.with_defib().then_some(Expected { action: "restart-service kubelet", nodes: &["cp1", "cp2"] }),
        alone_ms_min: ALONE_MS_MIN,
        first_fault,
        relief,
        api_ready,
        restored,
        calls: stage.mutating_calls(began)?,
        journal: if stage.with_defib() { Journal::read(&stage.journal())? } else { Journal::default() },
    })
}

/// Starts defib and lets it see a healthy cluster.
pub(super) fn observe(stage: &mut Stage<'_>) -> Result<(), DrillError> {
    if !stage.with_defib() {
        return Ok(());
    }
    stage.start_defib()?;
    wait("defib's /readyz", DEFIB_DEADLINE, || match stage.check_defib() {
        Err(ended) => Some(Err(ended)),
        Ok(()) => stage.defib_is_ready().then_some(Ok(())),
    })??;
    stage.story.say(Voice::Lab, format!("defib watches the healthy cluster for {} s", QUIET.as_secs()));
    std::thread::sleep(QUIET);
    Ok(())
}

/// What is watched of one victim.
struct Watched {
    node: Node,
    log: KubeletLog,
    told_s: u64,
}

/// One round of the contention: kills what runs; true once every log tells of a back-off that is deep enough.
fn contend(stage: &mut Stage<'_>, victims: &mut [Watched]) -> Result<bool, DrillError> {
    stage.check_defib()?;
    let mut deep = true;
    for victim in victims {
        let node = victim.node;
        stage.kill_api_server(node)?;
        let depth_s = victim.log.deepest_s().map_err(DrillError::KubeletLog)?;
        if depth_s > victim.told_s {
            victim.told_s = depth_s;
            let line = format!("{node}'s kubelet waits {depth_s} s before the next attempt to start its API server");
            stage.story.say(Voice::Lab, line);
        }
        deep &= depth_s >= DEPTH_S;
    }
    Ok(deep)
}

/// When an API server first was ready, and when the VIP came back to stay.
fn watch_return(stage: &mut Stage<'_>, relief: UnixMs) -> Result<(Option<UnixMs>, Option<UnixMs>), DrillError> {
    let deadline = if stage.with_defib() { RESTORED_DEADLINE } else { ALONE_DEADLINE };
    // A VIP that came back at the last moment still needs its ten seconds.
    let seen =
        stage.probes.wait("the VIP to serve again, and to go on", deadline + Duration::from_secs(11), |tracks| {
            tracks.get(VIP_TARGET).and_then(|track| track.steady.restored())
        });
    let last = relief + u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
    let restored = match seen {
        Ok(at) if at <= last => Some(at),
        Ok(_) => None,
        Err(late) => {
            stage.story.say(Voice::Lab, format!("gives up: {late}"));
            None
        }
    };
    let first = stage.probes.look(|tracks| VICTIMS.iter().filter_map(|node| tracks.get(node.name())?.first_good).min());
    Ok((first, restored))
}

/// defib goes on until it has verified what it did; that it has not is told, and seen in the outcomes.
fn await_verification(stage: &mut Stage<'_>) -> Result<(), DrillError> {
    if !stage.with_defib() {
        return Ok(());
    }
    let path = stage.journal();
    let settled = wait("defib to have verified what it did", VERIFIED_DEADLINE, || match stage.check_defib() {
        Err(ended) => Some(Err(ended)),
        Ok(()) => Journal::read(&path)
            .map(|journal| journal.is_settled(judge::SUBJECT).then_some(()))
            .map_err(Into::into)
            .transpose(),
    });
    match settled {
        Ok(done) => done,
        Err(late) => {
            stage.story.say(Voice::Lab, format!("goes on: {late}"));
            Ok(())
        }
    }
}

/// Every API server and the VIP are ready.
pub(super) fn all_ready(tracks: &Tracks) -> Option<()> {
    (tracks.len() == 4 && tracks.values().all(|track| track.sight == Some(Sight::Ready))).then_some(())
}

fn none_ready(tracks: &Tracks) -> Option<()> {
    tracks.values().all(|track| track.sight != Some(Sight::Ready)).then_some(())
}
