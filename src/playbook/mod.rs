//! Playbooks as people write them → playbooks as the engine knows them.
//!
//! A shipped playbook is embedded in the program; a file in the operator's folder adds one, or replaces the shipped one of
//! the same name. Every name in them is a rule, a check or an action that exists, every duration and count is within
//! reason, and all mistakes in all files are found at once. Left out: what any of it means (`engine`).

mod read;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use defib_engine::playbook::Playbook;

use crate::yaml::{self, Problem, Problems};

pub use read::parse;

/// The shipped playbooks by name, in the order in which they are considered.
pub const SHIPPED: &[(&str, &str)] = &[("restart-kubelet", include_str!("../../playbooks/restart-kubelet.yaml"))];

/// A folder may hold so many.
const FILES_MAX: usize = 64;
/// A file may be so large.
const BYTES_MAX: u64 = 256 * 1024;

/// Loads the shipped playbooks (name, text) and those of the folder: the shipped ones in their order, each replaced where
/// the folder has one of its name; then the folder's others by file name. Files that end in `.yaml` or `.yml` and do not
/// begin with a dot are read; folders in it are not.
///
/// # Errors
/// Everything that is wrong in every file: at most 64 files of 256 KiB each.
pub fn load(shipped: &[(&str, &str)], folder: Option<&Path>) -> Result<Vec<Playbook>, Problems> {
    let mut problems = Vec::new();
    let mut keep = |result: Result<Playbook, Problems>| result.map_err(|found| problems.extend(found.0)).ok();
    let mut playbooks: Vec<Playbook> = Vec::new();
    for (name, text) in shipped {
        playbooks.extend(keep(parse(Path::new(&format!("shipped/{name}.yaml")), text)));
    }

    let mut own: BTreeMap<String, PathBuf> = BTreeMap::new();
    let files = folder.map_or_else(|| Ok(Vec::new()), files)?;
    for file in files {
        let Some(playbook) = keep(yaml::text(&file, BYTES_MAX).and_then(|text| parse(&file, &text))) else { continue };
        if let Some(other) = own.get(&playbook.name) {
            let text = format!("playbook {} is in {} already", playbook.name, other.display());
            keep(Err(Problems(vec![Problem::whole(&file, text)])));
            continue;
        }
        own.insert(playbook.name.clone(), file);
        match playbooks.iter_mut().find(|other| other.name == playbook.name) {
            Some(replaced) => *replaced = playbook,
            None => playbooks.push(playbook),
        }
    }
    if problems.is_empty() { Ok(playbooks) } else { Err(Problems(problems)) }
}

/// The playbooks' files of a folder, sorted by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Problems> {
    let fail = |text: String| Problems(vec![Problem::whole(folder, text)]);
    let unreadable = |error: std::io::Error| fail(format!("cannot be read: {error}"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if !yaml || hidden || path.is_dir() {
            continue;
        }
        if files.len() == FILES_MAX {
            return Err(fail(format!("holds more than {FILES_MAX} playbooks")));
        }
        files.push(path);
    }
    files.sort();
    Ok(files)
}
