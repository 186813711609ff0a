//! Rehearsals, as people and programs meet them: what must be told, that the same seed tells the same, that watching changes
//! nothing, and that every reader of a model says that it is one.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

use super::{DEFIB, Daemon, said};

/// A rehearsal as fast as it goes, as JSON.
fn rehearse(arguments: &[&str]) -> (i32, Value) {
    let mut command = Command::new(DEFIB);
    command.arg("rehearse").args(arguments).args(["--speed", "max", "--output", "json"]).stdin(Stdio::null());
    let (code, said, complained) = said(command.output().unwrap());
    let value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{complained}"));
    (code, value)
}

#[test]
fn incident_a_is_rehearsed_its_cause_named_and_one_kubelet_restarted() {
    let (code, told) = rehearse(&["incident-a"]);
    let verdict = &told["verdict"];
    assert_eq!((code, &told["model"], &verdict["ok"]), (0, &Value::Bool(true), &Value::Bool(true)), "{verdict:#}");
    assert_eq!(verdict["roots"][0]["finding"], "host-starved", "{verdict:#}");
    let actions = verdict["actions"].as_array().unwrap();
    assert_eq!(actions.len(), 1, "{verdict:#}");
    assert_eq!(actions[0]["action"], "restart-service kubelet on cp1");
    assert!(verdict["ratio"].as_f64().unwrap() >= 5.0, "{verdict:#}");
    let lines = told["lines"].as_array().unwrap();
    let of = |who: &str, text: &str| {
        lines.iter().filter(|line| line["who"] == who && line["text"].as_str().unwrap().contains(text)).count()
    };
    assert_eq!((of("model", "BREAK"), of("model", "MEND"), of("model", "DO ")), (3, 1, 1));
    assert!(of("defib", "a MODEL") == 1 && of("defib", " recovered") == 1);
    // The two that answer while quorum is lost are asked for evidence, and that changes nothing.
    assert!(of("defib", " quorum-lost on ") == 2 && of("defib", " told: ") == 2 && of("defib", "decision") == 3);
    // The first line names the folder.
    let again = rehearse(&["incident-a"]).1;
    assert!(again["lines"].as_array().unwrap()[1..] == lines[1..], "the same seed tells the same");
    assert_eq!(again["verdict"], *verdict);
}

#[test]
fn mode_observe_does_nothing_and_the_cluster_fares_as_it_does_alone() {
    let (code, told) = rehearse(&["incident-a", "--mode", "observe"]);
    let verdict = &told["verdict"];
    assert_eq!((code, verdict["actions"].as_array().unwrap().len()), (0, 0), "{verdict:#}");
    assert!(verdict["restored_ms"].as_u64().unwrap() > 60_000, "{verdict:#}");
    assert_eq!(verdict["restored_ms"], verdict["alone_restored_ms"]);
    assert_eq!(verdict["away_ms"], verdict["alone_away_ms"]);
    assert!(verdict["holds"]["authority"].as_u64().is_some_and(|times| times > 0), "{verdict:#}");
}

#[test]
fn incident_b_is_diagnosed_and_left_to_a_person_within_the_limits() {
    let (code, told) = rehearse(&["incident-b"]);
    let verdict = &told["verdict"];
    assert_eq!(code, 0, "{verdict:#}");
    assert_eq!(verdict["roots"][0]["finding"], "machine-memory-short", "{verdict:#}");
    assert_eq!(verdict["person"], "give the machines 5 GiB");
    assert!(verdict["actions"].as_array().unwrap().len() <= 4, "the limit of a cluster: {verdict:#}");
    let holds: u64 = verdict["holds"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert!(holds > 5, "{verdict:#}");
}

#[test]
fn a_rehearsal_with_a_broken_playbook_says_where() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.yaml"), "name: mine\nwhen: { finding: apiserver-gone, for: 20s }\n")
        .unwrap();
    let mut command = Command::new(DEFIB);
    command.args(["rehearse", "incident-a", "--speed", "max", "--playbooks"]).arg(folder.path());
    let (code, said, complained) = said(command.output().unwrap());
    assert_eq!((code, said.as_str()), (2, ""));
    assert!(complained.contains("mine.yaml:2:18") && complained.contains("apiserver-gone"), "{complained}");
}

