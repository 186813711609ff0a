//! Playbooks as people write them → playbooks as the engine knows them.
//!
//! A shipped playbook is embedded in the program; a file in the operator's folder adds one, or replaces the shipped one of
//! the same name. Every name in them is a rule, a check or an action that exists, every duration and count is within
//! reason, and all mistakes in all files are found at once. Left out: what any of it means (`engine`).

mod read;
mod schema;
mod set;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use defib_engine::finding::{Class, Layer};
use defib_engine::playbook::{ActionClass, Playbook};

use crate::yaml::{self, Place, Problem, Problems};

pub(crate) use read::{limit, too_short};
pub use read::{misfits, parse, set};
pub use schema::schema;

/// The shipped playbooks by name, in the order in which they are considered.
pub const SHIPPED: &[(&str, &str)] = &[
    ("start-kubelet", include_str!("../../playbooks/start-kubelet.yaml")),
    ("unwedge-kubelet", include_str!("../../playbooks/unwedge-kubelet.yaml")),
    ("restart-kubelet", include_str!("../../playbooks/restart-kubelet.yaml")),
    ("restart-apiserver", include_str!("../../playbooks/restart-apiserver.yaml")),
    ("release-vip", include_str!("../../playbooks/release-vip.yaml")),
    ("revive-vip", include_str!("../../playbooks/revive-vip.yaml")),
    ("prioritise-control-plane", include_str!("../../playbooks/prioritise-control-plane.yaml")),
    ("reclaim-space", include_str!("../../playbooks/reclaim-space.yaml")),
    ("move-leader", include_str!("../../playbooks/move-leader.yaml")),
    ("revive-vm", include_str!("../../playbooks/revive-vm.yaml")),
    ("resume-vm", include_str!("../../playbooks/resume-vm.yaml")),
    ("reboot-runtime", include_str!("../../playbooks/reboot-runtime.yaml")),
    ("reboot-wedged", include_str!("../../playbooks/reboot-wedged.yaml")),
    ("reset-frozen-vm", include_str!("../../playbooks/reset-frozen-vm.yaml")),
    ("reboot-hung-etcd", include_str!("../../playbooks/reboot-hung-etcd.yaml")),
    ("reboot-unrevived", include_str!("../../playbooks/reboot-unrevived.yaml")),
    ("replace-corrupt-member", include_str!("../../playbooks/replace-corrupt-member.yaml")),
    ("replace-removed-member", include_str!("../../playbooks/replace-removed-member.yaml")),
    ("quorum-lost", include_str!("../../playbooks/quorum-lost.yaml")),
];

/// The text of the shipped playbook with this name.
#[must_use]
pub fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text)
}

/// A folder may hold so many.
const FILES_MAX: usize = 64;
/// A file may be so large.
const BYTES_MAX: u64 = 256 * 1024;

/// One playbook with what it was read from.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// What it says.
    pub playbook: Playbook,
    /// Its file; a shipped one's is named `shipped/NAME.yaml`, and lies in the program.
    pub file: PathBuf,
    /// Where its `when` stands.
    finding: Place,
    /// Where its `otherwise` stands.
    otherwise: Place,
}

impl Sheet {
    /// It lies in the program.
    #[must_use]
    pub fn is_shipped(&self) -> bool {
        self.file.starts_with("shipped") && SHIPPED.iter().any(|(_, text)| *text == self.playbook.text)
    }
}

/// Loads the shipped playbooks (name, text) and those of the folder: the shipped ones in their order, each replaced where
/// the folder has one of its name; then the folder's others by file name; of all these the gentler class first, of one class those
/// that answer an outage, of these the lowest layer, and last what changes nothing. Files that end in `.yaml` or `.yml` and do not begin with a dot are read; folders in it are not.
///
/// # Errors
/// Everything that is wrong in every file, and between them: at most 64 files of 256 KiB each.
pub fn load(shipped: &[(&str, &str)], folder: Option<&Path>) -> Result<Vec<Playbook>, Problems> {
    let files = folder.map_or_else(|| Ok(Vec::new()), files)?;
    Ok(sheets(shipped, false, &files)?.into_iter().map(|sheet| sheet.playbook).collect())
}

/// The same with those of a recording in place of the shipped ones: they were in force, so a lint that is stricter today is
/// no reason not to play it.
///
/// # Errors
/// As [`load`].
pub fn load_recorded(recorded: &[(&str, &str)], folder: Option<&Path>) -> Result<Vec<Playbook>, Problems> {
    let files = folder.map_or_else(|| Ok(Vec::new()), files)?;
    Ok(sheets(recorded, true, &files)?.into_iter().map(|sheet| sheet.playbook).collect())
}

/// The same with what each was read from; a folder among `files` stands for the files in it.
///
/// # Errors
/// As [`load`].
pub fn load_sheets(shipped: &[(&str, &str)], places: &[&Path]) -> Result<Vec<Sheet>, Problems> {
    let mut all = Vec::new();
    for place in places {
        if place.is_dir() {
            all.extend(files(place)?);
        } else {
            all.push((*place).to_owned());
        }
    }
    sheets(shipped, false, &all)
}

fn sheets(shipped: &[(&str, &str)], recorded: bool, files: &[PathBuf]) -> Result<Vec<Sheet>, Problems> {
    let mut problems = Vec::new();
    let mut keep = |result: Result<Sheet, Problems>| result.map_err(|found| problems.extend(found.0)).ok();
    let mut sheets: Vec<Sheet> = Vec::new();
    for (name, text) in shipped {
        sheets.extend(keep(read::sheet(Path::new(&format!("shipped/{name}.yaml")), text, recorded)));
    }
    let mut own: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in files {
        let Some(sheet) = keep(yaml::text(file, BYTES_MAX).and_then(|text| read::sheet(file, &text, false))) else {
            continue;
        };
        let name = sheet.playbook.name.clone();
        if let Some(other) = own.get(&name) {
            let text = format!("playbook {name} is in {} already", other.display());
            keep(Err(Problems(vec![Problem::whole(file, text)])));
            continue;
        }
        own.insert(name.clone(), file.clone());
        match sheets.iter_mut().find(|other| other.playbook.name == name) {
            Some(replaced) => *replaced = sheet,
            None => sheets.push(sheet),
        }
    }
    // A playbook that could not be read may be the one that another one names.
    let whole = problems.is_empty();
    problems.extend(set::problems(&sheets, whole));
    sheets.sort_by_key(|sheet| order(&sheet.playbook));
    if problems.is_empty() { Ok(sheets) } else { Err(Problems(problems)) }
}

/// What comes first where several could run: the gentler deed, then what hurts service before what only may, then what lies
/// deeper, for what stands on it comes back with it. What only tells must not stand before what cures.
fn order(playbook: &Playbook) -> (bool, ActionClass, u8, Layer) {
    let finding = playbook.when.finding;
    let severity = match finding.class {
        Class::Outage => 0,
        Class::Risk => 1,
        Class::Advice => 2,
    };
    (playbook.only_tells(), playbook.class(), severity, finding.layer)
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
