//! Configurations that are right, wrong, and anything at all.

use std::path::Path;

use proptest::prelude::*;

use defib_engine::playbook::Limit;

use super::*;
use crate::yaml::Problems;

const WHOLE: &str = r#"
mode: act
journal: state/journal
listen: "[::1]:9870"
names: [ops.example]
playbooks: playbooks
canaries: ["192.0.2.254:9"]
clusters:
  - name: lab
    vip: 192.0.2.100
    arm: [restart-kubelet]
    ports: { etcd: 2479 }
    nodes:
      - { name: cp1, address: 192.0.2.1 }
      - { name: cp2, address: 192.0.2.2 }
    kubernetes: { ca: pki/a.crt, certificate: pki/b.crt, key: /etc/b.key }
    talos: { talosconfig: talosconfig, context: lab }
    lifeline: { listen: "127.0.0.1:16443", kubeconfig: { file: out, from: /etc/admin.conf, context: admin } }
  - name: home
    nodes:
      - name: one
        address: 2001:db8::1
"#;

fn read_text(text: impl AsRef<[u8]>) -> Result<Config, Problems> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("defib.yaml");
    std::fs::write(&file, text).unwrap();
    read(&file)
}

/// Every problem as `line:column: text`.
fn problems(text: impl AsRef<[u8]>) -> Vec<String> {
    let Problems(problems) = read_text(text).expect_err("it is wrong");
    problems.iter().map(|problem| format!("{}:{}: {}", problem.line, problem.column, problem.text)).collect()
}

/// A cluster with these lines in place of its nodes.
fn with(lines: &str) -> String {
    format!("clusters:\n  - name: lab\n    nodes: [{{ name: cp1, address: 192.0.2.1 }}]\n{lines}\n")
}

#[test]
fn a_whole_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("defib.yaml");
    std::fs::write(&file, WHOLE).unwrap();
    let config = read(&file).unwrap();
    assert_eq!(config.mode, Mode::Act);
    assert_eq!(config.journal, folder.path().join("state/journal"));
    assert_eq!(config.playbooks, Some(folder.path().join("playbooks")));
    assert_eq!(config.listen.to_string(), "[::1]:9870");
    assert_eq!(config.names, ["ops.example"]);
    assert_eq!(config.canaries, ["192.0.2.254:9".parse().unwrap()]);
    let [lab, home] = config.clusters.as_slice() else { unreachable!() };
    assert_eq!(lab.vip.unwrap().to_string(), "192.0.2.100:6443");
    assert_eq!((lab.ports.apiserver, lab.ports.etcd, lab.ports.talos), (6443, 2479, 50000));
    assert_eq!(lab.arm, ["restart-kubelet"]);
    assert_eq!((lab.nodes[1].name.as_str(), lab.nodes[1].address.to_string().as_str()), ("cp2", "192.0.2.2"));
    let kubernetes = lab.kubernetes.as_ref().unwrap();
    assert_eq!(kubernetes.ca, folder.path().join("pki/a.crt"));
    assert_eq!(kubernetes.key, Path::new("/etc/b.key"));
    assert!(lab.etcd.is_none());
    assert_eq!(lab.talos.as_ref().unwrap().context.as_deref(), Some("lab"));
    assert_eq!((home.vip, home.arm.len()), (None, 0));
}

