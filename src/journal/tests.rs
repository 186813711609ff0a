//! The journal against crashes, a full disk, damage, a second opener and readers beside it.

use std::fs;
use std::path::Path;
use std::sync::mpsc;

use defib_engine::event::Saved;
use defib_engine::record::{FindingKey, IncidentState, Left, Order, Record, RunEnd};
use defib_engine::time::UnixMs;
use rusqlite::Connection;
use serde_json::json;

use super::*;

const NOW: UnixMs = UnixMs(1_800_000_000_000);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn intent(step: &str, reserved_at_ms: i64) -> IntentRow {
    IntentRow {
        step: step.to_owned(),
        run: "run-1".to_owned(),
        incident: Some("incident-1".to_owned()),
        cluster: "lab".to_owned(),
        playbook: "restart-kubelet".to_owned(),
        action: "restart-service kubelet".to_owned(),
        node: "cp1".to_owned(),
        class: "service".to_owned(),
        reserved_at_ms,
        reserved_boot: None,
        outcome: None,
        detail: None,
        ended_at_ms: None,
    }
}

fn intents(rows: Vec<IntentRow>) -> WriteBatch {
    WriteBatch { intents: rows, ..WriteBatch::default() }
}

fn ended(step: &str) -> WriteBatch {
    let ended = Ended { step: step.to_owned(), outcome: Outcome::Done, detail: "ok".to_owned(), ended_at_ms: NOW.0 };
    WriteBatch { outcomes: vec![ended], ..WriteBatch::default() }
}

fn record(number: usize, at_ms: i64) -> NewRecord {
    NewRecord {
        at_ms,
        cluster: if number.is_multiple_of(2) { "lab" } else { "home" }.to_owned(),
        kind: if number.is_multiple_of(3) { "finding" } else { "decision" }.to_owned(),
        version: 1,
        body: json!({ "number": number }),
    }
}

fn records(rows: Vec<NewRecord>) -> WriteBatch {
    WriteBatch { records: rows, ..WriteBatch::default() }
}

fn write(journal: &Journal, batch: WriteBatch) -> Result<(), JournalError> {
    let (sender, reply) = mpsc::channel();
    journal.append(batch, move |result| sender.send(result).unwrap());
    reply.recv().unwrap()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &Path) -> Opened {
    Journal::open(folder, NOW).unwrap()
}

