//! Who answers a command, and what is said where nobody does, not yet, or not for everything that was asked.

use std::os::unix::fs::DirBuilderExt;
use std::process::Stdio;

use defib::journal::Journal;
use defib_engine::time::UnixMs;

use crate::{Daemon, Stage, await_that, said};

#[test]
fn who_holds_the_journal_and_does_not_listen_is_named() {
    let stage = Stage::new();
    let held = Journal::open(&stage.journal(), UnixMs(0)).unwrap();
    let ours = std::process::id().to_string();
    let begun =
        [(&["status"][..], 4), (&["recover", "--dry-run"], 3), (&["pause", "--reason", "racks", "--for", "1h"], 3)]
            .map(|(arguments, code)| {
                let mut command = stage.command(arguments);
                (arguments, code, command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
            });
    for (arguments, expected, child) in begun {
        let (code, said, complained) = said(child.wait_with_output().unwrap());
        assert_eq!(code, expected, "{arguments:?}: {said}{complained}");
        let text = said + &complained;
        assert!(text.contains(&ours) && text.contains("does not answer"), "{arguments:?}: {text}");
    }
    drop(held);
}

#[test]
fn a_cluster_that_the_daemon_does_not_watch_is_not_called_well() {
    let stage = Stage::new();
    let _daemon = stage.daemon();
    let file = stage.path("defib.yaml");
    let more = "  - name: staging\n    nodes: [{ name: st1, address: 127.0.0.1 }]\n";
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + more).unwrap();
    for arguments in [&["status"][..], &["explain"], &["explain", "staging"]] {
        let (code, said, complained) = stage.run(arguments);
        let text = said + &complained;
        assert_eq!(code, 4, "{arguments:?}: {text}");
        assert!(text.contains("staging") && text.contains("runs with another configuration"), "{arguments:?}: {text}");
    }
    let (code, _, complained) = stage.run(&["recover", "--dry-run", "--cluster", "staging"]);
    assert_eq!(code, 4, "{complained}");
    assert!(complained.contains("it does not watch staging"), "{complained}");
}

#[test]
fn a_socket_that_could_not_be_made_is_made_later() {
    let stage = Stage::new();
    std::fs::DirBuilder::new().mode(0o700).create(stage.journal()).unwrap();
    let socket = stage.journal().join("defib.sock");
    std::fs::create_dir(&socket).unwrap();
    let child = stage.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let daemon = Daemon(child);
    await_that("the daemon holds the journal", || defib::journal::holder(&stage.journal()).is_some());
    std::fs::remove_dir(&socket).unwrap();
    await_that("commands reach it", || stage.run(&["status"]).1.contains("defib runs"));
    assert_eq!(daemon.end().1, 0);
}

#[test]
fn where_no_socket_can_be_nothing_is_recovered_and_it_is_said_why() {
    let stage = Stage::new();
    let file = stage.path("defib.yaml");
    let long = format!("journal: {}\n", "j".repeat(120));
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("journal: journal\n", &long)).unwrap();
    let (code, _, complained) = stage.run(&["recover", "--dry-run"]);
    assert_eq!(code, 3, "{complained}");
    assert!(complained.contains("cannot make the socket"), "{complained}");
}
