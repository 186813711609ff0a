//! A file that is whole at any time, and readable by its owner alone: written beside, then put in its place.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{BYTES_MAX, KubeconfigError};

/// How every file of ours begins.
pub(super) const MARK: &str = "# Written by defib";

/// Makes the file hold this text. Where it does already, nothing is written.
pub(super) fn keep(file: &Path, text: &str) -> Result<(), KubeconfigError> {
    match standing(file)? {
        Some(standing) if standing == text.as_bytes() => return Ok(()),
        Some(standing) if !standing.starts_with(MARK.as_bytes()) => {
            return Err(KubeconfigError::Foreign(file.to_owned()));
        }
        _ => {}
    }
    let beside = beside(file);
    let wrote = write(&beside, text).and_then(|()| std::fs::rename(&beside, file));
    if let Err(source) = wrote {
        // Whatever is left of it is replaced by the next attempt.
        let _ = std::fs::remove_file(&beside);
        return Err(KubeconfigError::Write { file: file.to_owned(), source });
    }
    // The name is durable once its folder is; a file system that cannot sync a folder has written the file all the same.
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// What stands there; none where nothing does.
fn standing(file: &Path) -> Result<Option<Vec<u8>>, KubeconfigError> {
    let mut bytes = Vec::new();
    match File::open(file).and_then(|open| open.take(BYTES_MAX * 2).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KubeconfigError::Read { file: file.to_owned(), source }),
    }
}

fn write(beside: &Path, text: &str) -> std::io::Result<()> {
    match std::fs::remove_file(beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    open.write_all(text.as_bytes())?;
    open.sync_all()
}

/// `.NAME.new` in the same folder, so that it can be put in place at once.
fn beside(file: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(".new");
    file.with_file_name(name)
}
