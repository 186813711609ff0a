//! A flight recording that the program itself wrote, led through its engine again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{DEFIB, said};

fn run(arguments: &[&str]) -> (i32, String, String) {
    said(Command::new(DEFIB).args(arguments).stdin(Stdio::null()).output().unwrap())
}

/// The recordings of a rehearsal, the first incident's first.
fn recordings(folder: &Path, story: &str) -> Vec<PathBuf> {
    let journal = folder.join("journal");
    let (code, said, complained) =
        run(&["rehearse", story, "--speed", "max", "--journal", &journal.display().to_string(), "--output", "json"]);
    assert_eq!(code, 0, "{said}{complained}");
    let entries = std::fs::read_dir(journal.join("recordings")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn replay(file: &Path, arguments: &[&str]) -> (i32, Value) {
    let file = file.display().to_string();
    let (code, said, complained) = run(&[&["replay", &file, "--output", "json"], arguments].concat());
    (code, serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{complained}")))
}

#[test]
fn a_recording_tells_the_same_again_and_other_limits_tell_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let files = recordings(folder.path(), "incident-a");
    let file = &files[0];
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    let (code, told) = replay(file, &[]);
    assert_eq!((code, &told["differs"], &told["row_differs"]), (0, &Value::Null, &Value::Null), "{told:#}");
    assert_eq!(told["same"][0]["act"]["action"], "restart-service kubelet", "{told:#}");
    assert!(told["rows_same"].as_u64().unwrap() > 50, "{told:#}");
    assert_eq!(told["model"], true);
    let (_, text, _) = run(&["replay", &file.display().to_string()]);
    assert!(text.starts_with("MODEL: "), "{text}");

    let (code, told) = replay(file, &["--set", "restart-kubelet.for=10m"]);
    assert_eq!((code, &told["differs"]["then"]["act"]["playbook"]), (1, &Value::from("restart-kubelet")), "{told:#}");
    let held = &told["differs"]["now"]["held"][0];
    assert_eq!(held["check"], "when", "{told:#}");
    assert!(held["text"].as_str().unwrap().ends_with("10m are asked"), "{held}");

    let (code, told) = replay(file, &["--mode", "observe"]);
    assert_eq!((code, &told["differs"]["now"]["held"][0]["check"]), (1, &Value::from("authority")), "{told:#}");

    // Another playbook of the same name, from a folder.
    let mine = folder.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    let (_, text, _) = run(&["playbook", "show", "restart-kubelet"]);
    std::fs::write(mine.join("mine.yaml"), text.replace("for: 20s", "for: 1s")).unwrap();
    let (_, told) = replay(file, &["--playbooks", &mine.display().to_string()]);
    assert_eq!(told["changes"][0], "playbook restart-kubelet is another");
}

#[test]
fn what_would_be_done_earlier_is_told_with_what_held_it_then() {
    let folder = tempfile::tempdir().unwrap();
    let file = recordings(folder.path(), "hang-apiserver").remove(0);
    // While a playbook's finding is young, the account says nothing of it: what held then is told all the same.
    let eager = ["--set", "restart-apiserver.for=1s"];
    let (code, told) = replay(&file, &eager);
    let Value::Object(differs) = &told["differs"] else { panic!("{told:#}") };
    assert_eq!((code, &differs["now"]["act"]["playbook"]), (1, &Value::from("restart-apiserver")), "{told:#}");
    assert!(differs["now"]["passed"].as_array().is_some_and(|passed| passed.len() > 5), "{told:#}");
    assert_eq!(
        differs["then"]["held"],
        serde_json::json!([{
            "check": "when", "text": "apiserver-hung has been open for 10s, 30s are asked", "lifts": "in 19s",
        }])
    );
    let (_, text, _) = run(&[&["replay", &file.display().to_string()], &eager[..]].concat());
    let held = "    then  held\n            when: apiserver-hung has been open for 10s, 30s are asked; lifts in 19s\n    now   ";
    assert!(text.contains(held), "{text}");

    // What waits for its announcement is a run already.
    let (code, told) = replay(&file, &["--set", "restart-apiserver.veto=10m"]);
    let held = &told["differs"]["now"]["held"][0];
    assert_eq!((code, &held["text"]), (1, &Value::from("R-1 is under way, and announced")), "{told:#}");

    // Another playbook takes the place of the recorded one.
    let mine = folder.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    let (_, text, _) = run(&["playbook", "show", "restart-apiserver"]);
    let new = text.replace("name: restart-apiserver", "name: mine").replace("for: 30s", "for: 1s");
    std::fs::write(mine.join("mine.yaml"), new).unwrap();
    let elsewhere = text.replace("finding: apiserver-hung", "finding: apiserver-not-ready");
    std::fs::write(mine.join("restart-apiserver.yaml"), elsewhere).unwrap();
    let (code, told) = replay(&file, &["--playbooks", &mine.display().to_string(), "--arm", "mine"]);
    let differs = &told["differs"];
    assert_eq!((code, &differs["now"]["act"]["playbook"]), (1, &Value::from("mine")), "{told:#}");
    assert_eq!((&differs["then"]["no_playbook"], &differs["then"]["held"][0]), (&"mine".into(), &Value::Null));
}

#[test]
fn the_limit_on_machines_taken_down_can_be_another() {
    let folder = tempfile::tempdir().unwrap();
    let file = recordings(folder.path(), "vm-frozen").remove(0);
    let other = [("per-node", "cp1 0 of 1 per 12h used, all"), ("per-fleet", "all clusters 0 of 1 per 12h used")];
    for (key, words) in other {
        let (code, told) = replay(&file, &["--set", &format!("disruptive.{key}=1 per 12h")]);
        assert_eq!(
            (code, &told["changes"][0]),
            (0, &Value::from(format!("disruptive: {key} is 1 per 12h"))),
            "{told:#}"
        );
        let budget = |side: &str| {
            let passed = told["row_differs"][side]["body"]["passed"].as_array().unwrap_or_else(|| panic!("{told:#}"));
            passed.iter().find(|one| one["check"] == "budget").unwrap()["text"].as_str().unwrap().to_owned()
        };
        assert!(budget("now").contains(words) && !budget("then").contains(words), "{told:#}");
    }
    let file = file.display().to_string();
    let (code, said, complained) =
        run(&["replay", &file, "--set", "disruptive.per-host=1 per 1h", "--set", "disruptive.per-node=1"]);
    assert_eq!((code, said.as_str()), (2, ""), "{complained}");
    assert!(complained.contains("no figure per-host; there are per-node, per-fleet"), "{complained}");
    assert!(complained.contains("per-node \"1\" is not a count per time"), "{complained}");
}

#[test]
fn a_playbook_that_the_lint_refuses_is_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let file = recordings(folder.path(), "back-off").remove(0).display().to_string();
    let refused = [
        ("restart-kubelet.per-cluster=1 per 6h", "per-node allows 2 runs, per-cluster only 1"),
        ("restart-kubelet.cooldown=1m", "cooldown 1m is shorter than 3m20s"),
        ("apiserver-down.closes-after=10m", "restart-kubelet: within 3m is shorter than 10m40s"),
    ];
    for (wish, why) in refused {
        let (code, said, complained) = run(&["replay", &file, "--set", wish]);
        assert_eq!((code, said.as_str()), (2, ""), "{wish}: {complained}");
        assert!(
            complained.contains("defib: --set restart-kubelet: ") && complained.contains(why),
            "{wish}: {complained}"
        );
    }
    let both = ["--set", "restart-kubelet.per-cluster=1 per 6h", "--set", "restart-kubelet.per-node=1 per 6h"];
    let (code, _, complained) = run(&[&["replay", &file], &both[..]].concat());
    assert!(code < 2, "they are right together: {complained}");
}

#[test]
fn what_is_no_recording_and_what_cannot_be_set_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = recordings(folder.path(), "back-off").remove(0);
    let name = file.display().to_string();
    let (code, _, complained) =
        run(&["replay", &name, "--set", "restart-kubelet.far=1m", "--set", "nobody.for=1m", "--arm", "reboot-runtim"]);
    assert_eq!(code, 2);
    for word in ["no figure far; there are for, per-node", "no playbook nobody", "did you mean \"reboot-runtime\""] {
        assert!(complained.contains(word), "{word}: {complained}");
    }
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let (code, said, complained) = run(&["replay", &name]);
    assert_eq!((code, said.as_str()), (2, ""));
    assert!(complained.contains(".recording:") && complained.contains("checksum does not fit"), "{complained}");
    let (code, _, complained) = run(&["replay", "Cargo.toml"]);
    assert!(code == 2 && complained.contains("is no recording of defib"), "{complained}");
}