#[test]
fn etcd_shows_its_figures_where_it_is_said() {
    let etcd = "    etcd: { ca: a, certificate: b, key: c }";
    let read = |lines: &str| read_text(with(lines)).unwrap().clusters[0].etcd_metrics;
    let at = |tls, port| Some(EtcdMetrics { tls, port });
    assert_eq!(read(""), None);
    assert_eq!(read(etcd), at(true, 2379));
    assert_eq!(read(&format!("{etcd}\n    ports: {{ etcd: 2479 }}")), at(true, 2479));
    assert_eq!(read(&format!("{etcd}\n    etcd-metrics: https://:2383")), at(true, 2383));
    assert_eq!(read(&format!("{etcd}\n    etcd-metrics: off")), None);
    assert_eq!(read("    etcd-metrics: http://:2381/"), at(false, 2381));
    let wrong = |value: &str| problems(with(&format!("{etcd}\n    etcd-metrics: {value}")));
    for value in ["https://192.0.2.1:2379", "http://:0", "http://:70000", "2381", "https", "[]"] {
        let found = wrong(value);
        assert!(found.len() == 1 && found[0].starts_with("5:19: ") && found[0].contains("etcd-metrics"), "{found:?}");
    }
    assert_eq!(
        problems(with("    etcd-metrics: https://:2379")),
        ["4:19: etcd-metrics https://:2379 needs the key etcd: a certificate that etcd takes"]
    );
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = read_text("clusters: [{ name: a, nodes: [{ name: n, address: 192.0.2.1 }], arm: }]").unwrap();
    assert_eq!(config.mode, Mode::Observe);
    assert_eq!(config.listen.to_string(), "127.0.0.1:9870");
    assert_eq!(config.journal, config.file.with_file_name("journal"));
    assert_eq!((config.playbooks, config.canaries.len()), (None, 0));
}

#[test]
fn a_problem_is_shown_at_its_place() {
    let text = "clusters:\n  - name: lab\n    vip: 192.0.2.100:6443\n    nodes:\n      - { name: cp1, address: 192.0.2.100 }\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("defib.yaml");
    std::fs::write(&file, text).unwrap();
    let shown = read(&file).unwrap_err().to_string();
    let expected = "defib.yaml:5:31: node address 192.0.2.100 is the vip's own; a node needs its own address
  5 |       - { name: cp1, address: 192.0.2.100 }
    |                               ^";
    assert_eq!(shown.strip_prefix(&format!("{}/", folder.path().display())), Some(expected));
}

#[test]
fn every_mistake_is_found_at_once() {
    let found = problems(
        "\
mode: acting
listen: 0.0.0.0:9870
jurnal: x
canaries: [192.0.2.1:9, nonsense]
clusters:
  - name: Lab
    vip: 192.0.2.100:0
    nodes:
      - { name: cp1, adress: 192.0.2.1 }
      - { name: cp1, address: 192.0.2.1 }
      - { name: cp2, address: 192.0.2.1 }
      - { name: cp2, address: 224.0.0.1, name: cp3 }
    ports: { etcd: 70000, talos: 0 }
    kubernetes: { ca: [a], key: b }
    etcd: pki
    talos: { context: lab }
  - name: home
  - 7
",
    );
    assert_eq!(
        found,
        [
            "1:7: mode \"acting\" is not one of observe, ask, act",
            "2:9: listen 0.0.0.0:9870 is reachable from outside; only a loopback address is served",
            "3:1: the file has no key \"jurnal\"; did you mean \"journal\"",
            "4:12: canary 192.0.2.1:9 is part of a cluster; it must lie outside to tell whether we are connected",
            "4:25: canary \"nonsense\" is not an address with a port such as 192.0.2.1:9",
            "6:11: cluster name \"Lab\" is not 1 to 63 of a-z, 0-9, '.' and '-'",
            "7:10: vip 192.0.2.100:0 has port 0",
            "9:9: a node lacks the key \"address\"",
            "9:22: a node has no key \"adress\"; did you mean \"address\"",
            "10:17: node name cp1 stands on line 9 already",
            "11:31: node address 192.0.2.1 stands on line 10 already",
            "12:17: node name cp2 stands on line 11 already",
            "12:31: node address 224.0.0.1 is not the address of one machine",
            "12:42: key \"name\" stands on line 12 already",
            "13:20: etcd \"70000\" is not a port from 1 to 65535",
            "13:34: talos \"0\" is not a port from 1 to 65535",
            "14:17: a credential lacks the key \"certificate\"",
            "14:23: ca is text",
            "15:11: a credential is a map of ca, certificate, key",
            "16:12: talos lacks the key \"talosconfig\"",
            "17:5: a cluster lacks the key \"nodes\"",
            "18:5: a cluster is a map of name, vip, arm, maintenance, ports, nodes, kubernetes, etcd, etcd-metrics, talos, snapshots, lifeline, thresholds",
        ]
    );
}

