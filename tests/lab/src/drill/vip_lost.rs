//! The drill `vip-lost`: the VIP's agents fail on every node while the API servers live.
//!
//! The address is gone for half a minute, and nothing is wrong but that. A client on the ops host goes through defib's
//! lifeline all the time. It may fail for at most one second after defib's finding, and never again; what it holds open
//! stays open. Then the agents go on, the VIP returns, and the route reverts. Judged by the client and by the journal's
//! rows. Nothing may be done to the cluster.

use std::time::Duration;

use super::DrillError;
use super::back_off::{all_ready, observe};
use super::client::Seen;
use super::clock::{UnixMs, now_ms, wait};
use super::journal::{Change, Journal, Record};
use super::judge::{self, Action, Client, Verdict};
use super::stage::{Stage, VIP_TARGET};
use super::story::Voice;

/// The drill's name.
pub(super) const NAME: &str = "vip-lost";
/// Until the lab is healthy at the start.
const HEALTHY_DEADLINE: Duration = Duration::from_secs(180);
/// How long the client goes through the lifeline before anything is broken.
const BEFORE: Duration = Duration::from_secs(5);
/// Until defib's finding and route are in the journal.
const FOUND_DEADLINE: Duration = Duration::from_secs(30);
/// How long the VIP stays away after that.
const AWAY: Duration = Duration::from_secs(20);
/// Until the VIP serves again: a lease, and room.
const BACK_DEADLINE: Duration = Duration::from_secs(90);
/// Until the route has reverted: half a minute of a well address, and room.
const REVERTED_DEADLINE: Duration = Duration::from_secs(60);
/// The client may fail for this long after the finding, and the route may take this long.
const GRACE_MS: u64 = 1_000;

/// Plays it and judges it. Leaves the faults to be healed by the caller.
pub(super) fn perform(stage: &mut Stage<'_>) -> Result<Verdict, DrillError> {
    if !stage.with_defib() {
        return Err(DrillError::NeedsDefib(NAME));
    }
    let story = stage.story.clone();
    let say = |line: &str| story.say(Voice::Lab, line);
    say("waits until every API server and the VIP are ready");
    stage.probes.wait("every API server and the VIP to be ready", HEALTHY_DEADLINE, all_ready)?;
    let began = now_ms();
    observe(stage)?;
    let through = stage.through_lifeline()?;
    std::thread::sleep(BEFORE);

    let before = through.seen();
    let first_fault = now_ms();
    story.first_fault(first_fault);
    stage.lose_vip()?;
    say("the VIP's agents stand still on every node, and nobody carries the address; the API servers live");
    let journal = stage.journal();
    wait("defib's finding and route", FOUND_DEADLINE, || {
        let journal = Journal::read(&journal).ok()?;
        (found(&journal, first_fault).is_some() && routed(&journal, first_fault, true).is_some()).then_some(())
    })?;
    std::thread::sleep(AWAY);

    let relief = now_ms();
    stage.probes.forget();
    stage.return_vip()?;
    say("the agents go on");
    let restored = stage.probes.wait("the VIP to serve again, and to go on", BACK_DEADLINE, |tracks| {
        tracks.get(VIP_TARGET).and_then(|track| track.steady.restored())
    })?;
    let reverted =
        wait("the route to revert", REVERTED_DEADLINE, || routed(&Journal::read(&journal).ok()?, relief, false));
    if let Err(late) = &reverted {
        say(&format!("gives up: {late}"));
    }
    let after = through.seen();
    drop(through);
    let calls = stage.mutating_calls(began)?;
    let journal = Journal::read(&journal)?;
    stage.stop_defib();
    let times = Times { first_fault, relief, restored, reverted: reverted.ok() };
    let actions = calls.iter().map(|call| Action {
        action: format!("{} {}", call.rpc, call.argument),
        node: call.node.clone(),
        outcome: "not expected".to_owned(),
    });
    Ok(judge(times, &before, &after, &journal, actions.collect()))
}

#[derive(Clone, Copy)]
struct Times {
    first_fault: UnixMs,
    relief: UnixMs,
    restored: UnixMs,
    reverted: Option<UnixMs>,
}

