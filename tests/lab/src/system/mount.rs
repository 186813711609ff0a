//! Mounts below a folder, found in the kernel's own list, so that none is forgotten whoever made it.

use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};

/// Why mounts remain.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The kernel's list could not be read.
    #[error("cannot read /proc/self/mountinfo")]
    List(#[source] std::io::Error),
    /// The kernel refused.
    #[error("cannot unmount {}", path.display())]
    Unmount {
        /// Where it is mounted.
        path: PathBuf,
        /// The kernel's reason.
        source: nix::errno::Errno,
    },
}

/// Takes away every mount at or below `folder`, the last made first. Detaching is enough: whoever used them is dead.
pub(crate) fn unmount_below(folder: &Path) -> Result<(), MountError> {
    let list = std::fs::read_to_string("/proc/self/mountinfo").map_err(MountError::List)?;
    let points: Vec<PathBuf> = list.lines().filter_map(mount_point).filter(|point| point.starts_with(folder)).collect();
    for point in points.iter().rev() {
        match umount2(point, MntFlags::MNT_DETACH) {
            // A mount that propagated goes with its origin.
            Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => {}
            Err(source) => return Err(MountError::Unmount { path: point.clone(), source }),
        }
    }
    Ok(())
}

/// The fifth field of a line; the kernel writes blanks in it as octal.
fn mount_point(line: &str) -> Option<PathBuf> {
    let field = line.split(' ').nth(4)?;
    let text = field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\");
    Some(PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_is_the_fifth_field_with_its_blanks_restored() {
        let line = "36 35 0:31 / /run/a\\040b rw,relatime shared:1 - tmpfs tmpfs rw";
        assert_eq!(mount_point(line), Some(PathBuf::from("/run/a b")));
        assert_eq!(mount_point("short line"), None);
    }
}