/// What a power cut leaves: the files of a live journal as they lie on the disk.
fn crash_copy(from: &Path) -> tempfile::TempDir {
    let to = folder();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

#[test]
fn what_was_written_is_read_again() {
    let folder = folder();
    let opened = open(folder.path());
    assert!(opened.intents_recent.is_empty() && opened.interrupted.is_empty());
    write(&opened.journal, intents(vec![intent("s1", NOW.0)])).unwrap();
    write(&opened.journal, ended("s1")).unwrap();
    drop(opened);

    let opened = open(folder.path());
    assert!(opened.interrupted.is_empty());
    let row = &opened.intents_recent[0];
    assert_eq!((row.outcome, row.detail.as_deref()), (Some(Outcome::Done), Some("ok")));
    assert_eq!(row.ended_at_ms, Some(NOW.0));
}

#[test]
fn the_folder_and_the_file_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let parent = folder();
    let folder = parent.path().join("a/journal");
    let opened = open(&folder);
    write(&opened.journal, records(vec![record(0, NOW.0)])).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_run_whose_end_was_written_waits_for_nothing_after_a_restart_and_one_without_does() {
    let live = folder();
    let opened = open(live.path());
    let other = IntentRow { run: "run-2".to_owned(), ..intent("s2", NOW.0 - 2_000) };
    write(&opened.journal, intents(vec![intent("s1", NOW.0 - 5_000), other])).unwrap();
    write(&opened.journal, ended("s1")).unwrap();
    write(&opened.journal, ended("s2")).unwrap();
    let end = |cluster: &str, run: &str| {
        let body = json!({"run": run, "state": "failed", "text": "apiserver-down cp1 is not gone"});
        NewRecord { cluster: cluster.to_owned(), kind: "run".to_owned(), body, ..record(0, NOW.0) }
    };
    write(&opened.journal, records(vec![end("lab", "run-1"), end("home", "run-2")])).unwrap();
    drop(opened);
    let saved = account::saved(&open(live.path()), None);
    let waits: Vec<_> = saved.reservations.iter().map(|one| (one.run.as_str(), one.ended)).collect();
    assert_eq!(waits, [("run-1", true), ("run-2", false)], "the run of another cluster is another");
}

#[test]
fn a_run_without_an_end_is_told_to_the_next_process_and_to_no_later_one() {
    let live = folder();
    let opened = open(live.path());
    let of = |cluster: &str, kind: &str, run: &str| {
        let body = json!({"run": run, "state": "recovered", "text": "gone"});
        NewRecord { cluster: cluster.to_owned(), kind: kind.to_owned(), body, ..record(0, NOW.0) }
    };
    let start = || of("", "start", "");
    let told = |opened: &Opened| {
        opened.unended.iter().map(|(cluster, run)| format!("{cluster}/{run}")).collect::<Vec<_>>().join(" ")
    };
    let begun = [start(), of("lab", "decision", "R-1"), of("home", "decision", "R-1"), of("lab", "decision", "R-2")];
    write(&opened.journal, records(begun.into())).unwrap();
    write(&opened.journal, records(vec![of("lab", "run", "R-1"), record(1, NOW.0)])).unwrap();
    drop(opened);
    let opened = open(live.path());
    assert_eq!(told(&opened), "home/R-1 lab/R-2");
    write(&opened.journal, records(vec![start()])).unwrap();
    drop(opened);
    assert_eq!(told(&open(live.path())), "");
}

#[test]
fn open_incidents_and_what_runs_left_open_are_told_to_the_next_process() {
    let key =
        |rule: &str, node: &str| FindingKey::about(defib_engine::diagnosis::rule(rule).unwrap(), &node.to_owned());
    let (down, hung) = (key("apiserver-down", "cp1"), key("etcd-member-hung", "cp2"));
    let incident = |id: &str, state, keys: &[&FindingKey]| Record::Incident {
        incident: id.to_owned(),
        state,
        root: keys.first().map(|key| (*key).clone()),
        findings: keys.iter().map(|key| (*key).clone()).collect(),
        text: String::new(),
    };
    let left = |playbook: &str, node: &str, key: &FindingKey| Record::Run {
        run: "R-1".to_owned(),
        state: RunEnd::Failed,
        text: String::new(),
        left: Some(Left { playbook: playbook.to_owned(), node: node.to_owned(), findings: [key.clone()].into() }),
    };
    let ack = Order::Ack { playbook: "reboot-hung-etcd".to_owned(), node: "cp2".to_owned() };
    let story = [
        incident("I-1", IncidentState::Open, &[&down]),
        incident("I-2", IncidentState::Open, &[&hung]),
        incident("I-1", IncidentState::Recovering, &[&down, &hung]),
        incident("I-2", IncidentState::Closed, &[]),
        left("restart-kubelet", "cp1", &down),
        left("reboot-hung-etcd", "cp2", &hung),
        left("another", "cp2", &hung),
        Record::Command { by: "kim".to_owned(), order: ack },
    ];
    let live = folder();
    let opened = open(live.path());
    let row = |record: &Record| account::row(record, "lab", NOW, None);
    write(&opened.journal, records(story.iter().map(row).collect())).unwrap();
    // What is damaged, or of a finding that nobody knows any more, is passed over.
    let strange = NewRecord { body: json!({"incident": "I-3", "root": "gone", "findings": 7}), ..row(&story[0]) };
    write(&opened.journal, records(vec![strange])).unwrap();
    drop(opened);
    let saved = account::saved(&open(live.path()), None);
    let open_ones = saved.incidents.get("lab").unwrap();
    assert_eq!(open_ones.iter().map(|one| (one.id.as_str(), one.findings.len())).collect::<Vec<_>>(), [("I-1", 2)]);
    let lefts = |saved: &Saved| saved.left.get("lab").into_iter().flatten().map(|one| one.playbook.clone()).collect();
    let found: Vec<String> = lefts(&saved);
    assert_eq!(found, ["restart-kubelet"], "an acknowledgement ends the whole ladder on its node");
    // It ends with its finding.
    let opened = open(live.path());
    let cleared = Record::Finding { key: down, opened: false, text: String::new() };
    write(&opened.journal, records(vec![row(&cleared)])).unwrap();
    drop(opened);
    let found: Vec<String> = lefts(&account::saved(&open(live.path()), None));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_body_that_names_its_run_by_a_figure_keeps_no_journal_from_opening() {
    let live = folder();
    let opened = open(live.path());
    let strange = ["run", "incident", "announced", "command", "finding", "route"].map(|kind| NewRecord {
        kind: kind.to_owned(),
        body: json!({"run": 7, "incident": 8.5, "command": 9, "finding": {}, "change": "cleared", "left": [1]}),
        ..record(0, NOW.0)
    });
    write(&opened.journal, records(strange.to_vec())).unwrap();
    drop(opened);
    let saved = account::saved(&open(live.path()), None);
    assert!(saved.incidents.is_empty() && saved.left.is_empty(), "{saved:?}");
}

#[test]
fn a_crash_leaves_an_intent_that_is_unknown_and_spent() {
    let live = folder();
    let opened = open(live.path());
    write(&opened.journal, intents(vec![intent("s1", NOW.0 - 5_000)])).unwrap();
    let copy = crash_copy(live.path());

    let again = open(copy.path());
    assert_eq!(again.interrupted.len(), 1);
    assert_eq!(again.intents_recent, again.interrupted);
    assert_eq!(again.interrupted[0].outcome, Some(Outcome::Unknown));
    assert_eq!(again.interrupted[0].reserved_at_ms, NOW.0 - 5_000);
    assert!(again.interrupted[0].detail.as_deref().unwrap().contains("ended before"));
    // A late outcome does not undo what was settled.
    assert!(matches!(write(&again.journal, ended("s1")), Err(JournalError::NoIntent(step)) if step == "s1"));
    drop(again);
    assert!(open(copy.path()).interrupted.is_empty());
}

#[test]
fn what_was_under_way_is_told_by_the_next_start_however_often_the_journal_was_opened_before() {
    let live = folder();
    let opened = open(live.path());
    let decided = NewRecord {
        cluster: "lab".to_owned(),
        kind: "decision".to_owned(),
        body: json!({"run": "run-1"}),
        ..record(0, NOW.0)
    };
    let batch = WriteBatch { records: vec![decided], ..intents(vec![intent("s1", NOW.0 - 5_000)]) };
    write(&opened.journal, batch).unwrap();
    let copy = crash_copy(live.path());

    let steps = |opened: &Opened| opened.interrupted.iter().map(|one| one.step.clone()).collect::<Vec<_>>();
    assert_eq!(steps(&open(copy.path())), ["s1"]);
    let told = open(copy.path());
    assert_eq!(steps(&told), ["s1"], "the first told nobody");
    write(&told.journal, records(vec![NewRecord { kind: "start".to_owned(), ..record(0, NOW.0) }])).unwrap();
    drop(told);
    assert!(steps(&open(copy.path())).is_empty());
}

#[test]
fn every_answered_batch_survives_a_crash() {
    let live = folder();
    let opened = open(live.path());
    for number in 0..200 {
        write(&opened.journal, records(vec![record(number, NOW.0)])).unwrap();
    }
    let copy = crash_copy(live.path());
    let page = Reader::open(copy.path()).unwrap().recent_records(1_000, None, &[]).unwrap();
    assert_eq!(page.rows.len(), 200);
}

#[test]
fn a_batch_is_all_or_nothing_and_fails_alone() {
    let folder = folder();
    let opened = open(folder.path());
    write(&opened.journal, intents(vec![intent("s1", NOW.0)])).unwrap();
    let (sender, replies) = mpsc::channel();
    let twice =
        WriteBatch { records: vec![record(7, NOW.0)], ..intents(vec![intent("s2", NOW.0), intent("s1", NOW.0)]) };
    let batches =
        [records(vec![record(1, NOW.0)]), ended("nothing"), records(vec![record(2, NOW.0)]), twice, ended("s1")];
    for (number, batch) in batches.into_iter().enumerate() {
        let sender = sender.clone();
        opened.journal.append(batch, move |result| sender.send((number, result.is_ok())).unwrap());
    }
    drop(opened);
    drop(sender);
    let answers: Vec<_> = replies.iter().collect();
    assert_eq!(answers, [(0, true), (1, false), (2, true), (3, false), (4, true)]);
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.recent_records(10, None, &[]).unwrap().rows.len(), 2);
    assert_eq!(reader.intents(10).unwrap().rows.len(), 1);
}

#[test]
fn a_full_queue_says_so_and_never_blocks() {
    let folder = folder();
    let opened = open(folder.path());
    let (release, gate) = mpsc::channel::<()>();
    let (started, begun) = mpsc::channel();
    opened.journal.append(records(vec![record(0, NOW.0)]), move |_| {
        started.send(()).unwrap();
        gate.recv().unwrap();
    });
    begun.recv().unwrap();
    let (sender, replies) = mpsc::channel();
    for number in 0..300 {
        let sender = sender.clone();
        opened.journal.append(records(vec![record(number, NOW.0)]), move |result| sender.send(result).unwrap());
    }
    release.send(()).unwrap();
    drop(opened);
    drop(sender);
    let (ok, full): (Vec<_>, Vec<_>) = replies.iter().partition(Result::is_ok);
    assert_eq!((ok.len(), full.len()), (256, 44));
    assert!(full.iter().all(|result| matches!(result, Err(JournalError::QueueFull(256)))));
}

#[test]
fn a_reader_beside_the_writer_sees_what_was_answered() {
    let folder = folder();
    let opened = open(folder.path());
    write(&opened.journal, records(vec![record(0, NOW.0)])).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    for number in 1..30 {
        write(&opened.journal, records(vec![record(number, NOW.0)])).unwrap();
        let newest = reader.recent_records(1, None, &[]).unwrap();
        assert_eq!(newest.rows[0].body, json!({ "number": number }));
    }
    let some = reader.recent_records(100, Some("lab"), &["finding"]).unwrap();
    let numbers: Vec<_> = some.rows.iter().map(|row| row.body["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [24, 18, 12, 6, 0]);
    assert_eq!(reader.recent_records(100, None, &["finding", "decision"]).unwrap().rows.len(), 30);
    assert_eq!(reader.recent_records(100, Some("nowhere"), &[]).unwrap().rows.len(), 0);
}

#[test]
fn a_reader_leaves_the_files_of_a_crash_as_they_are() {
    let live = folder();
    let opened = open(live.path());
    write(&opened.journal, records(vec![record(0, NOW.0)])).unwrap();
    let copy = crash_copy(live.path());
    let wal = copy.path().join(format!("{FILE}-wal"));
    let before = (fs::read(copy.path().join(FILE)).unwrap(), fs::read(&wal).unwrap());
    let reader = Reader::open(copy.path()).unwrap();
    assert_eq!(reader.recent_records(10, None, &[]).unwrap().rows.len(), 1);
    assert!(reader.connection_for_test().execute("DELETE FROM record", []).is_err());
    drop(reader);
    assert_eq!(before, (fs::read(copy.path().join(FILE)).unwrap(), fs::read(&wal).unwrap()));
}

#[test]
fn a_closed_journal_is_read_where_nothing_can_be_written() {
    let folder = folder();
    let path = folder.path().join("50% of #1?");
    let opened = open(&path);
    write(&opened.journal, records(vec![record(0, NOW.0)])).unwrap();
    drop(opened);
    // Permissions do not bind root, who runs these tests too; so the way in is asked for by name.
    let reader = Reader::immutable_for_test(&path).unwrap();
    assert_eq!(reader.recent_records(10, None, &[]).unwrap().rows.len(), 1);
    let names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn no_journal_is_said_so() {
    let folder = folder();
    assert!(matches!(Reader::open(folder.path()), Err(JournalError::Missing(_))));
    fs::write(folder.path().join(FILE), "").unwrap();
    assert!(matches!(Reader::open(folder.path()), Err(JournalError::Missing(_))));
}

#[test]
fn a_second_opener_is_refused_by_the_holders_pid() {
    let folder = folder();
    let opened = open(folder.path());
    let error = Journal::open(folder.path(), NOW).unwrap_err();
    assert!(matches!(error, JournalError::Held { pid: Some(pid), .. } if pid == std::process::id()));
    assert!(error.to_string().ends_with(&format!("is in use by process {}", std::process::id())));
    drop(opened);
    open(folder.path());
}

#[test]
fn the_writer_is_known_while_it_lives_and_asking_never_keeps_it_out() {
    let folder = folder();
    assert_eq!(holder(folder.path()), None);
    let opened = open(folder.path());
    assert_eq!(holder(folder.path()), Some(std::process::id()));
    drop(opened);
    assert_eq!(holder(folder.path()), None);
    let (stop, stopped) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let path = folder.path();
        scope.spawn(move || {
            while !matches!(stopped.try_recv(), Err(mpsc::TryRecvError::Disconnected)) {
                let _asked = holder(path);
            }
        });
        for _ in 0..20 {
            drop(open(path));
        }
        drop(stop);
    });
}

#[test]
fn a_newer_format_is_refused_and_untouched() {
    let folder = folder();
    drop(open(folder.path()));
    let file = folder.path().join(FILE);
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&file).unwrap();
    let error = Journal::open(folder.path(), NOW).unwrap_err();
    assert!(matches!(error, JournalError::Newer { found: 99, known: 2, .. }), "{error}");
    assert!(matches!(Reader::open(folder.path()), Err(JournalError::Newer { .. })));
    assert_eq!(before, fs::read(&file).unwrap());
}

#[test]
fn damage_is_named_and_nothing_is_deleted() {
    let whole = folder();
    let opened = open(whole.path());
    let many = (0..3_000).map(|number| record(number, NOW.0)).collect();
    write(&opened.journal, records(many)).unwrap();
    write(&opened.journal, intents(vec![intent("s1", NOW.0)])).unwrap();
    drop(opened);
    let bytes = fs::read(whole.path().join(FILE)).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    for (start, end) in [(0, 100), (0, 4096), (middle, middle + 4096), (4096, bytes.len())] {
        let folder = folder();
        let file = folder.path().join(FILE);
        let mut damaged = bytes.clone();
        damaged[start..end].iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 7 + 13) as u8);
        fs::write(&file, &damaged).unwrap();
        let error = Journal::open(folder.path(), NOW).unwrap_err();
        assert!(matches!(error, JournalError::Corrupt { .. }), "{start}: {error:?}");
        assert!(error.to_string().contains(&file.display().to_string()));
        // A reader may still find readable rows, or says what is wrong.
        if let Ok(reader) = Reader::open(folder.path()) {
            drop((reader.recent_records(10_000, None, &[]), reader.intents(10)));
        }
        assert_eq!(damaged, fs::read(&file).unwrap());
    }
    let folder = folder();
    fs::write(folder.path().join(FILE), &bytes[..bytes.len() / 3]).unwrap();
    assert!(matches!(Journal::open(folder.path(), NOW), Err(JournalError::Corrupt { .. })));
}

