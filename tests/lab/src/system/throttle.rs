//! Less of the processor, and a slower disk, for the processes of one cgroup; v1 and v2.
//!
//! What the kernel holds back is real: a throttled etcd waits for its fsync as one on a bad disk does. Left out: reads,
//! and bytes a second.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::cgroup::{CgroupError, Cgroups, write};

/// Over how long a quota counts.
const PERIOD_US: u32 = 100_000;

/// Why a disk cannot be slowed down.
#[derive(Debug, thiserror::Error)]
pub enum ThrottleError {
    /// The cgroup did not obey.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Nothing is written to a disk there.
    #[error("{} lies on no disk of its own (in memory, or over a network), which cannot be slowed down", .0.display())]
    NoDisk(PathBuf),
}

/// Gives a cgroup this part of one processor, in percent; none: as much as it wants.
pub(crate) fn processor(cgroups: &Cgroups, name: &str, percent: Option<u32>) -> Result<(), CgroupError> {
    let Some(folder) = cgroups.folder("cpu", name) else { return Ok(()) };
    let quota_us = percent.map(|percent| PERIOD_US / 100 * percent);
    let quota = |none: &str| quota_us.map_or_else(|| none.to_owned(), |quota| quota.to_string());
    match cgroups {
        Cgroups::V1(_) => write(&folder.join("cpu.cfs_quota_us"), &quota("-1")),
        Cgroups::V2(_) => write(&folder.join("cpu.max"), &format!("{} {PERIOD_US}", quota("max"))),
    }
}

/// Whether a cgroup has less than it wants.
pub(crate) fn has_quota(cgroups: &Cgroups, name: &str) -> bool {
    let Some(folder) = cgroups.folder("cpu", name) else { return false };
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
    match cgroups {
        Cgroups::V1(_) => read("cpu.cfs_quota_us").trim().parse::<i64>().is_ok_and(|quota| quota > 0),
        Cgroups::V2(_) => read("cpu.max").starts_with(|first: char| first.is_ascii_digit()),
    }
}

/// Lets a cgroup write so often a second to the disk on which `place` lies; none: as often as it wants.
pub(crate) fn writes(cgroups: &Cgroups, name: &str, place: &Path, per_s: Option<u32>) -> Result<(), ThrottleError> {
    let Some(folder) = cgroups.folder(controller(cgroups), name) else { return Ok(()) };
    let disk = disk(place)?;
    let (file, line) = match (cgroups, per_s) {
        (Cgroups::V1(_), per_s) => ("blkio.throttle.write_iops_device", format!("{disk} {}", per_s.unwrap_or(0))),
        (Cgroups::V2(_), Some(per_s)) => ("io.max", format!("{disk} wiops={per_s}")),
        (Cgroups::V2(_), None) => ("io.max", format!("{disk} wiops=max")),
    };
    Ok(write(&folder.join(file), &line)?)
}

/// Whether a cgroup's writes are held back.
pub(crate) fn has_slow_writes(cgroups: &Cgroups, name: &str) -> bool {
    let Some(folder) = cgroups.folder(controller(cgroups), name) else { return false };
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
    match cgroups {
        Cgroups::V1(_) => !read("blkio.throttle.write_iops_device").trim().is_empty(),
        Cgroups::V2(_) => {
            read("io.max").split_whitespace().any(|word| word.starts_with("wiops=") && word != "wiops=max")
        }
    }
}

fn controller(cgroups: &Cgroups) -> &'static str {
    match cgroups {
        Cgroups::V1(_) => "blkio",
        Cgroups::V2(_) => "io",
    }
}

/// The whole disk below `place`, as `MAJOR:MINOR`: the kernel does not throttle a part of one.
fn disk(place: &Path) -> Result<String, ThrottleError> {
    let none = || ThrottleError::NoDisk(place.to_owned());
    let device = fs::metadata(place).map_err(|_| none())?.dev();
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let told = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).map_err(|_| none())?;
    if !told.join("partition").exists() {
        return Ok(format!("{major}:{minor}"));
    }
    let whole = fs::read_to_string(told.join("../dev")).map_err(|_| none())?;
    Ok(whole.trim().to_owned())
}
