//! The kernel's log in Talos's words: `FACILITY: PRIORITY: [TIME]: MESSAGE`, a record a line.
//!
//! It is the whole machine's, and so the same on every node: a kernel keeps one log for all namespaces. Read from
//! `/dev/kmsg`, whose records are `PRIORITY,NUMBER,MICROSECONDS,FLAGS;MESSAGE`, each by one read; when there is no more, the
//! read would block.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, SystemTime};

use nix::fcntl::OFlag;

/// The kernel's own bound for a record, with its continuation lines.
const RECORD_BYTES: usize = 8 * 1024;
/// So many records are read at most; a ring holds fewer.
const RECORDS_MAX: usize = 100_000;

/// Every record that the kernel still keeps, the oldest first.
pub(super) fn lines() -> std::io::Result<Vec<String>> {
    let mut log = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open("/dev/kmsg")?;
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let up_s: f64 = uptime.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    let booted = SystemTime::now() - Duration::try_from_secs_f64(up_s).unwrap_or_default();
    let (mut lines, mut record) = (Vec::new(), vec![0; RECORD_BYTES]);
    while lines.len() < RECORDS_MAX {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => lines.extend(line(&String::from_utf8_lossy(&record[..length]), booted)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // The ring went on while it was read: the next read is at its new beginning.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) => return Err(error),
        }
    }
    Ok(lines)
}

fn line(record: &str, booted: SystemTime) -> Option<String> {
    let (head, message) = record.split_once(';')?;
    let mut fields = head.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let micros: u64 = fields.nth(1)?.parse().ok()?;
    let facility = if priority >> 3 == 0 { "kern" } else { "user" };
    let words = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
    let word = words.get(usize::try_from(priority & 7).ok()?)?;
    let time = humantime::format_rfc3339_micros(booted + Duration::from_micros(micros));
    Some(format!("{facility}: {word:>7}: [{time}]: {}", message.lines().next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_told_as_talos_tells_it() {
        let booted = SystemTime::UNIX_EPOCH + Duration::from_secs(1_771_322_400);
        let told = line("4,976,9513427169,-;br0: port 1(ops) entered\n SUBSYSTEM=net\n", booted);
        assert_eq!(told.as_deref(), Some("kern: warning: [2026-02-17T12:38:33.427169Z]: br0: port 1(ops) entered"));
        assert_eq!(line("4,976", booted), None);
        assert_eq!(line("x,976,1,-;text", booted), None);
    }
}
