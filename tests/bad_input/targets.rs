//! Everything that people, files or the network hand in, each with what must hold whatever it is: no panic, an answer within the
//! bounds that are stated where they are set, and an error that a person can place.
//!
//! Shared by `tests/bad_input.rs`, which mutates good input by seed in every test run, and by `tests/fuzz`, which goes on
//! for as long as it is let.

use std::io::BufReader;
use std::path::Path;

use defib::client::tls::Files;
use defib::client::{certificate, talos};
use defib::daemon::replay;
use defib::journal::recording::Recording;
use defib::journal::{Journal, Reader, account};
use defib::observe::klog;
use defib::promtext::Scanner;
use defib::report::line;
use defib::yaml::Problems;
use defib::{config, playbook};
use defib_engine::time::UnixMs;
use ring::digest::{SHA256, digest};

/// A reader, and what must hold whatever it reads.
type Reads = fn(&[u8]);

/// What is handed in, by its name.
pub(crate) const TARGETS: [(&str, Reads); 9] = [
    ("playbook", a_playbook),
    ("configuration", a_configuration),
    ("scenario", a_scenario),
    ("recording", a_recording),
    ("journal", a_journal),
    ("rows", rows_of_a_journal),
    ("figures", figures),
    ("credentials", credentials),
    ("kubelet-log", a_kubelet_log),
];

/// Mistakes lie within the text, in words that cannot move a terminal's cursor.
fn placed(problems: &Problems, text: &str) {
    assert!(!problems.0.is_empty(), "an error without a mistake");
    let lines = text.lines().count().max(1);
    for problem in &problems.0 {
        assert!(problem.line <= lines + 1, "line {} of {lines}: {problem}", problem.line);
        assert_eq!(problem.line == 0, problem.column == 0, "{problem}");
        assert!(!problem.text.is_empty());
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
    match config::read(&file) {
        Ok(config) => assert!(!config.clusters.is_empty()),
        Err(problems) => {
            let own = problems.0.into_iter().filter(|problem| problem.file == file).collect::<Vec<_>>();
            if !own.is_empty() {
                placed(&Problems(own), &text);
            }
        }
    }
}

fn a_scenario(bytes: &[u8]) {
    if let Err(why) = crate::scenarios::play(&String::from_utf8_lossy(bytes)) {
        assert!(why.starts_with("line ") || !why.contains('\n'), "{why}");
    }
}

/// Each line gets the checksum that it needs, so that what is behind it is met; what can be read is played, too.
fn a_recording(bytes: &[u8]) {
    let mut sealed = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let text = line.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or(line);
        let sum = digest(&SHA256, text);
        let sum: String = sum.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        sealed.extend_from_slice(format!("{sum} ").as_bytes());
        sealed.extend_from_slice(text);
        sealed.push(b'\n');
    }
    for bytes in [bytes, &sealed] {
        match Recording::from(BufReader::new(bytes), Path::new("r.recording")) {
            Err(error) => printable(&error.to_string()),
            Ok(recording) => {
                let texts: Vec<_> = recording.header.playbooks.iter().map(|(name, text)| (&**name, &**text)).collect();
                if let Ok(playbooks) = playbook::load(&texts, None) {
                    let _ = replay::play(&recording, &replay::settings(&recording.header, playbooks));
                }
            }
        }
    }
}

fn a_journal(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("journal.sqlite"), bytes).unwrap();
    read_journal(folder.path());
    assert_eq!(std::fs::read(folder.path().join("journal.sqlite")).unwrap(), bytes, "reading changed it");
    if let Ok(opened) = Journal::open(folder.path(), UnixMs(1_771_286_400_000)) {
        let _ = account::saved(&opened, None);
    }
}

fn read_journal(folder: &Path) {
    if let Ok(reader) = Reader::open(folder) {
        let _ = reader.is_model();
        if let Ok(records) = reader.recent_records(100, None, &[]) {
            for row in &records.rows {
                let _ = line::of_row(row);
            }
        }
        let _ = reader.intents(100);
    }
}

/// A journal that is whole, and whose rows say anything: `kind`, a blank, and a body, one a line.
fn rows_of_a_journal(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    drop(Journal::open(folder.path(), UnixMs(1_771_286_400_000)).unwrap());
    {
        let connection = rusqlite::Connection::open(folder.path().join("journal.sqlite")).unwrap();
        for line in String::from_utf8_lossy(bytes).lines().take(64) {
            let (kind, body) = line.split_once(' ').unwrap_or((line, ""));
            let _ = connection.execute(
                "INSERT INTO records (at_ms, cluster, kind, version, body) VALUES (1, 'prod', ?1, 1, ?2)",
                [kind, body],
            );
        }
    }
    read_journal(folder.path());
    let opened = Journal::open(folder.path(), UnixMs(1_771_286_500_000)).unwrap();
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
}

fn a_kubelet_log(bytes: &[u8]) {
    let _ = klog::back_off(&String::from_utf8_lossy(bytes), 1_771_286_400_000);
}