#[test]
fn single_mistakes() {
    let many_nodes = (1..=10).map(|n| format!("{{ name: n{n}, address: 192.0.2.{n} }}")).collect::<Vec<_>>().join(", ");
    let many = |count: usize| {
        let cluster = |n: usize| {
            format!("  - {{ name: c{n}, nodes: [{{ name: a, address: 127.1.{}.{} }}] }}\n", n / 250, n % 250 + 1)
        };
        format!("clusters:\n{}", (0..count).map(cluster).collect::<String>())
    };
    for (text, expected) in [
        (String::new(), "0:0: is empty"),
        ("# nothing\n".to_owned(), "0:0: is empty"),
        ("---\n".to_owned(), "is a map of mode"),
        ("mode: observe".to_owned(), "1:1: the file lacks the key \"clusters\""),
        ("clusters:".to_owned(), "1:1: the file lacks the key \"clusters\""),
        ("clusters: []".to_owned(), "1:11: clusters is empty; at least one is watched"),
        ("clusters: {}".to_owned(), "1:11: clusters is a list"),
        ("clusters: [a, b".to_owned(), "this is no YAML"),
        ("clusters: &a []".to_owned(), "tags and anchors"),
        ("clusters: !x []".to_owned(), "tags and anchors"),
        ("mode: &m act\nlisten: *m".to_owned(), "aliases are not read here"),
        ("? [a]\n: b".to_owned(), "1:3: a key is text"),
        ("a: b\n---\nc: d".to_owned(), "2:1: a second document begins here"),
        ("x: ".to_owned() + &"[".repeat(100), "this is no YAML"),
        (many(501), "501 clusters are more than 500"),
        (format!("clusters: [{{ name: a, nodes: [{many_nodes}] }}]"), "10 nodes are more than 9"),
        ("clusters: [{ name: a, nodes: [] }]".to_owned(), "nodes is empty"),
        (
            with("  - { name: lab, nodes: [{ name: a, address: 192.0.2.9 }] }"),
            "4:13: cluster lab stands on line 2 already",
        ),
        (
            with("  - { name: b, nodes: [{ name: a, address: 192.0.2.1 }] }"),
            "192.0.2.1 belongs to another cluster, on line 3",
        ),
        (with("    arm: [a, a]"), "4:14: playbook a stands on line 4 already"),
        (with("    arm: a"), "4:10: arm is a list"),
        (with("    vip: cluster.local"), "4:10: vip \"cluster.local\" is not an address such as"),
        (with("    vip: 0.0.0.0"), "vip 0.0.0.0 is not the address"),
        (with("listen: 9870"), "4:9: listen \"9870\" is not an address with a port"),
        (with("listen: []"), "4:9: listen is text"),
    ] {
        let found = problems(&text).join("\n");
        assert!(found.contains(expected), "{text:.80}\n{found}");
    }
    assert_eq!(read_text(many(500)).unwrap().clusters.len(), 500);
}

#[test]
fn a_file_that_is_no_text_or_too_large_or_absent_is_said_so() {
    assert_eq!(problems(b"mode: act\nlisten: \xff"), ["2:9: this is not UTF-8 text"]);
    assert_eq!(problems(vec![b' '; 1024 * 1024 + 1]), ["0:0: is larger than 1024 KiB"]);
    let shown = read(Path::new("/nowhere/defib.yaml")).unwrap_err().to_string();
    assert!(shown.starts_with("/nowhere/defib.yaml: cannot be read: "), "{shown}");
}

#[test]
fn very_many_problems_are_counted() {
    let text: String = (0..20_000).map(|number| format!("key{number}: 1\n")).collect();
    let found = problems(text);
    assert_eq!(found.len(), 51);
    assert_eq!(found[50], "0:0: 19951 further problems are not shown");
}

#[test]
fn a_playbook_that_erases_cannot_be_armed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("defib.yaml");
    std::fs::write(&file, with("    arm: [restart-kubelet, replace-removed-member]")).unwrap();
    let shown = read_with(&file, |given| crate::playbook::load(crate::playbook::SHIPPED, given)).unwrap_err();
    assert_eq!(shown.0.len(), 1);
    let text = &shown.0[0].text;
    assert!(text.starts_with("replace-removed-member erases") && text.contains("cannot be armed"), "{shown}");
}

