//! Everything that people, files or the network hand in, each with what must hold whatever it is: no panic, an answer within the
//! bounds that are stated where they are set, and an error that a person can place.
//!
//! Shared by `tests/bad_input.rs`, which mutates good input by seed in every test run, and by `tests/fuzz`, which goes on
//! for as long as it is let.

use std::io::{BufReader, Write};
use std::path::Path;
use std::sync::LazyLock;

use defib::client::talos::CredentialError;
use defib::client::tls::Files;
use defib::client::{certificate, talos};
use defib::daemon::replay;
use defib::journal::recording::{Recording, RecordingError};
use defib::journal::{Bad, Journal, JournalError, Reader, account};
use defib::observe::klog;
use defib::promtext::Scanner;
use defib::report::line;
use defib::web::api;
use defib::yaml::{self, Node, Problems, Value, Walk};
use defib::{config, playbook};
use defib_engine::time::UnixMs;
use ring::digest::{SHA256, digest};
use rusqlite::{Connection, params};

/// A reader, and what must hold whatever it reads.
type Reads = fn(&[u8]);

/// What is handed in, by its name.
pub(crate) const TARGETS: [(&str, Reads); 11] = [
    ("playbook", a_playbook),
    ("configuration", a_configuration),
    ("scenario", a_scenario),
    ("recording", a_recording),
    ("journal", a_journal),
    ("rows", rows_of_a_journal),
    ("figures", figures),
    ("credentials", credentials),
    ("kubelet-log", a_kubelet_log),
    ("yaml", yaml_of_any_kind),
    ("query", a_query),
];

/// Fifty problems are kept, and one line counts the others.
const PROBLEMS_MAX: usize = 51;
/// What one mistake says with its line, however long that is.
const PROBLEM_BYTES_MAX: usize = 8 * 1024;
/// Values stand in each other so deep at most: the promise of `src/yaml/tree.rs`, and the root.
const DEPTH_MAX: usize = 17;
const NOW: UnixMs = UnixMs(1_771_286_400_000);
/// The kinds of record whose bodies are read at a start.
const KINDS: [&str; 7] = ["start", "command", "announced", "incident", "route", "run", "finding"];

/// Mistakes lie within the text, in words that cannot move a terminal's cursor.
fn placed(problems: &Problems, text: &str) {
    assert!((1..=PROBLEMS_MAX).contains(&problems.0.len()), "{} mistakes", problems.0.len());
    for problem in &problems.0 {
        assert_eq!(problem.line == 0, problem.column == 0, "{problem}");
        assert!(!problem.text.is_empty());
        assert!(problem.to_string().len() <= PROBLEM_BYTES_MAX, "{} bytes", problem.to_string().len());
        if problem.line > 0 {
            // The end of the text is a place, on a line of its own where the last one is ended.
            let line = text.split('\n').nth(problem.line - 1);
            let columns = line.map(|line| line.trim_end_matches('\r').chars().count() + 2);
            assert!(columns.is_some_and(|columns| problem.column <= columns), "{columns:?} columns: {problem}");
        }
    }
    printable(&problems.to_string());
}

fn printable(text: &str) {
    let odd = text.chars().find(|one| one.is_control() && *one != '\n');
    assert!(odd.is_none(), "{odd:?} in {text:?}");
}

fn a_playbook(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match playbook::parse(Path::new("p.yaml"), &text) {
        Ok(playbook) => assert!(!playbook.steps.is_empty() && !playbook.name.is_empty()),
        Err(problems) => placed(&problems, &text),
    }
}

fn a_configuration(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("defib.yaml");
    std::fs::write(&file, bytes).unwrap();
    let text = String::from_utf8_lossy(bytes);
    match config::read_with(&file, |_| playbook::load(playbook::SHIPPED, None)) {
        Ok((config, _)) => assert!(!config.clusters.is_empty()),
        Err(problems) => {
            let own = problems.0.into_iter().filter(|problem| problem.file == file).collect::<Vec<_>>();
            if !own.is_empty() {
                placed(&Problems(own), &text);
            }
        }
    }
}

fn a_scenario(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(why) = crate::scenarios::play(&text) {
        let place = why.strip_prefix("line ").and_then(|rest| rest.split_once(':')?.0.parse::<usize>().ok());
        let lines = text.lines().count().max(1);
        assert!(place.is_some_and(|line| (1..=lines).contains(&line)), "{lines} lines: {why}");
    }
}

