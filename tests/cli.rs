//! The command line through pipes, as programs and scripts meet it: exit codes, that nothing ever prompts off a terminal,
//! JSON, and a live daemon behind its socket. No lab: what is watched are ports of the loopback on which nobody listens.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]
#![expect(clippy::print_stderr, reason = "what is left out is said")]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

#[path = "cli/answers.rs"]
mod answers;
#[path = "cli/rehearse.rs"]
mod rehearse;
#[path = "cli/replay.rs"]
mod replay;

const DEFIB: &str = env!("CARGO_BIN_EXE_defib");

struct Stage {
    folder: tempfile::TempDir,
    port: u16,
}

impl Stage {
    fn new() -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        let text = format!(
            "mode: act\njournal: journal\nlisten: 127.0.0.1:{port}\nclusters:\n  - name: prod\n    arm: [restart-kubelet]\n    \
             nodes: [{{ name: cp1, address: 127.0.0.1 }}]\n    ports: {{ apiserver: 1, etcd: 2, talos: 3 }}\n"
        );
        std::fs::write(folder.path().join("defib.yaml"), text).unwrap();
        Stage { folder, port }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn journal(&self) -> PathBuf {
        self.path("journal")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(DEFIB);
        command.arg("--config").arg(self.path("defib.yaml")).args(arguments).stdin(Stdio::null());
        command
    }

