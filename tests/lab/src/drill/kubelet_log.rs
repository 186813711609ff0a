//! How deep a node's API server is in crash-loop back-off, from what its kubelet logs while the drill runs.
//!
//! The kubelet says it at every attempt that it does not make: `back-off 2m40s restarting failed container=kube-apiserver
//! pod=…`. The log is followed from where it ended when the drill began, so that an older back-off does not count. Left
//! out: what remains of a back-off (the drill needs only its depth).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// The most bytes that one look reads; the rest waits for the next one.
const READ_BYTES_MAX: u64 = 1024 * 1024;
/// The most bytes of an unfinished line that are kept.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// A kubelet's log, followed.
pub(super) struct KubeletLog {
    path: PathBuf,
    offset: u64,
    unfinished: Vec<u8>,
    deepest_s: u64,
}

impl KubeletLog {
    /// Follows the log at `path` from its present end; a log that is not there is followed from its beginning.
    pub(super) fn from_end(path: PathBuf) -> Self {
        let offset = std::fs::metadata(&path).map_or(0, |data| data.len());
        Self { path, offset, unfinished: Vec::new(), deepest_s: 0 }
    }

    /// Reads on and gives the deepest back-off of the API server's container said so far, in seconds; 0: none.
    pub(super) fn deepest_s(&mut self) -> std::io::Result<u64> {
        let mut file = File::open(&self.path)?;
        if file.metadata()?.len() < self.offset {
            self.offset = 0;
            self.unfinished.clear();
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let read = file.take(READ_BYTES_MAX).read_to_end(&mut self.unfinished)?;
        self.offset += read as u64;
        let whole = self.unfinished.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.unfinished.drain(..whole).collect();
        self.unfinished.truncate(LINE_BYTES_MAX);
        for line in String::from_utf8_lossy(&lines).lines() {
            self.deepest_s = self.deepest_s.max(back_off_s(line).unwrap_or_default());
        }
        Ok(self.deepest_s)
    }
}

/// The back-off of a `kube-apiserver` container that a kubelet's log line tells, in whole seconds.
fn back_off_s(line: &str) -> Option<u64> {
    let (_, told) = line.split_once("back-off ")?;
    let (duration, rest) = told.split_once(" restarting failed container=")?;
    if !rest.starts_with("kube-apiserver ") {
        return None;
    }
    whole_seconds(duration)
}

/// Go's way to write a duration of whole seconds: `2m40s`, `10s`, `1h0m0s`.
fn whole_seconds(text: &str) -> Option<u64> {
    let mut seconds = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes()[digits] {
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        seconds += number.checked_mul(unit)?;
        rest = &rest[digits + 1..];
    }
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LINE: &str = r#"E1123 01:00:00.000000 12 pod_workers.go:1324] "Error syncing pod, skipping" err="failed to \"StartContainer\" for \"kube-apiserver\" with CrashLoopBackOff: \"back-off 2m40s restarting failed container=kube-apiserver pod=kube-apiserver-cp1_kube-system(8f)\"""#;

    #[test]
    fn reads_the_depth_from_a_line() {
        assert_eq!(back_off_s(LINE), Some(160));
        assert_eq!(back_off_s(&LINE.replace("2m40s", "10s")), Some(10));
        assert_eq!(back_off_s(&LINE.replace("2m40s", "5m0s")), Some(300));
        assert_eq!(back_off_s(&LINE.replace("container=kube-apiserver", "container=kube-controller-manager")), None);
        assert_eq!(back_off_s("back-off soon restarting failed container=kube-apiserver pod=x"), None);
        assert_eq!(back_off_s("nothing"), None);
    }

    #[test]
    fn follows_from_the_end_and_waits_for_whole_lines() {
        let path = std::env::temp_dir().join(format!("defib-lab-kubelet-log-{}", std::process::id()));
        let mut file = File::create(&path).expect("a file");
        writeln!(file, "{LINE}").expect("written");
        let mut log = KubeletLog::from_end(path.clone());
        assert_eq!(log.deepest_s().expect("read"), 0, "what was there before does not count");
        let (first, second) = LINE.split_at(150);
        write!(file, "{first}").expect("written");
        assert_eq!(log.deepest_s().expect("read"), 0, "not a whole line yet");
        writeln!(file, "{second}").expect("written");
        assert_eq!(log.deepest_s().expect("read"), 160);
        std::fs::remove_file(&path).expect("gone");
    }
}