#[test]
fn what_reads_a_rehearsals_journal_says_that_it_is_a_model_and_nothing_runs_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("rehearsed");
    let name = journal.to_str().unwrap();
    let (code, told) = rehearse(&["kill-kubelet", "--journal", name]);
    assert_eq!((code, told["journal"].as_str()), (0, Some(name)), "{told:#}");
    let config = journal.join("defib.yaml");
    let defib = |arguments: &[&str]| {
        let mut command = Command::new(DEFIB);
        said(command.arg("--config").arg(&config).args(arguments).stdin(Stdio::null()).output().unwrap())
    };
    for (arguments, expected) in [(["history"], 0), (["status"], 4)] {
        let (code, said, complained) = defib(&arguments);
        assert!(said.contains("MODEL") && code == expected, "{arguments:?} {code}: {said}{complained}");
    }
    for arguments in [["history", "--output", "json"], ["status", "--output", "json"]] {
        let value: Value = serde_json::from_str(&defib(&arguments).1).unwrap();
        assert_eq!(value["model"], true, "{arguments:?}");
    }
    // What would look for itself, or act, says that there is nobody, and asks nobody.
    let refused: [&[&str]; 6] = [
        &["check"],
        &["check", "--output", "json"],
        &["explain"],
        &["explain", "model", "--all", "--output", "json"],
        &["recover", "--dry-run"],
        &["recover", "--yes", "--playbook", "restart-kubelet", "--node", "cp1", "--output", "json"],
    ];
    let rows = || serde_json::from_str::<Value>(&defib(&["history", "--output", "json"]).1).unwrap();
    let before = rows();
    for arguments in refused {
        let (code, said, complained) = defib(arguments);
        assert_eq!((code, said.as_str()), (2, ""), "{arguments:?}: {complained}");
        for word in ["MODEL", name, "nothing is done", "history", "defib rehearse"] {
            assert!(complained.contains(word), "{arguments:?} {word}: {complained}");
        }
        assert!(!complained.contains("one look"), "{arguments:?}: {complained}");
    }
    assert_eq!(rows(), before, "nothing was written");
    let (code, _, complained) = defib(&["run"]);
    assert!(code == 2 && complained.contains("a rehearsal's"), "{code}: {complained}");
    let (code, _, complained) = said(
        Command::new(DEFIB)
            .args(["rehearse", "kill-kubelet", "--journal", name])
            .stdin(Stdio::null())
            .output()
            .unwrap(),
    );
    assert!(code == 2 && complained.contains("is not empty"), "{code}: {complained}");
}

#[test]
fn what_can_be_rehearsed_is_said_to_be_a_model() {
    let (code, text, _) = said(Command::new(DEFIB).args(["rehearse", "--list"]).output().unwrap());
    assert!(code == 0 && text.starts_with("MODEL: ") && text.contains("\nincident-a "), "{text}");
    let (code, listed) = rehearse(&["--list"]);
    assert_eq!((code, &listed["model"]), (0, &Value::Bool(true)));
}

