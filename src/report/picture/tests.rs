//! The promise of the screen: 30 lines of 80 columns, nothing cut, the same said once.

use std::collections::BTreeMap;

use super::*;
use crate::api::{Finding, HoldText, Named, Probe, Unknown};
use crate::report::page::{COLUMNS, LINES};

const SILENT: &str = "silent on every path: talos.services timed-out, etcd.status timed-out, apiserver timed-out";

fn named(finding: &str, scope: &str) -> Named {
    Named { finding: finding.to_owned(), scope: scope.to_owned() }
}

fn finding(finding: &str, scope: &str, text: &str, explained_by: &[Named]) -> Finding {
    let layer = if scope == "cluster" { "vip" } else { "machine" };
    Finding {
        key: named(finding, scope),
        layer,
        class: "outage",
        text: text.to_owned(),
        explained_by: explained_by.to_vec(),
    }
}

fn unknown(finding: &str, scope: &str, why: &str) -> Unknown {
    Unknown {
        key: named(finding, scope),
        layer: "apiserver".to_owned(),
        class: "outage".to_owned(),
        why: why.to_owned(),
    }
}

fn hold(check: &'static str, text: &str) -> HoldText {
    HoldText { check: check.to_owned(), text: text.to_owned(), lifts: "when talos.services answers".to_owned() }
}

fn report(nodes: &[&str]) -> Report {
    Report {
        version: crate::api::VERSION,
        cluster: "prod".to_owned(),
        verdict: Verdict::Outage,
        at_ms: 0,
        took_ms: 4_012,
        mode: "observe".to_owned(),
        root: None,
        findings: Vec::new(),
        unknown: Vec::new(),
        decisions: Vec::new(),
        figures: BTreeMap::new(),
        probes: Vec::new(),
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        vip_holder: None,
        route: crate::api::Route { direct: false, direct_since_ms: None, ready: Vec::new() },
    }
}

#[test]
fn the_way_is_shown_while_the_address_is_lost() {
    let mut report = report(&["cp1", "cp2"]);
    report.route.ready = vec!["cp2".to_owned(), "cp1".to_owned()];
    assert!(!screen(&report).contains("ROUTE"));
    report.route.direct = true;
    assert!(screen(&report).contains("\nROUTE directly to cp2: the virtual address is lost\n"), "{}", screen(&report));
}

/// Every machine is silent: nothing of what runs on one is known, and every playbook holds for several reasons.
fn all_down(nodes: &[&str]) -> Report {
    let mut report = report(nodes);
    let machines: Vec<_> = nodes.iter().map(|node| named("machine-unreachable", node)).collect();
    report.root = machines.first().cloned();
    for node in nodes {
        report.findings.push(finding("machine-unreachable", node, SILENT, &[]));
        for (rule, probe) in [
            ("etcd-member-down", "etcd.status"),
            ("etcd-member-hung", "etcd.status"),
            ("apiserver-down", "apiserver"),
            ("apiserver-not-ready", "apiserver"),
            ("apiserver-crash-looping", "talos.containers"),
            ("kubelet-down", "talos.services"),
        ] {
            report.unknown.push(unknown(rule, node, &format!("{probe}: no answer within 2s")));
        }
        report.decisions.push(Plan {
            playbook: "restart-kubelet".to_owned(),
            node: (*node).to_owned(),
            would: false,
            passed: Vec::new(),
            holds: vec![
                hold("authority", "mode is observe"),
                hold("talos-reachable", "talos.services: no answer within 2s"),
                hold("etcd-member-serving", &format!("etcd on {node} does not answer, and is not proven dead")),
            ],
        });
    }
    report.findings.push(finding("vip-lost", "cluster", "no answer at 192.0.2.100:6443 within 2s", &machines));
    report.probes.push(Probe {
        target: "cluster".to_owned(),
        kind: "vip",
        outcome: "timed-out".to_owned(),
        text: "no answer within 2s".to_owned(),
        took_ms: 2_000,
    });
    report
}

fn fits(text: &str) {
    assert!(text.lines().count() <= LINES, "{} lines:\n{text}", text.lines().count());
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
}