/// Each line gets the checksum that it needs, so that what is behind it is met; what can be read is played, too.
fn a_recording(bytes: &[u8]) {
    let mut sealed = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let text = line.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or(line);
        digest(&SHA256, text).as_ref().iter().take(8).for_each(|byte| write!(sealed, "{byte:02x}").unwrap());
        sealed.push(b' ');
        sealed.extend_from_slice(text);
        sealed.push(b'\n');
    }
    for bytes in [bytes, &sealed] {
        match Recording::from(BufReader::new(bytes), Path::new("r.recording")) {
            Err(error) => {
                printable(&error.to_string());
                within_lines(&error, bytes);
            }
            Ok(recording) => {
                let texts: Vec<_> = recording.header.playbooks.iter().map(|(name, text)| (&**name, &**text)).collect();
                if let Ok(playbooks) = playbook::load_recorded(&texts, None) {
                    let settings = replay::settings(&recording.header, playbooks);
                    let _ = replay::play(&recording, &settings, &settings);
                }
            }
        }
    }
}

/// A damaged line is named, and there is one of that number; what is no recording at all, or a later one, is told by its first.
fn within_lines(error: &RecordingError, bytes: &[u8]) {
    let lines = bytes.split(|byte| *byte == b'\n').count();
    match error {
        RecordingError::Damaged { line, .. } => {
            assert!((1..=lines).contains(line), "{lines} lines: {error}");
            assert!(error.to_string().starts_with(&format!("r.recording:{line}: ")), "{error}");
        }
        RecordingError::Foreign { why, .. } => {
            let (whole, first) = (["it is empty", "its first line has no end"], why.starts_with("line 1: "));
            assert!(first || whole.contains(&why.as_str()) || why.ends_with(" bytes and no line"), "{error}");
        }
        RecordingError::Newer { .. } | RecordingError::TooLong(_) => {}
        RecordingError::Unreadable(..) => panic!("bytes can be read: {error}"),
    }
}

/// A file of these bytes; and a sound one into which they are written: two of them say where, one how many follow.
fn a_journal(bytes: &[u8]) {
    a_file_of_a_journal(bytes);
    let mut content = sound_journal().to_vec();
    let mut rest = bytes;
    while let [high, low, length, more @ ..] = rest {
        let (part, after) = more.split_at(usize::from(*length).min(more.len()));
        let at = usize::from(u16::from_be_bytes([*high, *low])) % content.len();
        content.iter_mut().skip(at).zip(part).for_each(|(old, new)| *old = *new);
        rest = after;
    }
    a_file_of_a_journal(&content);
}

fn a_file_of_a_journal(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal.sqlite");
    std::fs::write(&file, bytes).unwrap();
    read_journal(folder.path());
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "reading changed it");
    match Journal::open(folder.path(), NOW) {
        Ok(opened) => drop(account::saved(&opened, None)),
        Err(JournalError::Corrupt { .. } | JournalError::Newer { .. }) => {
            assert_eq!(std::fs::read(&file).unwrap(), bytes, "what was refused was changed");
        }
        Err(_) => {}
    }
}

/// A journal of its own that holds rows, as the bytes of its file.
fn sound_journal() -> &'static [u8] {
    static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        drop(Journal::open(folder.path(), NOW).unwrap());
        let connection = Connection::open(folder.path().join("journal.sqlite")).unwrap();
        write_row(&connection, "incident", 0, r#"{"incident":"I-1","run":"R-1"}"#);
        drop(connection);
        std::fs::read(folder.path().join("journal.sqlite")).unwrap()
    });
    &SOUND
}

/// A record of this kind, and an intent all of whose words are the body's.
fn write_row(connection: &Connection, kind: &str, number: i64, body: &str) {
    let record = "INSERT INTO record (at_ms, cluster, kind, version, body) VALUES (?1, 'prod', ?2, 1, ?3)";
    connection.execute(record, params![NOW.0, kind, body]).unwrap();
    let intent = "INSERT OR REPLACE INTO intent
        (step, run, incident, cluster, playbook, action, node, class, reserved_at_ms, outcome, boot, boot_ms)
        VALUES (?1, ?1, ?1, 'prod', ?1, ?1, ?1, ?1, ?2, ?3, ?1, ?2)";
    let at_ms = [NOW.0, i64::MAX, i64::MIN, 0].into_iter().cycle().nth(usize::try_from(number).unwrap());
    connection.execute(intent, params![body, at_ms, (number % 2 == 0).then_some(body)]).unwrap();
}

