//! Playbooks that are right, wrong, and anything at all.

use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use defib_engine::playbook::{Action, Limit, RestartableService};
use proptest::prelude::*;

use super::*;

/// A shipped playbook, standing alone: a rung of no ladder.
static SOUND: LazyLock<String> =
    LazyLock::new(|| shipped("restart-kubelet").unwrap().replace("otherwise: reboot-unrevived", "otherwise: notify"));

fn problems(text: &str) -> Vec<String> {
    let Problems(problems) = parse(Path::new("p.yaml"), text).expect_err(text);
    problems.iter().map(|problem| format!("{}:{}: {}", problem.line, problem.column, problem.text)).collect()
}

/// The shipped playbook with one piece of text replaced.
fn changed(from: &str, to: &str) -> String {
    assert!(SOUND.contains(from), "{from}");
    SOUND.replacen(from, to, 1)
}

#[test]
fn the_shipped_playbooks_are_read() {
    let playbooks = load(SHIPPED, None).unwrap();
    assert_eq!(playbooks.len(), SHIPPED.len());
    for (playbook, (name, _)) in playbooks.iter().zip(SHIPPED) {
        assert_eq!(playbook.name, *name);
    }
    let kubelet = playbooks.iter().find(|playbook| playbook.name == "restart-kubelet").unwrap();
    assert_eq!((kubelet.when.finding.name, kubelet.when.for_), ("apiserver-down", Duration::from_secs(20)));
    let require: Vec<_> = kubelet.require.iter().map(|wanted| (wanted.check.name, wanted.duration)).collect();
    assert_eq!(
        require,
        [
            ("talos-reachable", None),
            ("etcd-member-serving", None),
            ("no-ready-apiserver", None),
            ("pod-settled", Some(Duration::from_secs(300))),
            ("back-off-remaining", Some(Duration::from_secs(45))),
            ("memory-suffices", None),
        ]
    );
    assert_eq!(kubelet.limits.per_node, Limit { count: 2, window: Duration::from_secs(3_600) });
    assert_eq!(kubelet.limits.per_cluster, Limit { count: 4, window: Duration::from_secs(21_600) });
    assert_eq!(kubelet.limits.cooldown, Duration::from_secs(300));
    let restart = Action::RestartService { service: RestartableService::Kubelet, deadline: Duration::from_secs(60) };
    assert_eq!(kubelet.steps, [Action::CollectEvidence, restart]);
    assert_eq!(kubelet.verify.within, Duration::from_secs(180));
    assert_eq!(kubelet.verify.steady_for, Duration::from_secs(20));
}

#[test]
fn every_mistake_is_found_at_once() {
    let found = problems(
        "\
name: Restart Kubelet
when: { finding: apiserver-dwon, for: 0s }
require: [ talos-reachable: 5s, pod-settled, nonsense, back-off-remaining: soon, no-ready-apiserver, no-ready-apiserver ]
limits: { per-node: 0 per 1h, per-cluster: often, cooldown: 31days }
steps:
  - collect-evidence: now
  - restart-service: { service: etcd, dedline: 60s }
  - restart-service
  - reboot
verify: { cleared: apiserver-down, within: 20s, steady-for: 1ns }
otherwise: Pray
extra: 1
",
    );
    let shapes = [
        "1:7: name \"Restart Kubelet\" is not 1 to 63",
        "2:18: finding \"apiserver-dwon\" is not one of",
        "2:39: for \"0s\" is not between 1ms and 30 days",
        "3:29: check talos-reachable takes no duration",
        "3:33: check pod-settled needs a duration, such as pod-settled: 5m",
        "3:46: check \"nonsense\" is not one of talos-reachable",
        "3:76: back-off-remaining \"soon\" is not a duration such as",
        "3:102: requirement no-ready-apiserver stands on line 3 already",
        "4:21: per-node 0 is not from 1 to 1000",
        "4:44: per-cluster \"often\" is not a count per time, such as 2 per 1h",
        "4:61: cooldown \"31days\" is not between 1ms and 30 days",
        "6:23: action collect-evidence takes no details",
        "7:22: restart-service lacks the key \"deadline\"",
        "7:33: service \"etcd\" is not one of kubelet",
        "7:39: restart-service has no key \"dedline\"; did you mean \"deadline\"",
        "8:5: action restart-service needs {",
        "9:5: action \"reboot\" is not one of collect-evidence, restart-service",
        "10:44: within 20s is shorter than 30s",
        "10:61: steady-for \"1ns\" is not between",
        "11:12: otherwise \"Pray\" is not 1 to 63",
        "12:1: a playbook has no key \"extra\"",
    ];
    assert_eq!(found.len(), shapes.len(), "{found:#?}");
    for (found, shape) in found.iter().zip(shapes) {
        assert!(found.starts_with(shape), "{found}\n{shape}");
    }
    assert!(found[1].ends_with("did you mean \"apiserver-down\""));
}