#[test]
fn a_rehearsal_that_goes_on_answers_as_a_daemon_does_and_says_that_it_is_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("rehearsed");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut child = Command::new(DEFIB)
        .args(["rehearse", "vip-lost", "--speed", "max", "--keep", "--listen", &free, "--journal"])
        .arg(&journal)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    while let Some(Ok(line)) = lines.next() {
        told.push_str(&line);
        told.push('\n');
        if line.contains("it goes on") {
            break;
        }
    }
    let _daemon = Daemon(child);
    assert!(told.contains("led past the VIP") && told.contains(&free), "{told}");
    let config = journal.join("defib.yaml");
    for command in ["status", "explain"] {
        let mut asking = Command::new(DEFIB);
        let (code, said, complained) = said(asking.arg("--config").arg(&config).arg(command).output().unwrap());
        assert!(code == 0 && said.contains("MODEL"), "{command} {code}: {said}{complained}");
    }
    let mut pausing = Command::new(DEFIB);
    pausing.arg("--config").arg(&config).args(["pause", "--reason", "a word", "--for", "1h", "--output", "json"]);
    let paused: Value = serde_json::from_str(&said(pausing.output().unwrap()).1).unwrap();
    assert_eq!((&paused["model"], &paused["answer"]), (&Value::Bool(true), &Value::from("done")), "{paused:#}");
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(&free).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {free}\r\nConnection: close\r\n\r\n").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    };
    let (page, figures) = (get("/clusters/model"), get("/metrics"));
    assert!(page.contains("id=\"model\"") && page.contains("MODEL model"), "{page}");
    assert!(figures.contains("\ndefib_model 1\n"), "{figures}");
}

#[test]
fn what_stands_still_beneath_a_machine_is_mended_there() {
    let cases = [("vm-stopped", "start-vm"), ("vm-paused", "resume-vm"), ("vm-frozen", "reset-vm")];
    for (story, action) in cases {
        let (code, told) = rehearse(&[story]);
        let actions = told["verdict"]["actions"].as_array().unwrap();
        assert_eq!((code, actions.len()), (0, 1), "{story}: {told}");
        assert_eq!(
            (&actions[0]["action"], &actions[0]["outcome"]),
            (&format!("{action} on cp1").into(), &"done".into()),
            "{story}: {told}"
        );
    }
    let (code, told) = rehearse(&["vm-stopped-by-person"]);
    assert_eq!((code, &told["verdict"]["actions"]), (0, &serde_json::json!([])), "{told}");
}

#[test]
fn every_story_is_rehearsed_to_its_end_and_what_a_playbook_cures_is_cured_by_it() {
    let listed = rehearse(&["--list"]).1;
    let stories: Vec<String> =
        listed["stories"].as_array().unwrap().iter().map(|story| story["story"].as_str().unwrap().to_owned()).collect();
    assert!(stories.len() > 40, "{stories:?}");
    let left = Mutex::new(stories.iter());
    let told = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(story) = { left.lock().unwrap().next() } {
                    let (code, said) = rehearse(&[story]);
                    told.lock().unwrap().insert(story.clone(), (code, said["verdict"].clone()));
                }
            });
        }
    });
    let told = told.into_inner().unwrap();
    let wrong: Vec<_> = told.iter().filter(|(_, (code, _))| *code != 0).collect();
    assert!(wrong.is_empty() && told.len() == stories.len(), "{wrong:#?}");
    let done = |story: &str| -> Vec<&str> {
        let actions = told[story].1["actions"].as_array().unwrap().iter();
        actions.filter(|one| one["outcome"] == "done").map(|one| one["action"].as_str().unwrap()).collect()
    };
    assert_eq!(done("wedge-kubelet"), ["restart-service kubelet on cp1"]);
    assert_eq!(done("lose-pods"), ["restart-service kubelet on cp2", "reboot-node default on cp2"]);
    assert_eq!(done("hang-runtime"), ["reboot-node default on cp2"]);
    assert!(matches!(&done("vip-lost")[..], [one] if one.starts_with("restart-container kube-vip on cp")));
    let back = |story: &str| told[story].1["restored_ms"].as_u64().unwrap();
    assert!((75_000..110_000).contains(&back("vip-lost")), "{}", told["vip-lost"].1);
    // One agent of three: the others take the address, and nothing has to be done.
    assert!(done("kill-vip-agent").is_empty() && back("kill-vip-agent") < 30_000, "{}", told["kill-vip-agent"].1);
}