#[test]
fn an_armed_playbook_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("defib.yaml");
    std::fs::write(&file, with("    arm: [restart-kubelett]\nplaybooks: mine")).unwrap();
    let load = |given: Option<&Path>| {
        assert_eq!(given, Some(folder.path().join("mine").as_path()));
        crate::playbook::load(crate::playbook::SHIPPED, None)
    };
    let shown = read_with(&file, load).unwrap_err();
    assert_eq!(shown.0.len(), 1);
    assert!(shown.0[0].text.ends_with("; did you mean \"restart-kubelet\""), "{shown}");
    // A folder that cannot be read is told beside the file's own mistakes.
    std::fs::write(&file, with("    vip: x\nplaybooks: mine")).unwrap();
    let shown = read_with(&file, |given| crate::playbook::load(&[], given)).unwrap_err();
    assert_eq!(shown.0.len(), 2, "{shown}");
    std::fs::write(&file, with("    arm: [restart-kubelet]")).unwrap();
    let (config, playbooks) = read_with(&file, |given| crate::playbook::load(crate::playbook::SHIPPED, given)).unwrap();
    assert_eq!(
        (config.clusters[0].arm[0].as_str(), playbooks.len()),
        ("restart-kubelet", crate::playbook::SHIPPED.len())
    );
}

#[test]
fn a_schedule_of_snapshots_is_read_and_every_mistake_in_one_found() {
    let etcd = "    etcd: { ca: a, certificate: b, key: c }\n";
    let text = with(&format!("{etcd}    snapshots: {{ every: 6h, folder: kept }}"));
    let config = read_text(text).unwrap();
    let schedule = config.clusters[0].snapshots.as_ref().unwrap();
    assert_eq!((schedule.every.as_secs(), schedule.keep), (21_600, 14));
    assert!(schedule.folder.is_absolute() && schedule.folder.ends_with("kept"));
    for (lines, expected) in [
        ("    snapshots: { every: 6h, folder: kept }", "snapshots need the key \"etcd\" beside them"),
        ("    snapshots: { every: often, folder: kept }", "every \"often\" is not a duration"),
        ("    snapshots: { every: 59s, folder: kept }", "every \"59s\" is not between 1m and 30 days"),
        ("    snapshots: { every: 31days, folder: kept }", "is not between 1m"),
        ("    snapshots: { every: 6h, keep: 0, folder: kept }", "keep 0 is not a number from 1 to 1000"),
        ("    snapshots: { every: 6h, keep: 1001, folder: kept }", "keep 1001 is not"),
        ("    snapshots: { keep: 1 }", "lacks the key \"every\""),
        ("    snapshots: { keep: 1 }", "lacks the key \"folder\""),
        ("    snapshots: { evry: 1h }", "did you mean \"every\""),
    ] {
        let found = problems(with(lines)).join("\n");
        assert!(found.contains(expected), "{expected}\n{found}");
    }
}

#[test]
fn thresholds_of_the_file_and_of_a_cluster_are_read() {
    let lines = "    thresholds:\n      etcd-slow-disk: { fsync-from: 50ms }\n      host-busy: { opens-after: 2m }\nthresholds:\n  \
                 host-busy: { raised-above-percent: 90.5, clear-below-percent: 85 }\n  etcd-slow-disk: { fsync-from: 1s }";
    let config = read_text(with(lines)).unwrap();
    let all: Vec<_> = config.clusters[0].thresholds.all().collect();
    let busy = defib_engine::diagnosis::rule("host-busy").unwrap();
    assert_eq!(
        all,
        [
            ("etcd-slow-disk", "fsync-from", 0.05),
            ("host-busy", "clear-below-percent", 85.0),
            ("host-busy", "raised-above-percent", 90.5),
            ("host-busy", "opens-after", 120.0),
            ("host-busy", "closes-after", busy.timing.close_after.as_secs_f64()),
        ]
    );
}