#[test]
fn single_mistakes() {
    for (text, expected) in [
        (
            changed("cooldown: 5m", "cooldown: 3m"),
            "cooldown 3m is shorter than 3m20s, verify's within and steady-for: a run could follow one still judged",
        ),
        (
            changed("within: 180s", "within: 36s"),
            "within 36s is shorter than 43s: restart-service kubelet takes 35s to work, and apiserver-down 8s to be seen gone",
        ),
        (changed("2 per 1h", "5 per 1h"), "per-node allows 5 runs, per-cluster only 4"),
        (changed("2 per 1h", "-1 per 1h"), "per-node \"-1 per 1h\" is not a count per time"),
        (changed("2 per 1h", "2 per 99y"), "is not between 1ms and 30 days"),
        (changed("pod-settled: 5m", "{ pod-settled: 5m, nonsense: 1 }"), "each stands alone in the list"),
        (changed("pod-settled: 5m", "[pod-settled]"), "a requirement is name or name: duration"),
        (changed("pod-settled: 5m", "pod-settled:"), "check pod-settled needs a duration"),
        (changed("for: 20s", "for: 20"), "for \"20\" is not a duration"),
        (changed("for: 20s", "for: 99999999999999999999s"), "is not a duration"),
        (changed("name: restart-kubelet\n", ""), "a playbook lacks the key \"name\""),
        (
            changed("  - restart-service: { service: kubelet, deadline: 60s }\n", ""),
            "limits is of no use: no step changes anything, so it runs once while its finding is open",
        ),
        ("name: a\nsteps: []".to_owned(), "2:8: steps is empty"),
        ("[]".to_owned(), "1:1: a playbook is a map of name"),
    ] {
        let found = problems(&text).join("\n");
        assert!(found.contains(expected), "{expected}\n{found}");
    }
}

#[test]
fn a_folder_adds_and_replaces() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("b.yaml"), changed("for: 20s", "for: 25s")).unwrap();
    let mine = SOUND.replace("name: restart-kubelet", "name: mine").replace("apiserver-down", "apiserver-hung");
    fs::write(folder.path().join("a.yml"), mine).unwrap();
    fs::write(folder.path().join(".hidden.yaml"), "nonsense").unwrap();
    fs::write(folder.path().join("notes.txt"), "nonsense").unwrap();
    fs::create_dir(folder.path().join("old.yaml")).unwrap();
    let playbooks = load(&[("restart-kubelet", &SOUND)], Some(folder.path())).unwrap();
    let names: Vec<_> = playbooks.iter().map(|playbook| playbook.name.as_str()).collect();
    assert_eq!(names, ["restart-kubelet", "mine"]);
    assert_eq!(playbooks[0].when.for_, Duration::from_secs(25));
}

#[test]
fn a_folders_mistakes_are_found_in_every_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), &*SOUND).unwrap();
    fs::write(folder.path().join("b.yaml"), &*SOUND).unwrap();
    fs::write(folder.path().join("c.yaml"), changed("kubelet,", "etcd,")).unwrap();
    fs::write(folder.path().join("d.yaml"), vec![b' '; 256 * 1024 + 1]).unwrap();
    let Problems(found) = load(&[("restart-kubelet", &SOUND)], Some(folder.path())).unwrap_err();
    let texts: Vec<_> = found.iter().map(|problem| problem.text.as_str()).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[0].starts_with("playbook restart-kubelet is in ") && texts[0].ends_with("a.yaml already"));
    assert!(texts[1].starts_with("service \"etcd\" is not one of kubelet"));
    assert_eq!(texts[2], "is larger than 256 KiB");
    let absent = load(&[], Some(&folder.path().join("absent"))).unwrap_err();
    assert!(absent.to_string().contains("absent: cannot be read: "));
}