#[test]
fn a_full_disk_refuses_whole_batches_and_keeps_what_was_written() {
    let folder = folder();
    let opened = Journal::open_bounded(folder.path(), NOW, 40).unwrap();
    let large = || NewRecord { body: json!("x".repeat(3_000)), ..record(0, NOW.0) };
    let mut written = 0;
    let error = loop {
        let step = format!("s{written}");
        let batch = WriteBatch { records: vec![large()], ..intents(vec![intent(&step, NOW.0)]) };
        match write(&opened.journal, batch) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100);
    };
    let JournalError::Sqlite { source, .. } = &error else { unreachable!("{error:?}") };
    assert_eq!(source.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
    drop(opened);
    // Room again: nothing of the refused batch is there, and the journal goes on.
    let opened = open(folder.path());
    assert_eq!(opened.intents_recent.len(), written);
    write(&opened.journal, records(vec![large()])).unwrap();
}

#[test]
fn bad_rows_are_counted_and_an_intent_stays_spent() {
    let folder = folder();
    let opened = open(folder.path());
    write(&opened.journal, intents(vec![intent("s1", NOW.0)])).unwrap();
    write(&opened.journal, records((0..5).map(|number| record(number, NOW.0)).collect())).unwrap();
    drop(opened);
    let connection = Connection::open(folder.path().join(FILE)).unwrap();
    connection
        .execute_batch(
            "UPDATE intent SET outcome = 'splendid';
             UPDATE record SET body = '{\"number\":' WHERE seq = 1;
             UPDATE record SET version = 2 WHERE seq = 2;
             UPDATE record SET version = -1 WHERE seq = 3;
             UPDATE record SET kind = CAST(x'ff' AS TEXT) WHERE seq = 4;",
        )
        .unwrap();
    drop(connection);
    let opened = open(folder.path());
    assert_eq!((opened.bad_rows, opened.intents_recent[0].outcome), (1, Some(Outcome::Unknown)));
    let reader = Reader::open(folder.path()).unwrap();
    let page = reader.recent_records(10, None, &[]).unwrap();
    assert_eq!((&page.bad, page.rows.len()), (&Bad { count: 4, newest: vec![4, 3, 2, 1] }, 1));
    assert_eq!(page.bad.words("record", "seq").unwrap(), "4 of `record` (seq 4, 3, 2, 1)");
    let page = reader.intents(10).unwrap();
    assert_eq!((&page.bad, page.rows[0].outcome), (&Bad { count: 1, newest: vec![1] }, Some(Outcome::Unknown)));
    assert_eq!(Bad::default().words("record", "seq"), None);
    let many = Bad { count: 9, newest: vec![9, 8, 7, 6, 5] };
    assert_eq!(many.words("record", "seq").unwrap(), "9 of `record` (seq 9, 8, 7, 6, 5, …)");
}