#[test]
fn how_often_machines_may_be_taken_down_is_read() {
    let of = |lines: &str| read_text(with(lines)).unwrap().disruptive;
    let limit = |count, hours: u64| Limit { count, window: std::time::Duration::from_secs(hours * 3_600) };
    assert_eq!(of(""), Disruptive { per_node: limit(3, 24), per_fleet: limit(6, 1) });
    assert_eq!(
        of("disruptive: { per-fleet: 2 per 12h }"),
        Disruptive { per_node: limit(3, 24), per_fleet: limit(2, 12) }
    );
    let found = problems(with("disruptive: { per-node: 0 per 1h, per-fleet: many, per-host: 1 per 1h }")).join("\n");
    for expected in ["per-node 0 is not from 1", "per-fleet \"many\" is not a count per time", "no key \"per-host\""] {
        assert!(found.contains(expected), "{expected}\n{found}");
    }
}

#[test]
fn every_mistake_of_the_thresholds_is_found() {
    let lines = "thresholds:\n  host-bussy: { opens-after: 1s }\n  host-busy: { raised-above-percent: 70, opens-after: 2h, limit: 3 }\n  \
                 etcd-starved: { heartbeats-late: 2.5 }\n  etcd-slow-disk: { fsync-from: 100, commit-from: 2h }\n  \
                 machine-flapping: { boots: 0 }\n  apiserver-slow: fast\n  host-starved: { raised-from-percent: NaN }";
    let found = problems(with(lines)).join("\n");
    for expected in [
        "thresholds has no key \"host-bussy\"; did you mean \"host-busy\"",
        "host-busy: clear-below-percent must be at most as high as raised-above-percent",
        "host-busy: opens-after \"2h\" is not a duration from 0s to 1h",
        "a finding has no key \"limit\"",
        "etcd-starved: heartbeats-late \"2.5\" is not a whole number",
        "etcd-slow-disk: fsync-from \"100\" is not a duration such as 500ms",
        "etcd-slow-disk: commit-from \"2h\" is not between 1ms and 1m",
        "machine-flapping: boots \"0\" is not between 1 and 64",
        "a finding is a map of",
        "host-starved: raised-from-percent \"NaN\" is not a number",
    ] {
        assert!(found.contains(expected), "{expected}\n{found}");
    }
}

#[test]
fn a_wait_that_no_armed_playbook_could_be_verified_in_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("defib.yaml");
    let load = |given: Option<&Path>| crate::playbook::load(crate::playbook::SHIPPED, given);
    std::fs::write(
        &file,
        with("    arm: [restart-kubelet]\n    thresholds: { apiserver-down: { closes-after: 30m } }"),
    )
    .unwrap();
    let shown = read_with(&file, load).unwrap_err();
    assert_eq!(shown.0.len(), 1, "{shown}");
    assert!(shown.0[0].text.starts_with("restart-kubelet could never be verified: within 3m is shorter"), "{shown}");
    std::fs::write(
        &file,
        with("    arm: [restart-kubelet]\n    thresholds: { apiserver-down: { closes-after: 10s } }"),
    )
    .unwrap();
    assert!(read_with(&file, load).is_ok());
}

#[test]
fn maintenance_windows_are_read() {
    let lines = "    maintenance:\n      - { days: [sat, sun], from: 02:00, to: 04:30, offset: '+01:00', hold: everything }\n      \
                 - { days: [mon], from: 22:00, to: 01:00, hold: disruptive }\n      - { days: [tue], from: 00:00, to: 24:00, hold: disruptive }";
    let config = read_text(with(lines)).unwrap();
    let windows = &config.clusters[0].maintenance;
    let words: Vec<_> = windows.iter().map(|window| window.words.as_str()).collect();
    assert_eq!(words, ["sat, sun 02:00 to 04:30 +01:00", "mon 22:00 to 01:00 UTC", "tue 00:00 to 24:00 UTC"]);
    let lengths: Vec<_> = windows.iter().map(|window| window.length.as_secs() / 60).collect();
    assert_eq!(lengths, [150, 180, 1_440]);
    assert_eq!((windows[0].offset_minutes, windows[1].offset_minutes), (60, 0));
    assert!(windows[0].holds < windows[1].holds);
}

