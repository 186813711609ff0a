//! What remains of a drill: its story, verdict, journal and logs, copied to a folder of the caller's.
//!
//! Pod logs and the states of etcd and containerd are left out. A file that is not there (no journal without defib) is
//! left out in silence; a file that cannot be copied is an error.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::judge::Verdict;
use super::stage;
use crate::layout::{Layout, Node, Part};

/// The most bytes that are kept of one file: its last ones.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why something could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep {}", path.display())]
pub struct KeepError {
    path: PathBuf,
    source: std::io::Error,
}

/// Writes `story.txt` and `result.json` to `folder`.
pub(super) fn words(folder: &Path, story: &str, verdict: Option<&Verdict>) -> Result<(), KeepError> {
    write(&folder.join("story.txt"), story.as_bytes())?;
    let Some(verdict) = verdict else { return Ok(()) };
    let path = folder.join("result.json");
    match serde_json::to_vec_pretty(verdict) {
        Ok(json) => write(&path, &json),
        Err(e) => Err(KeepError { path, source: e.into() }),
    }
}

/// Copies the drill's journal with its evidence and flight recordings, configuration and playbooks, and all logs, to `folder`. The first three lie there as the
/// configuration names them, so that `defib history` reads the copy.
pub(super) fn files(folder: &Path, layout: &Layout) -> Result<(), KeepError> {
    copy(&layout.drill_config(), &config(folder))?;
    let journal = layout.drill_journal();
    for from in [&journal, &journal.join("evidence"), &journal.join("recordings"), &layout.drill_playbooks()] {
        let name = from.strip_prefix(layout.run()).unwrap_or(from);
        copy_files(from, &folder.join(name))?;
    }
    let logs = folder.join("logs");
    copy(&stage::defib_log(layout), &logs.join("defib.log"))?;
    for node in Node::ALL {
        copy(&layout.call_log(node), &logs.join(format!("{node}-calls.jsonl")))?;
        for part in Part::ALL.into_iter().filter(|part| part.has_cgroup()) {
            copy(&layout.log(node, part), &logs.join(format!("{node}-{part}.log")))?;
        }
    }
    Ok(())
}

/// The drill's configuration among what was kept.
pub(super) fn config(folder: &Path) -> PathBuf {
    folder.join("defib-drill.yaml")
}

fn copy_files(from: &Path, to: &Path) -> Result<(), KeepError> {
    let Ok(entries) = std::fs::read_dir(from) else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| entry.path().is_file()) {
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), KeepError> {
    let failed = |source| KeepError { path: from.to_owned(), source };
    match tail(from) {
        Ok(bytes) => write(to, &bytes),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(failed(e)),
    }
}

fn tail(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(FILE_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), KeepError> {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| std::fs::write(path, bytes)).map_err(|source| KeepError { path: path.to_owned(), source })
}
