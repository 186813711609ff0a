//! What people command, on a lab where all is well.

use std::time::Duration;

use crate::support::{Stage, await_that};

pub(crate) fn round_trip(stage: &Stage) {
    let config = stage.config("command", &[]);
    let json = |arguments: &[&str]| {
        let output = stage.run(&config, arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        let value: serde_json::Value =
            serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{complained}"));
        (output.status.code().unwrap(), value)
    };
    let before = stage.changes();
    let (code, ended) = json(&["recover", "--dry-run", "--output", "json"]);
    assert_eq!((code, &ended["result"]), (0, &"nothing-to-do".into()), "without a daemon: {ended:#}");

    let mut daemon = stage.daemon(&config);
    await_that("the daemon knows that all is well", Duration::from_secs(60), || {
        stage.run(&config, &["status"]).status.code() == Some(0)
    });
    // On a busy machine its answers may have grown too old to tell, which it says.
    let mut told = (0, serde_json::Value::Null);
    await_that("the daemon can tell that nothing is to be done", Duration::from_secs(60), || {
        told = json(&["recover", "--yes", "--output", "json"]);
        told.1["result"] != "cannot-tell"
    });
    let (code, ended) = told;
    assert_eq!((code, &ended["result"]), (0, &"nothing-to-do".into()), "with a daemon: {ended:#}");
    assert_eq!(stage.run(&config, &["pause", "--reason", "racks", "--for", "1h"]).status.code(), Some(0));
    let (_, status) = json(&["status", "--output", "json"]);
    assert_eq!(status["clusters"][0]["pauses"][0]["reason"], "racks");
    assert_eq!(stage.run(&config, &["resume"]).status.code(), Some(0));
    let (_, status) = json(&["status", "--output", "json"]);
    assert_eq!(status["clusters"][0]["pauses"], serde_json::json!([]));
    assert!(daemon.terminate().success());
    assert_eq!(daemon.records("command").len(), 2, "who paused and resumed is written down");
    assert_eq!((daemon.intents(), stage.changes()), (0, before));
}