#[test]
fn a_body_that_is_too_large_is_refused_and_a_long_detail_is_cut() {
    let folder = folder();
    let opened = open(folder.path());
    let body = json!("x".repeat(writer::BODY_BYTES_MAX));
    let refused = write(&opened.journal, records(vec![NewRecord { body, ..record(0, NOW.0) }]));
    assert!(matches!(refused, Err(JournalError::TooLarge { .. })));
    write(&opened.journal, intents(vec![intent("s1", NOW.0)])).unwrap();
    let long =
        Ended { step: "s1".to_owned(), outcome: Outcome::Failed, detail: "ä".repeat(5_000), ended_at_ms: NOW.0 };
    write(&opened.journal, WriteBatch { outcomes: vec![long], ..WriteBatch::default() }).unwrap();
    drop(opened);
    assert_eq!(open(folder.path()).intents_recent[0].detail.as_deref().unwrap().len(), 4_096);
}

#[test]
fn a_clock_that_jumped_ahead_hides_no_intent() {
    let folder = folder();
    let opened = open(folder.path());
    write(&opened.journal, intents(vec![intent("old", NOW.0 - 40 * DAY_MS), intent("s1", NOW.0)])).unwrap();
    drop(opened);
    let opened = Journal::open(folder.path(), UnixMs(NOW.0 + 300 * DAY_MS)).unwrap();
    let steps: Vec<_> = opened.intents_recent.iter().map(|row| row.step.as_str()).collect();
    assert_eq!(steps, ["s1"]);
    drop(opened);
    let opened = Journal::open(folder.path(), UnixMs(NOW.0 - 300 * DAY_MS)).unwrap();
    assert_eq!(opened.intents_recent.len(), 2);
}

