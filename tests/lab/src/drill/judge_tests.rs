//! Verdicts over made-up evidence: one good drill, then each thing that spoils it.

use super::*;
use crate::drill::journal::{Finding, Hold, Incident, Intent, Named};

const RESTART: &str = "restart-service kubelet";

fn call(at: UnixMs, node: &str, argument: &str) -> Call {
    Call { at, node: node.into(), rpc: "ServiceRestart".into(), argument: argument.into() }
}

fn intent(reserved_at: UnixMs, node: &str, outcome: &str) -> Intent {
    Intent { action: RESTART.into(), node: node.into(), reserved_at, outcome: Some(outcome.into()) }
}

fn incident(root: &str, findings: &[&str]) -> Record {
    Record::Incident(Incident {
        incident: "1".into(),
        root: Some(root.into()),
        findings: findings.iter().map(|name| Named { finding: (*name).into() }).collect(),
    })
}

fn hold(check: &str) -> Record {
    Record::Hold(Hold {
        playbook: Some("restart-kubelet".into()),
        node: Some("cp1".into()),
        check: check.into(),
        text: "no".into(),
        change: Change::Raised,
    })
}

/// First fault at 1 s, contention over at 200 s, restart at 202 s, service at 220 s.
fn good() -> Evidence {
    let vip = Record::Finding(Finding { finding: "vip-lost".into(), change: Change::Raised });
    Evidence {
        drill: "back-off",
        expected: Some(Expected { action: RESTART, nodes: &["cp1", "cp2"] }),
        alone_ms_min: 120_000,
        first_fault: 1_000,
        relief: 200_000,
        api_ready: Some(206_000),
        restored: Some(220_000),
        calls: vec![call(202_000, "cp1", "kubelet")],
        journal: Journal {
            intents: vec![intent(201_900, "cp1", "done")],
            records: vec![
                (500, hold("before-all")),
                (2_500, vip),
                (30_000, hold("quorum")),
                (31_000, hold("quorum")),
                (40_000, incident("etcd-quorum-lost", &["vip-lost"])),
                (201_000, incident("apiserver-crash-looping", &["apiserver-crash-looping", "vip-lost"])),
                (201_500, incident("machine-unreachable", &["machine-unreachable"])),
                (215_000, incident("apiserver-down", &["apiserver-down", "vip-lost"])),
                (221_000, incident("vip-lost", &["vip-lost"])),
            ],
        },
    }
}

fn violations(evidence: &Evidence) -> Vec<String> {
    let verdict = judge(evidence);
    assert!(!verdict.ok);
    verdict.violations
}

#[test]
fn a_good_drill() {
    let verdict = judge(&good());
    assert_eq!(verdict.violations, Vec::<String>::new());
    assert!(verdict.ok);
    assert_eq!(verdict.root.as_deref(), Some("apiserver-crash-looping"), "of the VIP's incident, when it was acted on");
    let idle = Evidence { calls: Vec::new(), expected: None, ..good() };
    assert_eq!(judge(&idle).root.as_deref(), Some("apiserver-down"), "before restoration, where nothing was done");
    assert_eq!((verdict.detected_ms, verdict.acted_ms), (Some(1_500), Some(2_000)));
    assert_eq!((verdict.api_ready_ms, verdict.restored_ms), (Some(6_000), Some(20_000)));
    assert_eq!(verdict.actions[0].outcome, "done");
    assert_eq!(verdict.holds.iter().map(|held| held.check.as_str()).collect::<Vec<_>>(), ["before-all", "quorum"]);
}

#[test]
fn not_restored_is_not_ok_even_without_a_violation() {
    let verdict = judge(&Evidence { restored: None, ..good() });
    assert!(!verdict.ok && verdict.violations.is_empty());
}

#[test]
fn a_call_needs_an_intent_reserved_before_it() {
    let mut late = good();
    late.journal.intents = vec![intent(202_001, "cp1", "failed")];
    assert_eq!(violations(&late), [format!("{RESTART} was asked of cp1 without an intent reserved before it")]);
    late.journal.intents = vec![intent(201_000, "cp2", "failed")];
    assert_eq!(violations(&late).len(), 1, "another node's intent is none");
}

#[test]
fn one_intent_allows_one_call() {
    let mut twice = good();
    twice.calls.push(call(203_000, "cp1", "kubelet"));
    let said = violations(&twice);
    assert!(said.iter().any(|one| one.contains("without an intent")), "{said:?}");
    assert!(said.iter().any(|one| one.contains("2 times")), "{said:?}");
}

#[test]
fn done_without_a_call_is_a_lie() {
    let mut lie = good();
    lie.calls.clear();
    let said = violations(&lie);
    assert!(said.iter().any(|one| one.contains("never asked for")), "{said:?}");
    assert!(said.iter().any(|one| one.contains("that machined was never asked")), "{said:?}");
}

#[test]
fn anything_else_that_changes_something_is_wrong() {
    let mut other = good();
    other.calls.push(call(203_000, "cp3", "kubelet"));
    other.journal.intents.push(intent(202_500, "cp3", "done"));
    assert_eq!(violations(&other), [format!("{RESTART} was asked of cp3, which nobody expected")]);
}

#[test]
fn acting_without_quorum_is_wrong() {
    let mut early = good();
    early.calls[0].at = 100_000;
    early.journal.intents[0].reserved_at = 99_000;
    let verdict = judge(&early);
    assert_eq!(verdict.acted_ms, Some(-100_000));
    assert_eq!(verdict.violations, [format!("{RESTART} was asked of cp1 while there was no quorum")]);
}

#[test]
fn silence_about_the_lost_quorum_is_wrong() {
    let mut mute = good();
    mute.journal.records.retain(|(_, record)| !matches!(record, Record::Hold(_)));
    assert_eq!(violations(&mute), ["defib recorded no hold while there was no quorum"]);
}

#[test]
fn alone_it_must_take_long_and_nobody_may_act() {
    let mut alone = Evidence { expected: None, journal: Journal::default(), calls: Vec::new(), ..good() };
    assert_eq!(violations(&alone).len(), 1, "6 s prove nothing");
    alone.api_ready = Some(368_000);
    alone.restored = Some(385_000);
    let verdict = judge(&alone);
    assert!(verdict.ok, "{:?}", verdict.violations);
    alone.calls.push(call(203_000, "cp1", "kubelet"));
    assert_eq!(violations(&alone), [format!("{RESTART} on cp1 was asked for though defib was not there")]);
}