    /// Its exit code, what it said and what it complained of.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        said(self.command(arguments).output().unwrap())
    }

    fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let (code, said, complained) = self.run(arguments);
        let value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{complained}"));
        (code, value)
    }

    fn daemon(&self) -> Daemon {
        let child = self.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut daemon = Daemon(child);
        await_that("the socket is there", || {
            assert!(daemon.0.try_wait().unwrap().is_none(), "{}", daemon.complained());
            self.journal().join("defib.sock").exists() && self.run(&["status"]).1.contains("defib runs")
        });
        daemon
    }

    fn pauses(&self) -> Vec<Value> {
        let (_, status) = self.json(&["status", "--output", "json"]);
        status["clusters"][0]["pauses"].as_array().cloned().unwrap_or_default()
    }

    fn readyz(&self) -> String {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

fn said(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Killed when dropped, so that a failed test leaves none.
struct Daemon(Child);

impl Daemon {
    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Ends it; how long that took, and how it ended.
    fn end(mut self) -> (Duration, i32) {
        let began = Instant::now();
        self.signal(nix::sys::signal::Signal::SIGTERM);
        let code = self.0.wait().unwrap().code().unwrap();
        (began.elapsed(), code)
    }

    fn complained(&mut self) -> String {
        let mut text = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn misuse_is_2_and_names_the_way_out() {
    let stage = Stage::new();
    let wrong: [(&[&str], &str); 9] = [
        (&["recover"], "--yes"),
        (&["recover", "--output", "json"], "--yes"),
        (&["recover", "--yes", "--pass-limits"], "--confirm"),
        (&["recover", "--dry-run", "--node", "cp9"], "it has cp1"),
        (&["recover", "--dry-run", "--playbook", "pray"], "restart-kubelet"),
        (&["pause", "--for", "1h"], "--reason"),
        (&["pause", "--reason", "racks"], "--for"),
        (&["pause", "--reason", " ", "--for", "1h"], "a reason has words"),
        (&["explain", "staging"], "it has prod"),
    ];
    for (arguments, way_out) in wrong {
        let (code, said, complained) = stage.run(arguments);
        assert_eq!((code, said.as_str()), (2, ""), "{arguments:?}: {complained}");
        assert!(complained.contains(way_out), "{arguments:?}: {complained}");
    }
    assert!(!stage.journal().exists(), "misuse begins nothing");
}

#[test]
fn help_has_examples_for_every_command() {
    let stage = Stage::new();
    for command in ["check", "run", "recover", "explain", "pause", "resume", "ack", "status", "history", "init"] {
        let (code, said, _) = stage.run(&[command, "--help"]);
        assert!(code == 0 && said.contains("Examples:"), "{command}: {said}");
        assert!(stage.run(&["completions", "bash"]).1.contains(command), "{command} is completed");
    }
}

#[test]
fn without_a_daemon_commands_say_so_with_4() {
    let stage = Stage::new();
    for arguments in [&["pause", "--reason", "racks", "--for", "1h"][..], &["resume"], &["status"]] {
        let (code, _, complained) = stage.run(arguments);
        assert_eq!(code, 4, "{arguments:?}: {complained}");
        assert!(complained.contains("defib run"), "{complained}");
    }
    let (code, _, complained) = stage.run(&["explain"]);
    assert_eq!(code, 4);
    assert!(complained.contains("seen once"), "{complained}");
}

#[test]
fn a_pause_is_in_force_when_the_command_returns_and_outlives_the_daemon() {
    let stage = Stage::new();
    let daemon = stage.daemon();
    let mode = std::fs::metadata(stage.journal().join("defib.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(stage.pauses().is_empty());
    let (code, said, complained) = stage.run(&["pause", "--reason", "moving racks", "--for", "1h"]);
    assert_eq!(code, 0, "{said}{complained}");
    let pauses = stage.pauses();
    assert_eq!(pauses[0]["reason"], "moving racks");
    assert!(pauses[0]["by"].as_str().unwrap().contains('@') && pauses[0]["until_ms"].is_i64(), "{pauses:?}");
    assert!(stage.run(&["status"]).1.contains("moving racks"));
    assert!(stage.run(&["explain"]).1.contains("moving racks"));
    assert_eq!(stage.run(&["pause", "--reason", "x", "--for", "8d"]).0, 3, "longer than a pause may last");

    let (code, answer) = stage.json(&["resume", "--output", "json"]);
    assert_eq!((code, answer["answer"].as_str()), (0, Some("done")));
    assert!(stage.pauses().is_empty());
    let (code, answer) = stage.json(&["resume", "--output", "json"]);
    assert_eq!((code, answer["answer"].as_str()), (0, Some("nothing")));

    std::fs::write(stage.journal().join("pause"), "by hand\n").unwrap();
    await_that("the pause file is heeded", || stage.pauses().first().is_some_and(|pause| pause["reason"] == "by hand"));
    std::fs::remove_file(stage.journal().join("pause")).unwrap();
    await_that("its end is heeded", || stage.pauses().is_empty());
    drop(daemon);
}

#[test]
fn sigterm_ends_it_soon_and_a_killed_daemons_socket_is_replaced() {
    let stage = Stage::new();
    let daemon = stage.daemon();
    daemon.signal(nix::sys::signal::Signal::SIGKILL);
    drop(daemon);
    assert!(stage.journal().join("defib.sock").exists(), "a killed daemon leaves its socket");
    assert_eq!(stage.run(&["resume"]).0, 4);
    let daemon = stage.daemon();
    let (took, code) = daemon.end();
    assert_eq!(code, 0);
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(!stage.journal().join("defib.sock").exists());
}

/// An exchange with the listener: head and body of the answer.
fn exchange(stage: &Stage, request: &str) -> String {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", stage.port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_dashboard_shows_to_all_and_obeys_who_came_by_the_users_link() {
    let stage = Stage::new();
    let daemon = stage.daemon();
    let host = format!("127.0.0.1:{}", stage.port);
    let get = |path: &str, cookie: &str| {
        exchange(
            &stage,
            &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"),
        )
    };
    let post = |body: &str, cookie: &str| {
        let length = body.len();
        exchange(
            &stage,
            &format!(
                "POST /clusters/prod/pause HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nCookie: {cookie}\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            ),
        )
    };
    let page = get("/clusters/prod", "");
    assert!(page.contains("What happened") && !page.contains("<form") && !page.contains("name=\"token\""), "{page}");
    assert!(post("reason=x&for=1h&number=1&token=", "").starts_with("HTTP/1.1 403"));

    let (code, link, complained) = stage.run(&["dashboard"]);
    assert_eq!(code, 0, "{complained}");
    let path = link.trim().strip_prefix(&format!("http://{host}")).unwrap();
    let opened = get(path, "");
    let cookie = opened.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap().split(';').next().unwrap();
    assert!(get(path, "").starts_with("HTTP/1.1 403"), "a link serves once");
    let page = get("/clusters/prod", cookie);
    let token = page.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(
        post(&format!("reason=x&for=1h&number=1&token={token}"), "").starts_with("HTTP/1.1 403"),
        "the token alone"
    );
    assert!(post("reason=x&for=1h&number=1&token=0", cookie).starts_with("HTTP/1.1 403"), "the cookie alone");
    assert_eq!(stage.pauses().len(), 0);
    assert!(post(&format!("reason=x&for=1h&number=1&token={token}"), cookie).starts_with("HTTP/1.1 303"));
    let by = stage.pauses()[0]["by"].as_str().unwrap().to_owned();
    assert!(by.ends_with(" on the dashboard"), "{by}");
    drop(daemon);
}

#[test]
fn programs_find_a_place_when_pages_have_taken_all_others() {
    let stage = Stage::new();
    let daemon = stage.daemon();
    // They connect and say nothing: each has a place until its head is due.
    let silent: Vec<_> = (0..60).filter_map(|_| std::net::TcpStream::connect(("127.0.0.1", stage.port)).ok()).collect();
    assert!(silent.len() >= 50);
    await_that("a scrape is answered", || {
        exchange(&stage, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 200")
    });
    drop(daemon);
}

#[test]
fn a_second_daemon_is_refused_and_the_first_is_named() {
    let stage = Stage::new();
    let daemon = stage.daemon();
    let pid = daemon.0.id().to_string();
    let (code, _, complained) = stage.run(&["run"]);
    assert_eq!(code, 3);
    assert!(complained.contains(&pid), "{complained}");
}

#[test]
fn recover_that_sees_nothing_cannot_tell_with_a_daemon_and_without() {
    let stage = Stage::new();
    let (code, ended) = stage.json(&["recover", "--dry-run", "--wait", "1s", "--output", "json"]);
    assert_eq!((code, ended["result"].as_str()), (4, Some("cannot-tell")), "{ended}");
    let _daemon = stage.daemon();
    let (code, ended) = stage.json(&["recover", "--yes", "--output", "json"]);
    assert_eq!((code, ended["result"].as_str()), (4, Some("cannot-tell")), "{ended}");
    let (_, history) = stage.json(&["history", "--output", "json"]);
    assert_eq!(history["intents"], serde_json::json!([]));
}

#[test]
fn rows_that_are_not_understood_are_named_by_number() {
    let stage = Stage::new();
    stage.daemon().end();
    let before = stage.json(&["history", "--output", "json"]).1["records"].as_array().unwrap().clone();
    let newest = before.last().unwrap()["seq"].as_i64().unwrap();
    let journal = rusqlite::Connection::open(stage.journal().join("journal.sqlite")).unwrap();
    journal.execute("UPDATE record SET body = '{' WHERE seq = ?1", [newest]).unwrap();
    drop(journal);
    for output in ["text", "json"] {
        let (code, _, complained) = stage.run(&["history", "--output", output]);
        let named = format!("were not understood: 1 of `record` (seq {newest})");
        assert!(code == 0 && complained.contains(&named), "{output}: {complained}");
        assert!(complained.contains(stage.journal().to_str().unwrap()), "{output}: {complained}");
    }
}

#[test]
fn every_playbook_is_accounted_for_where_all_is_asked_for() {
    let stage = Stage::new();
    let names = |list: &Value| -> Vec<String> {
        let each = list["playbooks"].as_array().unwrap().iter();
        each.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let shipped = names(&stage.json(&["playbook", "list", "--output", "json"]).1);
    assert!(shipped.len() > 5, "{shipped:?}");
    for (more, way_out) in [(&[][..], "--dry-run"), (&["--yes"], "--yes")] {
        let (code, said, complained) = stage.run(&[&["recover", "--all"], more].concat());
        assert!(code == 2 && said.is_empty() && complained.contains(way_out), "{complained}");
    }
    let _daemon = stage.daemon();
    for command in [&["explain"][..], &["recover", "--dry-run"]] {
        let asked = |more: &[&'static str]| [command, more].concat();
        let (_, told, _) = stage.run(&asked(&["--all"]));
        let (_, document) = stage.json(&asked(&["--all", "--output", "json"]));
        let plans = document.get("plans").unwrap_or(&document[0]["plans"]).as_array().unwrap();
        for name in &shipped {
            let line = told.lines().find(|line| line.trim_start().starts_with(&format!("{name} on cp1: ")));
            assert!(line.is_some_and(|line| line.contains(" is not open")), "{command:?} {name}: {told}");
            let plan = plans.iter().find(|plan| plan["playbook"] == name.as_str() && plan["node"] == "cp1");
            assert!(plan.is_some_and(|plan| plan["holds"][0]["check"] == "when"), "{command:?} {name}: {document:#}");
        }
        let (_, told, _) = stage.run(&asked(&[]));
        let left_out = format!("{} more plans are left out: --all", shipped.len());
        assert!(told.contains(&left_out) && !told.contains("restart-kubelet on cp1"), "{command:?}: {told}");
        let (_, told, _) = stage.run(&asked(&["--playbook", "restart-kubelet"]));
        assert!(told.contains("HELD  restart-kubelet on cp1") && !told.contains("--all"), "{command:?}: {told}");
    }
}

/// A journal that cannot be used: one line, observe-only, told by `/readyz`.
fn observes_only(stage: &Stage, mut command: Command, why: &str) {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut daemon = Daemon(child);
    await_that("readyz tells", || {
        assert!(daemon.0.try_wait().unwrap().is_none(), "it ended: {}", daemon.complained());
        std::net::TcpStream::connect(("127.0.0.1", stage.port)).is_ok() && stage.readyz().contains("observing only")
    });
    assert!(stage.readyz().contains(why), "{}", stage.readyz());
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    let complained = daemon.complained();
    assert_eq!(complained.matches("observing only").count(), 1, "{complained}");
    assert!(daemon.0.wait().unwrap().success());
}

#[test]
fn a_journal_whose_folder_cannot_be_made_or_that_is_damaged_costs_only_the_acting() {
    let stage = Stage::new();
    std::fs::write(stage.journal(), "a file where a folder should be").unwrap();
    observes_only(&stage, stage.command(&["run"]), "cannot create folder");
    std::fs::remove_file(stage.journal()).unwrap();
    std::fs::create_dir(stage.journal()).unwrap();
    let damaged = vec![0x5a; 20_000];
    std::fs::write(stage.journal().join("journal.sqlite"), &damaged).unwrap();
    observes_only(&stage, stage.command(&["run"]), "journal.sqlite");
    assert_eq!(std::fs::read(stage.journal().join("journal.sqlite")).unwrap(), damaged, "it is left as it was");
}

#[test]
fn a_journal_that_is_mended_is_taken_up_again() {
    let stage = Stage::new();
    std::fs::write(stage.journal(), "a file where a folder should be").unwrap();
    let child = stage.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut daemon = Daemon(child);
    await_that("it observes only", || {
        std::net::TcpStream::connect(("127.0.0.1", stage.port)).is_ok() && stage.readyz().contains("observing only")
    });
    let (code, _, complained) = stage.run(&["pause", "--reason", "racks", "--for", "1h"]);
    assert_eq!(code, 4, "nothing durable can be promised: {complained}");
    std::fs::remove_file(stage.journal()).unwrap();
    await_that("it keeps a journal", || {
        assert!(daemon.0.try_wait().unwrap().is_none(), "it starts itself anew, as the same process");
        stage.run(&["pause", "--reason", "racks", "--for", "1h"]).0 == 0
    });
    assert!(!stage.readyz().contains("observing only"), "{}", stage.readyz());
    assert_eq!(daemon.end().1, 0);
}

#[test]
fn a_full_and_a_read_only_disk_cost_only_the_acting() {
    let stage = Stage::new();
    std::fs::create_dir(stage.journal()).unwrap();
    let mounted = |options: &str| {
        // A mount namespace of its own: the mount goes with the process.
        let script = format!("mount -t tmpfs -o {options} none \"$1\" && exec \"$2\" --config \"$3\" run");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh"]);
        command.arg(stage.journal()).arg(DEFIB).arg(stage.path("defib.yaml")).stdin(Stdio::null());
        command
    };
    if !is_root() {
        eprintln!("left out, for it needs root: a full and a read-only disk");
        return;
    }
    observes_only(&stage, mounted("size=8k"), "journal");
    observes_only(&stage, mounted("ro,size=1m"), "journal");
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}

#[test]
fn every_fault_of_every_credential_is_told_at_once_with_its_place() {
    let stage = Stage::new();
    let file = stage.path("defib.yaml");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("    kubernetes: { ca: ca.crt, certificate: our.crt, key: our.key }\n");
    text.push_str(
        "    etcd: { ca: absent.crt, certificate: our.crt, key: our.key }\n    talos: { talosconfig: gone }\n",
    );
    std::fs::write(&file, text).unwrap();
    std::fs::write(stage.path("ca.crt"), "not PEM at all").unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(stage.path("our.crt"), key.serialize_pem()).unwrap();
    std::fs::write(stage.path("our.key"), "-----BEGIN PRIVATE KEY-----\nAA\n").unwrap();
    for (command, code) in [("check", 4), ("run", 2)] {
        let (ended, _, complained) = stage.run(&[command]);
        assert_eq!(ended, code, "{command}: {complained}");
        let faults =
            ["9:23: kubernetes", "ca.crt is not PEM", "our.crt holds no certificate", "our.key", "absent.crt", "gone"];
        for fault in faults {
            assert!(complained.contains(fault), "{fault}: {complained}");
        }
    }
    assert!(!stage.journal().exists(), "nothing was begun");
}

#[test]
fn init_writes_once_what_check_can_read() {
    let stage = Stage::new();
    let talosconfig = stage.path("talosconfig");
    let text = "context: lab\ncontexts:\n  lab:\n    endpoints: [192.0.2.1, 192.0.2.2]\n    ca: \"\"\n    crt: \"\"\n    key: \"\"\n";
    std::fs::write(&talosconfig, text).unwrap();
    let output = stage.path("new.yaml");
    let init = |more: &[&str]| {
        let mut command = Command::new(DEFIB);
        command.arg("init").arg("--offline").arg("--talosconfig").arg(&talosconfig).arg("--output").arg(&output);
        command.args(more);
        said(command.output().unwrap())
    };
    let (code, told, complained) = init(&[]);
    assert_eq!(code, 0, "{complained}");
    assert!(told.contains("defib check"), "{told}");
    assert!(read(&output).contains("192.0.2.2") && read(&output).contains("name: lab"));
    std::fs::write(&output, "mine").unwrap();
    let (code, _, complained) = init(&[]);
    assert!(code == 2 && complained.contains("--force"), "{complained}");
    assert_eq!(read(&output), "mine");
    assert_eq!(init(&["--force"]).0, 0);
    std::fs::write(&talosconfig, "context: lab\ncontexts: {}\n").unwrap();
    let (code, _, complained) = init(&["--force"]);
    assert!(code == 2 && complained.contains("talosconfig:"), "{complained}");
}

#[test]
fn playbooks_are_listed_shown_and_linted() {
    let stage = Stage::new();
    let (code, list) = stage.json(&["playbook", "list", "--output", "json"]);
    assert_eq!(code, 0);
    let listed = list["playbooks"].as_array().unwrap().iter().find(|one| one["name"] == "restart-kubelet").unwrap();
    assert_eq!(listed["armed"], serde_json::json!(["prod"]));
    let (code, text, _) = stage.run(&["playbook", "show", "restart-kubelet"]);
    assert!(code == 0 && text.starts_with("# Restart a kubelet"), "{text}");
    let (code, _, complained) = stage.run(&["playbook", "show", "restart-kubelt"]);
    assert!(code == 2 && complained.contains("did you mean \"restart-kubelet\""), "{complained}");
    let (code, schema) = stage.json(&["playbook", "schema"]);
    assert!(code == 0 && schema["properties"]["when"].is_object(), "{schema}");

    std::fs::write(stage.path("one.yaml"), text.replace("service: kubelet", "service: etcd")).unwrap();
    std::fs::write(stage.path("two.yaml"), text.replace("name: restart-kubelet", "name: two")).unwrap();
    let (one, two) = (stage.path("one.yaml"), stage.path("two.yaml"));
    let (code, said, complained) = stage.run(&["playbook", "lint", one.to_str().unwrap(), two.to_str().unwrap()]);
    assert!(code == 2 && said.is_empty(), "{said}");
    assert!(complained.contains("one.yaml:17:33: service \"etcd\" is not one of kubelet"), "{complained}");
    assert!(complained.contains("two and restart-kubelet both answer apiserver-down"), "{complained}");
    let (code, said, _) = stage.run(&["playbook", "lint"]);
    assert!(code == 0 && said.starts_with("nothing is wrong: 0 own playbooks"), "{said}");
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}