fn read_journal(folder: &Path) {
    if let Ok(reader) = Reader::open(folder) {
        let _ = reader.is_model();
        if let Ok(records) = reader.recent_records(100, None, &[]) {
            bad_rows_are_named(&records.bad);
            for row in &records.rows {
                let _ = line::of_row(row);
            }
        }
        if let Ok(intents) = reader.intents(100) {
            bad_rows_are_named(&intents.bad);
        }
    }
}

/// Every row that was not understood, up to five.
fn bad_rows_are_named(bad: &Bad) {
    assert_eq!(bad.newest.len() as u64, bad.count.min(5));
    assert_eq!(bad.words("record", "seq").is_some(), bad.count > 0);
}

/// A journal that is whole, and whose rows say anything: `kind`, a blank, and a body, one a line. The body stands in a row of
/// every kind that is read at a start, too.
fn rows_of_a_journal(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal.sqlite");
    std::fs::write(&file, sound_journal()).unwrap();
    {
        let connection = Connection::open(&file).unwrap();
        connection.execute_batch("PRAGMA synchronous = OFF; BEGIN").unwrap();
        for (number, line) in (0..32).zip(String::from_utf8_lossy(bytes).lines()) {
            let (kind, body) = line.split_once(' ').unwrap_or((line, ""));
            KINDS.iter().for_each(|known| write_row(&connection, known, number, body));
            write_row(&connection, kind, number, body);
        }
        connection.execute_batch("COMMIT").unwrap();
    }
    read_journal(folder.path());
    let opened = Journal::open(folder.path(), UnixMs(NOW.0 + 100_000)).unwrap();
    let _ = account::saved(&opened, None);
}

/// The same samples, however the bytes are cut.
fn figures(bytes: &[u8]) {
    let names = ["etcd_server_has_leader", "etcd_disk_wal_fsync_duration_seconds_bucket"];
    let read = |size: usize| {
        let (mut scanner, mut samples) = (Scanner::new(&names), Vec::new());
        bytes.chunks(size).for_each(|chunk| scanner.feed(chunk, |sample| samples.push(format!("{sample:?}"))));
        scanner.end(|sample| samples.push(format!("{sample:?}")));
        samples
    };
    assert_eq!(read(bytes.len().max(1)), read(3));
}

fn credentials(bytes: &[u8]) {
    let _ = (certificate::validity(bytes), certificate::organizations(bytes));
    let files = Files::from_pem("them", bytes.to_vec(), bytes.to_vec(), bytes.to_vec());
    if let Err(error) = files.client_config() {
        printable(&error.to_string());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("talosconfig");
    std::fs::write(&file, bytes).unwrap();
    if let Err(error) = talos::outline(&file, None) {
        printable(&error.to_string());
    }
    // What is wrong is said without the line itself, which may hold a key.
    let talos = config::Talos { talosconfig: file, context: None };
    if let Err(error @ CredentialError::Content(_)) = talos::Credential::new(&talos).client_config() {
        assert!(!error.to_string().contains(" | "), "{error}");
    }
}

fn a_kubelet_log(bytes: &[u8]) {
    let _ = klog::back_off(&String::from_utf8_lossy(bytes), 1_771_286_400_000);
}

fn yaml_of_any_kind(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let walk = Walk::new(Path::new("any.yaml"), &text);
    let root = yaml::parse(&walk);
    if let Some(root) = &root {
        within(root, text.split('\n').count(), 1);
    }
    if let Err(problems) = walk.end(root) {
        placed(&problems, &text);
    }
}

/// A value stands in the text, no deeper than is promised, and so does what it holds.
fn within(node: &Node, lines: usize, depth: usize) {
    assert!(depth <= DEPTH_MAX, "{depth} deep");
    assert!((1..=lines).contains(&node.place.line) && node.place.column >= 1, "{:?} of {lines}", node.place);
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| within(item, lines, depth + 1)),
        Value::Map(entries) => entries.iter().for_each(|entry| within(&entry.value, lines, depth + 1)),
        Value::Nothing | Value::Text(_) => {}
    }
}

/// What stands behind a `?` in a request of the dashboard's.
fn a_query(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let fields = api::query(Some(&text));
    assert!(fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= text.len());
}
