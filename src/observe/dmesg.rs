//! What a kernel's log says of processes that were killed for want of memory.
//!
//! Talos tells a message a line, `FACILITY: PRIORITY: [TIME]: MESSAGE`. Two hands kill: the kernel (`Out of memory: Killed
//! process 2735 (kube-apiserver) total-vm:…, anon-rss:…`, or the same of a memory cgroup), and from Talos 1.12 Talos's own
//! out-of-memory controller, which logs the victims of a cgroup. Any other line is passed over, whatever it holds. Left
//! out: how often is too often, which is the engine's to judge.

use std::time::{Duration, UNIX_EPOCH};

use defib_engine::observation::{KernelLog, OomKill};

/// A line of interest holds one of these.
pub const SAID: [&str; 2] = [KERNEL, TALOS];
/// The kernel's words before the victim.
const KERNEL: &str = "Killed process ";
/// The words of Talos's controller before its victims.
const TALOS: &str = "victim processes:";
/// So many kills are kept, the newest.
const KILLS_MAX: usize = 64;
/// The kernel itself keeps 15 bytes of a process's name.
const NAME_MAX: usize = 64;

/// The kills that these lines name, the oldest first. Ages count from `now_unix_ms`, milliseconds since 1970; what the
/// machine's clock puts into our future is of age 0.
#[must_use]
pub fn kills(lines: &[String], now_unix_ms: i64) -> KernelLog {
    let mut kills: Vec<OomKill> = lines.iter().filter_map(|line| kill(line, now_unix_ms)).collect();
    kills.drain(..kills.len().saturating_sub(KILLS_MAX));
    KernelLog { oom_kills: kills }
}

fn kill(line: &str, now_unix_ms: i64) -> Option<OomKill> {
    let (head, message) = line.split_once("]: ")?;
    let (_, time) = head.rsplit_once('[')?;
    let at = humantime::parse_rfc3339_weak(time).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let at_ms = i64::try_from(at.as_millis()).ok()?;
    let ago = Duration::from_millis(u64::try_from(now_unix_ms.saturating_sub(at_ms)).unwrap_or(0));
    let (process, rss_bytes) = match message.split_once(KERNEL) {
        Some((before, told)) if before.contains("ut of memory") => {
            let (process, figures) = told.split_once('(')?.1.split_once(')')?;
            let rss = figures.split_once("anon-rss:").and_then(|(_, rss)| rss.split_once("kB")?.0.parse::<u64>().ok());
            (process, rss.unwrap_or(0).saturating_mul(1_024))
        }
        // Its list is not made to be read by machines; the one name that matters stands in it or does not.
        _ if message.contains(TALOS) && message.contains("kube-apiserver") => ("kube-apiserver", 0),
        _ => return None,
    };
    Some(OomKill { process: process.chars().take(NAME_MAX).collect(), rss_bytes, ago })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-02-17T10:00:00Z.
    const NOW: i64 = 1_771_322_400_000;

    fn read(lines: &[&str]) -> Vec<(String, u64, u64)> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        kills(&lines, NOW)
            .oom_kills
            .into_iter()
            .map(|kill| (kill.process, kill.rss_bytes, kill.ago.as_secs()))
            .collect()
    }

    #[test]
    fn the_kernels_own_words_are_read_in_their_forms() {
        let told = read(&[
            "kern: warning: [2026-02-17T09:59:00.25Z]: Out of memory: Killed process 2735 (kube-apiserver) total-vm:3112352kB, anon-rss:1505564kB, file-rss:0kB, shmem-rss:0kB, UID:65534 pgtables:4000kB oom_score_adj:827",
            "kern: err: [2026-02-17T09:59:30Z]: Memory cgroup out of memory: Killed process 7 (etcd) total-vm:1kB, anon-rss:2kB",
            "kern: err: [2026-02-17T09:59:40Z]: Out of memory: Killed process 9 (kube-apiserver)",
        ]);
        let server = "kube-apiserver".to_owned();
        assert_eq!(told, [(server.clone(), 1_541_697_536, 59), ("etcd".to_owned(), 2_048, 30), (server, 0, 20)]);
    }

    #[test]
    fn talos_kills_too_and_what_is_no_kill_is_none() {
        let told = read(&[
            "user: warning: [2026-02-17T09:59:55Z]: [talos] Sending SIGKILL to cgroup victim processes: [kube-apiserver]",
            "user: warning: [2026-02-17T09:59:55Z]: [talos] victim processes: [coredns]",
            "kern: warning: [2026-02-17T09:59:55Z]: kube-apiserver invoked oom-killer: gfp_mask=0x100",
            "kern: info: [2026-02-17T09:59:55Z]: someone wrote: Killed process 1 (kube-apiserver)",
            "kern: info: [yesterday]: Out of memory: Killed process 1 (kube-apiserver)",
            "Out of memory: Killed process 1 (kube-apiserver)",
            "",
        ]);
        assert_eq!(told, [("kube-apiserver".to_owned(), 0, 5)]);
    }

    #[test]
    fn a_clock_that_is_ahead_makes_no_age_and_a_long_log_is_bounded() {
        let line = "kern: err: [2026-02-17T11:00:00Z]: Out of memory: Killed process 9 (kube-apiserver)";
        assert_eq!(read(&[line]), [("kube-apiserver".to_owned(), 0, 0)]);
        assert_eq!(read(&[line; 1_000]).len(), KILLS_MAX);
        for end in 0..line.len() {
            let _ = read(&[&line[..end]]);
        }
    }
}