fn judge(times: Times, before: &Seen, after: &Seen, journal: &Journal, actions: Vec<Action>) -> Verdict {
    let finding = found(journal, times.first_fault);
    let route = routed(journal, times.first_fault, true);
    let failures = || after.failures.iter().copied().filter(|at| *at >= times.first_fault);
    let since = |at: Option<UnixMs>, from: Option<UnixMs>| Some(at?.saturating_sub(from?));
    let client = Client {
        asked: after.asked - before.asked,
        failed: failures().count() as u64,
        last_failure_ms: since(failures().next_back().filter(|at| finding.is_some_and(|found| *at > found)), finding),
        held: after.held,
        broken: after.broken,
        routed_ms: since(route, finding),
        reverted_ms: since(times.reverted, Some(times.restored)),
    };
    let mut violations = Vec::new();
    let mut unless = |holds: bool, what: String| {
        if !holds {
            violations.push(what);
        }
    };
    unless(before.asked > 0 && before.failures.is_empty(), "the client failed before anything was broken".to_owned());
    unless(client.asked > 0, "the client asked nothing".to_owned());
    let late = client.last_failure_ms.unwrap_or_default();
    unless(late <= GRACE_MS, format!("the client failed {late} ms after the finding"));
    unless(
        client.held > 1 && client.broken == 0,
        format!("{} of {} held connections broke", client.broken, client.held),
    );
    unless(after.watched_bytes > before.watched_bytes, "the watch brought nothing while the VIP was away".to_owned());
    unless(
        client.routed_ms.is_some_and(|ms| ms <= GRACE_MS),
        format!("the route came {:?} ms after the finding", client.routed_ms),
    );
    unless(times.reverted.is_some(), "the route did not revert".to_owned());
    unless(actions.is_empty(), "something was done, and nothing was expected".to_owned());
    Verdict {
        drill: NAME.to_owned(),
        ok: violations.is_empty(),
        root: judge::root_until(journal, times.restored),
        detected_ms: since(finding, Some(times.first_fault)),
        acted_ms: None,
        api_ready_ms: None,
        restored_ms: since(Some(times.restored), Some(times.relief)),
        actions,
        holds: judge::holds(journal),
        client: Some(client),
        violations,
    }
}

/// When the finding was raised.
fn found(journal: &Journal, from: UnixMs) -> Option<UnixMs> {
    let raised = |record: &Record| matches!(record, Record::Finding(finding) if finding.change == Change::Raised && finding.finding == judge::SUBJECT);
    journal.records.iter().find(|(at, record)| *at >= from && raised(record)).map(|(at, _)| *at)
}

/// When the route became direct, or ceased to be.
fn routed(journal: &Journal, from: UnixMs, direct: bool) -> Option<UnixMs> {
    let route = |record: &Record| matches!(record, Record::Route(route) if route.direct == direct);
    journal.records.iter().find(|(at, record)| *at >= from && route(record)).map(|(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::super::journal::{Finding, Route};
    use super::*;

    fn journal() -> Journal {
        let finding = Finding { finding: "vip-lost".to_owned(), change: Change::Raised };
        let records = vec![
            (3_000, Record::Finding(finding)),
            (3_000, Record::Route(Route { direct: true })),
            (60_000, Record::Route(Route { direct: false })),
        ];
        Journal { records, ..Journal::default() }
    }

    fn judged(failures: &[UnixMs], broken: u64, journal: &Journal) -> Verdict {
        let times =
            Times { first_fault: 1_000, relief: 25_000, restored: 30_000, reverted: routed(journal, 25_000, false) };
        let before = Seen { asked: 50, held: 21, watched_bytes: 10, ..Seen::default() };
        let after = Seen { asked: 500, failures: failures.to_vec(), held: 21, broken, watched_bytes: 900 };
        judge(times, &before, &after, journal, Vec::new())
    }

    #[test]
    fn a_second_after_the_finding_may_be_lost_and_no_more() {
        let verdict = judged(&[2_500, 4_000], 0, &journal());
        assert!(verdict.ok, "{verdict:?}");
        let client = verdict.client.unwrap();
        assert_eq!((client.asked, client.failed, client.last_failure_ms), (450, 2, Some(1_000)));
        assert_eq!((client.routed_ms, client.reverted_ms), (Some(0), Some(30_000)));
        assert!(!judged(&[4_001], 0, &journal()).ok);
        assert!(!judged(&[], 1, &journal()).ok);
        assert!(!judged(&[500], 0, &Journal::default()).ok);
    }
}