#[test]
fn old_rows_are_forgotten_in_small_steps() {
    let folder = folder();
    let opened = open(folder.path());
    let old = (0..600).map(|number| record(number, NOW.0 - 91 * DAY_MS));
    write(&opened.journal, records(old.chain([record(600, NOW.0)]).collect())).unwrap();
    write(&opened.journal, intents(vec![intent("ancient", NOW.0 - 401 * DAY_MS), intent("s1", NOW.0)])).unwrap();
    drop(opened);
    drop(open(folder.path()));
    drop(open(folder.path()));
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.recent_records(1_000, None, &[]).unwrap().rows.len(), 1);
    assert_eq!(reader.intents(10).unwrap().rows.len(), 1);
}

#[test]
fn a_crowded_file_makes_room_for_what_comes() {
    let folder = folder();
    let opened = Journal::open_bounded(folder.path(), NOW, 400).unwrap();
    for number in 0..2_000 {
        let row = NewRecord { body: json!({ "number": number, "fill": "x".repeat(1_000) }), ..record(number, NOW.0) };
        write(&opened.journal, records(vec![row])).unwrap();
    }
    let reader = Reader::open(folder.path()).unwrap();
    let page = reader.recent_records(10_000, None, &[]).unwrap();
    assert!((256..1_500).contains(&page.rows.len()), "{}", page.rows.len());
    assert_eq!(page.rows[0].body["number"], 1_999);
}
