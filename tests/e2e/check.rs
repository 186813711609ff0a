//! `defib check` against real parts, well and ill.

use std::time::Duration;

use defib_lab::{Fault, Node, fault};

use crate::support::{Stage, await_that};

pub(crate) fn healthy(stage: &Stage) {
    let config = stage.config("healthy", &[]);
    let (code, report) = stage.check(&config);
    assert_eq!((code, &report["verdict"]), (0, &"healthy".into()), "{report:#}");
    assert_eq!(report["nodes"], serde_json::json!(["cp1", "cp2", "cp3"]));
    let failed: Vec<_> =
        report["probes"].as_array().unwrap().iter().filter(|probe| probe["outcome"] != "healthy").collect();
    assert!(failed.is_empty(), "{failed:?}");

    let text = String::from_utf8(stage.run(&config, &["check"]).stdout).unwrap();
    assert!(text.starts_with("✓ HEALTHY lab"), "{text}");
    assert!(text.lines().count() <= 30 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

pub(crate) fn without_credentials(stage: &Stage) {
    let config = stage.config("blind", &[("pki/defib-kubernetes.key", "pki/no-such.key")]);
    let (code, report) = stage.check(&config);
    assert_eq!((code, &report["verdict"]), (4, &"unknown".into()), "{report:#}");
    let whys = report["unknown"].to_string();
    assert!(whys.contains("no-such.key"), "the missing file is named: {whys}");
}

pub(crate) fn hung_member(stage: &Stage) {
    let config = stage.config("hung", &[]);
    let hung = Fault::Hang(Node::Cp2, Some(defib_lab::Part::Etcd));
    stage.lab.break_(hung).unwrap();
    let (code, report) = stage.check(&config);
    stage.lab.mend(hung).unwrap();
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(report["root"], serde_json::json!({"finding": "etcd-member-hung", "scope": "cp2"}), "{report:#}");
}

pub(crate) fn frozen_machine(stage: &Stage) {
    let config = stage.config("frozen", &[]);
    stage.lab.break_(fault::Fault::Freeze(Node::Cp3)).unwrap();
    // The VIP may have been on the frozen node; it is another one's after a lease.
    let mut last = serde_json::Value::Null;
    await_that("the VIP is served by a living node", Duration::from_secs(90), || {
        let (code, report) = stage.check(&config);
        last = report;
        let outages =
            |findings: &Vec<serde_json::Value>| findings.iter().filter(|one| one["class"] == "outage").count();
        code == 1 && last["findings"].as_array().is_some_and(|findings| outages(findings) == 1)
    });
    stage.lab.mend(Fault::Freeze(Node::Cp3)).unwrap();
    assert_eq!(last["root"], serde_json::json!({"finding": "machine-unreachable", "scope": "cp3"}), "{last:#}");
    let unknown = last["unknown"].to_string();
    assert!(unknown.contains("apiserver-down"), "what runs on a silent machine is unknown, not down: {unknown}");
}
