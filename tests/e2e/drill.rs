//! Each drill once, judged by the lab.

use std::path::Path;
use std::process::Command;

use crate::support::Stage;

/// Issue-level goals, with room for a machine that does other things beside.
const READY_WITHIN_MS: i64 = 15_000;
const RESTORED_WITHIN_MS: i64 = 40_000;

pub(crate) fn back_off(_: &Stage) {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let (verdict, story) = played("back-off", &["--keep", &kept.display().to_string()]);
    assert!(verdict["ok"] == true, "{verdict:#}\n{story}");
    assert_eq!(verdict["root"], "apiserver-crash-looping", "{verdict:#}");
    assert_eq!(verdict["violations"], serde_json::json!([]), "{verdict:#}");
    let actions = verdict["actions"].as_array().unwrap();
    assert_eq!(actions.len(), 1, "{verdict:#}");
    let (action, node) = (&actions[0]["action"], &actions[0]["node"]);
    assert!(action == "restart-service kubelet" || action == "ServiceRestart kubelet", "{verdict:#}");
    assert!(node == "cp1" || node == "cp2", "{verdict:#}");
    assert!(verdict["api_ready_ms"].as_i64().is_some_and(|ms| ms <= READY_WITHIN_MS), "{verdict:#}");
    assert!(verdict["restored_ms"].as_i64().is_some_and(|ms| ms <= RESTORED_WITHIN_MS), "{verdict:#}");
    replayed(&kept.join("drill-journal/recordings"), action);
}

/// What the flight recorder kept of real parts tells the same when it is led through the engine again, row by row.
fn replayed(recordings: &Path, action: &serde_json::Value) {
    let files: Vec<_> = std::fs::read_dir(recordings).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut actions = Vec::new();
    for file in &files {
        let mut replay = Command::new(env!("CARGO_BIN_EXE_defib"));
        let output = replay.arg("replay").arg(file).args(["--output", "json"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let told: serde_json::Value = serde_json::from_str(&said)
            .unwrap_or_else(|error| panic!("{error}: {said}{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!((output.status.code(), &told["differs"]), (Some(0), &serde_json::Value::Null), "{told:#}");
        assert_eq!(told["row_differs"], serde_json::Value::Null, "{told:#}");
        actions.extend(told["same"].as_array().unwrap().iter().map(|one| one["act"]["action"].clone()));
    }
    assert_eq!(actions, std::slice::from_ref(action), "{files:?}");
}

pub(crate) fn vip_lost(_: &Stage) {
    let (verdict, story) = played("vip-lost", &[]);
    assert!(verdict["ok"] == true, "{verdict:#}\n{story}");
    assert_eq!((&verdict["root"], &verdict["actions"]), (&"vip-lost".into(), &serde_json::json!([])), "{verdict:#}");
    let client = &verdict["client"];
    assert!(client["asked"].as_u64().is_some_and(|asked| asked > 100), "{verdict:#}");
    assert_eq!((&client["broken"], client["reverted_ms"].is_u64()), (&0.into(), true), "{verdict:#}");
}

/// The verdict of a drill, and its story.
fn played(drill: &str, more: &[&str]) -> (serde_json::Value, String) {
    let output = Command::new(defib_lab::program().unwrap())
        .args(["drill", drill, "--output", "json", "--defib", env!("CARGO_BIN_EXE_defib")])
        .args(more)
        .output()
        .unwrap();
    let story = String::from_utf8_lossy(&output.stderr).into_owned();
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{story}", String::from_utf8_lossy(&output.stdout)));
    assert_eq!(output.status.success(), verdict["ok"] == true, "{verdict:#}");
    (verdict, story)
}