#[test]
fn every_mistake_of_a_maintenance_window_is_found() {
    let lines = "    maintenance:\n      - { days: [sat, sat, someday], from: 24:00, to: 2:00, offset: +15:00, hold: nothing }\n      \
                 - { days: [], from: 01:00, to: 01:00, hold: disruptive }\n      - { days: mon, from: 01:60, till: 1 }";
    let found = problems(with(lines)).join("\n");
    for expected in [
        "day sat stands on line",
        "day \"someday\" is not one of mon",
        "from \"24:00\" is not a time of the day",
        "to \"2:00\" is not a time",
        "offset \"+15:00\" is not one from UTC",
        "hold \"nothing\" is not one of everything, disruptive",
        "days is empty",
        "from and to are the same",
        "days is a list",
        "from \"01:60\"",
        "a maintenance window has no key \"till\"",
        "lacks the key \"hold\"",
    ] {
        assert!(found.contains(expected), "{expected}\n{found}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        drop(read_text(bytes).map_err(|problems| problems.to_string()));
    }

    #[test]
    fn any_yaml_like_text_is_read_or_refused(text in "([a-c:{},\\[\\]\"'#&*!|>?~ \t\n\r-]|é|\u{2028}|\u{feff}){0,120}") {
        drop(read_text(text).map_err(|problems| problems.to_string()));
    }

    #[test]
    fn a_mutated_file_is_read_or_refused(
        at in 0..WHOLE.len(),
        cut in 0_usize..40,
        put in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut bytes = WHOLE.as_bytes().to_vec();
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, put);
        drop(read_text(bytes).map_err(|problems| problems.to_string()));
    }
}

#[test]
fn a_lifeline_is_read() {
    let text =
        |lines: &str| with(&format!("    kubernetes: {{ ca: a, certificate: b, key: c }}\n    lifeline: {lines}"));
    let config = read_text(text("{ listen: 192.0.2.200:16443, connections: 3 }")).unwrap();
    let lifeline = config.clusters[0].lifeline.clone().unwrap();
    assert_eq!(lifeline.listen.unwrap().to_string(), "192.0.2.200:16443");
    assert_eq!((lifeline.connections, lifeline.kubeconfig), (3, None));
    let config = read_text(text("{ kubeconfig: { file: out, from: /etc/admin, context: x, tls-server-name: k8s } }"));
    let lifeline = config.unwrap().clusters[0].lifeline.clone().unwrap();
    let kubeconfig = lifeline.kubeconfig.unwrap();
    assert_eq!((lifeline.listen, lifeline.connections), (None, 256));
    assert_eq!(kubeconfig.from.as_deref(), Some(Path::new("/etc/admin")));
    assert_eq!((kubeconfig.context.as_deref(), kubeconfig.server_name.as_deref()), (Some("x"), Some("k8s")));
}

#[test]
fn what_a_lifeline_cannot_be() {
    let found = |lines: &str| {
        let text = format!("    kubernetes: {{ ca: a, certificate: b, key: c }}\n    lifeline: {lines}");
        problems(with(&text)).join("; ")
    };
    assert!(found("{}").contains("has the key \"listen\", \"kubeconfig\", or both"));
    assert!(found("{ listen: 0.0.0.0:1 }").contains("not one address of this machine; write out the one"));
    assert!(found("{ listen: \"127.0.0.1:0\" }").contains("has port 0"));
    assert!(found("{ listen: 16443 }").contains("is not an address with a port, such as 127.0.0.1:16443"));
    assert!(found("{ listen: \"127.0.0.1:9870\" }").contains("is where defib itself listens"));
    assert!(found("{ listen: \"127.0.0.1:1\", connections: 0 }").contains("is not a number from 1 to 8192"));
    assert!(found("{ kubeconfig: { file: a, from: a } }").contains("not written over the one that it is made from"));
    assert!(found("{ kubeconfig: { file: a, context: b } }").contains("that the key \"from\" names"));
    assert!(
        problems(with("    lifeline: { listen: \"127.0.0.1:1\" }")).join(";").contains("needs the key \"kubernetes\"")
    );
    let one = "lifeline: { listen: \"127.0.0.1:1\", kubeconfig: { file: a } }\n    kubernetes: { ca: a, certificate: b, key: c }";
    let two = format!(
        "{}  - name: two\n    nodes: [{{ name: n, address: 192.0.2.9 }}]\n    {one}\n",
        with(&format!("    {one}"))
    );
    let both = problems(two).join("; ");
    assert!(both.contains("lifeline 127.0.0.1:1 stands on line") && both.contains("kubeconfig /"), "{both}");
}