/// Two playbooks made from the shipped one, each by replacing pieces of text: what is wrong between them.
fn between(one: &[(&str, &str)], other: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (file, pieces) in [("a.yaml", one), ("b.yaml", other)] {
        let text = pieces.iter().fold(SOUND.clone(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        fs::write(folder.path().join(file), text).unwrap();
    }
    match load(&[], Some(folder.path())) {
        Ok(_) => "nothing".to_owned(),
        Err(problems) => problems.to_string().replace(&format!("{}/", folder.path().display()), ""),
    }
}

#[test]
fn what_erases_is_on_no_ladder_and_nobodys_rival() {
    let replace = SHIPPED.iter().find(|(name, _)| *name == "replace-removed-member").unwrap().1;
    let other = replace.replace("name: replace-removed-member", "name: mine");
    let gentle = other.replace("replace-member: { deadline: 15m }", "reboot-node: { mode: default, deadline: 60s }");
    let loaded = |texts: &[(&str, &str)]| load(texts, None).map(drop).map_err(|problems| problems.to_string());
    assert_eq!(loaded(&[("replace-removed-member", replace), ("mine", &gentle)]), Ok(()));
    assert_eq!(loaded(&[("replace-removed-member", replace), ("mine", &other)]), Ok(()));
    let rung = gentle.replace("otherwise: notify", "otherwise: replace-removed-member");
    let found = loaded(&[("replace-removed-member", replace), ("mine", &rung)]).unwrap_err();
    assert!(found.contains("an impossible ladder: replace-removed-member erases"), "{found}");
}

#[test]
fn ladders_and_ties() {
    let (mine, up) = (("name: restart-kubelet", "name: mine"), ("otherwise: notify", "otherwise: mine"));
    assert_eq!(between(&[up], &[mine]), "nothing");
    let found = between(&[], &[mine]);
    assert!(found.starts_with("b.yaml:"), "{found}");
    assert!(found.contains("mine and restart-kubelet both answer apiserver-down, and nothing says which"), "{found}");
    let found = between(&[("otherwise: notify", "otherwise: mien")], &[mine, ("apiserver-down", "apiserver-hung")]);
    assert!(
        found.contains("otherwise \"mien\" is not one of restart-kubelet, mine, notify; did you mean \"mine\""),
        "{found}"
    );
    let found = between(&[up], &[mine, ("otherwise: notify", "otherwise: restart-kubelet")]);
    assert!(found.contains("a ladder in a circle: restart-kubelet → mine → restart-kubelet"), "{found}");
    assert!(found.contains("a ladder in a circle: mine → restart-kubelet → mine"), "{found}");
    let found = between(&[up], &[mine, ("finding: apiserver-down", "finding: apiserver-hung")]);
    assert!(
        found.contains("an impossible ladder: where restart-kubelet fails, apiserver-down is still open"),
        "{found}"
    );
    let reboot = "reboot-node: { mode: default";
    let (slow, cool) = (("within: 180s", "within: 10m"), ("cooldown: 5m", "cooldown: 11m"));
    let found = between(&[up, ("restart-service: { service: kubelet", reboot), slow, cool], &[mine]);
    assert!(found.contains("restart-kubelet is disruptive, mine only service; the gentler comes first"), "{found}");
    let found =
        between(&[("otherwise: notify", "otherwise: restart-kubelet")], &[mine, ("apiserver-down", "apiserver-hung")]);
    assert!(found.contains("a ladder in a circle: restart-kubelet → restart-kubelet"), "{found}");
}

#[test]
fn what_was_recorded_is_read_whatever_its_figures_and_what_is_added_to_it_is_judged() {
    let short = changed("cooldown: 5m", "cooldown: 2m");
    let recorded = [("restart-kubelet", short.as_str())];
    assert!(load(&recorded, None).is_err());
    let read = load_recorded(&recorded, None).unwrap();
    assert_eq!((read[0].name.as_str(), read[0].limits.cooldown), ("restart-kubelet", Duration::from_secs(120)));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine.yaml"), &short).unwrap();
    assert!(load_recorded(&recorded, Some(folder.path())).is_err());
}

#[test]
fn a_folder_with_too_many_files_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..65 {
        // Each is the next rung of the one before.
        let text = changed("name: restart-kubelet", &format!("name: p{number}"));
        let next = if number == 64 { "notify".to_owned() } else { format!("p{}", number + 1) };
        let text = text.replace("otherwise: notify", &format!("otherwise: {next}"));
        fs::write(folder.path().join(format!("{number}.yaml")), text).unwrap();
    }
    assert!(load(&[], Some(folder.path())).unwrap_err().to_string().ends_with("holds more than 64 playbooks"));
    fs::remove_file(folder.path().join("0.yaml")).unwrap();
    assert_eq!(load(&[], Some(folder.path())).unwrap().len(), 64);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        drop(parse(Path::new("p"), &text).map_err(|problems| problems.to_string()));
    }

    #[test]
    fn a_mutated_playbook_is_read_or_refused(at in 0..SOUND.len(), cut in 0_usize..30, put in "[ -~\n\u{e9}]{0,8}") {
        let end = (at + cut).min(SOUND.len());
        let text = format!("{}{put}{}", &SOUND[..at], &SOUND[end..]);
        drop(parse(Path::new("p"), &text).map_err(|problems| problems.to_string()));
    }

    #[test]
    fn any_duration_is_read_or_refused(duration in "[0-9a-z. µ]{0,30}") {
        drop(parse(Path::new("p"), &changed("20s", &duration)).map_err(|problems| problems.to_string()));
    }
}