/// The text without its line breaks, so that a wrapped sentence can be looked for.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn three_nodes_down_fit_on_one_screen_with_every_reason() {
    let text = screen(&all_down(&["cp1", "cp2", "cp3"]));
    fits(&text);
    let flat = flat(&text);
    for part in [
        format!("Root: machine-unreachable cp1 (also cp2, cp3): {SILENT}").as_str(),
        "✗ machine-unreachable cp1 cp2 cp3 (the root) ✗ vip-lost",
        "? cp1 cp2 cp3: apiserver: no answer within 2s (apiserver-down, apiserver-not-ready)",
        "HELD restart-kubelet cp1 cp2 cp3: talos-reachable: talos.services: no answer within 2s",
        "HELD restart-kubelet cp1 cp2 cp3: etcd-member-serving: cp1: etcd on cp1 does not answer",
        "lifts when talos.services answers",
        "THIS LOOK touched nothing",
        "NEXT defib history -n 20",
    ] {
        assert!(flat.contains(part), "{part}\nin\n{text}");
    }
    assert!(!flat.contains("…") && !flat.contains("authority"), "nothing is cut or left out:\n{text}");
}

#[test]
fn what_finds_no_room_is_counted() {
    let nodes: Vec<_> = (1..=9).map(|number| format!("control-plane-{number}")).collect();
    let mut report = all_down(&nodes.iter().map(String::as_str).collect::<Vec<_>>());
    for (number, unknown) in report.unknown.iter_mut().enumerate() {
        unknown.why = format!("reason {number}");
    }
    let text = screen(&report);
    fits(&text);
    assert!(text.contains(" more: --output json"), "{text}");
    assert!(flat(&text).contains("Root: machine-unreachable control-plane-1 (also control-plane-2,"), "{text}");
}

#[test]
fn a_root_has_no_equal_among_what_is_explained() {
    let mut report = report(&["cp1", "cp2"]);
    let cause = named("kubelet-down", "cp2");
    report.root = Some(named("apiserver-down", "cp1"));
    report.findings.push(finding("apiserver-down", "cp1", "its port is closed", &[]));
    report.findings.push(finding("apiserver-down", "cp2", "its port is closed", &[cause]));
    assert_eq!(root(&report).as_deref(), Some("apiserver-down cp1: its port is closed"));
}

#[test]
fn would_be_done_is_said_once_for_all_patients_and_what_comes_next_can_be_run() {
    let mut report = report(&["cp1", "cp2"]);
    for node in ["cp1", "cp2"] {
        report.decisions.push(Plan {
            playbook: "restart-kubelet".to_owned(),
            node: node.to_owned(),
            would: true,
            passed: Vec::new(),
            holds: vec![hold("authority", "mode is observe")],
        });
    }
    let text = screen(&report);
    fits(&text);
    assert!(text.contains("  WOULD  restart-kubelet cp1 cp2   (mode is observe)\n"), "{text}");
    assert!(
        text.ends_with("NEXT  defib history -n 20    (what the daemon did; WOULD says what is not armed)\n"),
        "{text}"
    );
}

#[test]
fn a_risk_warns_and_advice_comes_last_and_neither_is_an_outage() {
    let mut report = report(&["cp1", "cp2"]);
    report.verdict = Verdict::Healthy;
    let risk = |rule: &str, class| Finding { class, ..finding(rule, "cp1", "steal 40 % (limit 20 %)", &[]) };
    report.findings = vec![risk("host-starved", "risk"), risk("etcd-fragmented", "advice")];
    report.unknown =
        vec![Unknown { class: "risk".to_owned(), ..unknown("etcd-slow-disk", "cp1", "needs two scrapes") }];
    let text = screen(&report);
    assert!(
        text.lines().next().is_some_and(|first| first.starts_with("✓ HEALTHY prod ") && first.ends_with(", 1 risk"))
    );
    assert!(!text.contains('✗') && !text.contains("CANNOT TELL"), "{text}");
    let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words}: {text}"));
    assert!(place("! host-starved") < place("i etcd-fragmented"), "{text}");
    assert!(place("i etcd-fragmented") < place("? 1 risk is not told by this look: etcd-slow-disk"), "{text}");
    report.verdict = Verdict::Outage;
    report.findings.push(finding("etcd-no-leader", "cluster", "none", &[named("host-starved", "cp1")]));
    let text = screen(&report);
    assert!(text.contains("WHY") && !text.contains("RISKS"), "a risk that explains stands among the causes: {text}");
}

#[test]
fn the_holder_of_the_address_is_named_where_it_is_known() {
    let answers =
        Probe { target: "vip".to_owned(), kind: "vip", outcome: "healthy".to_owned(), text: String::new(), took_ms: 3 };
    let report = Report { vip_holder: Some("cp2".to_owned()), probes: vec![answers], ..report(&["cp1", "cp2"]) };
    assert!(screen(&report).contains("✓ answers on cp2 in 3 ms"));
    assert!(screen(&Report { vip_holder: None, ..report }).contains("✓ answers in 3 ms"));
}
