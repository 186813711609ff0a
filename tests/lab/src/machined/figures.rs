//! The figures of a node, as far as one machine can give each of three nodes its own.
//!
//! From the node's cgroup: memory, processor time, throttled time (told as steal: it is what a starved guest sees of its
//! host), its processes. From the whole machine, and so the same on every node: load and disks, which the kernel does not
//! count by cgroup. The clock is the machine's, put forward or back by the fault `clock`; the node's start is machined's.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use tonic::Status;

use super::wire;
use crate::layout::{Layout, Node, cgroup};
use crate::system::cgroup::Cgroups;
use crate::system::process;

/// The kernel's unit of processor time in /proc and in v1 cgroups, 100 a second on every Linux for people.
const TICKS_PER_S: f64 = 100.0;

/// Reads the figures of one node.
#[derive(Clone)]
pub(super) struct Figures {
    cgroups: Cgroups,
    name: String,
    clock: PathBuf,
    booted: SystemTime,
}

impl Figures {
    pub(super) fn new(layout: &Layout, node: Node, cgroups: Cgroups) -> Self {
        Self { cgroups, name: cgroup(node, None), clock: layout.clock_offset(node), booted: SystemTime::now() }
    }

    /// Of the cgroup's limit; of the whole machine where it has none.
    pub(super) fn memory(&self) -> Result<wire::MemInfo, Status> {
        let meminfo = text("/proc/meminfo")?;
        let of_machine = |key: &str| field(&meminfo, key).ok_or_else(|| Status::internal(format!("no {key}")));
        let (total, available, free) =
            (of_machine("MemTotal:")?, of_machine("MemAvailable:")?, of_machine("MemFree:")?);
        let [limit, used, cache] = match &self.cgroups {
            Cgroups::V1(_) => ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"],
            Cgroups::V2(_) => ["memory.max", "memory.current", "inactive_file"],
        };
        let own = |file: &str| self.of_cgroup("memory", file).and_then(|text| text.trim().parse::<u64>().ok());
        // "max", and v1's number beyond all machines, are no limits.
        let Some(limit) = own(limit).map(|bytes| bytes / 1024).filter(|limit| *limit < total) else {
            return Ok(wire::MemInfo { memtotal: total, memfree: free, memavailable: available });
        };
        let cache = self.of_cgroup("memory", "memory.stat").and_then(|stat| field(&stat, cache)).unwrap_or(0);
        let used = own(used).unwrap_or(0);
        let left = |used: u64| limit.saturating_sub(used / 1024);
        let memavailable = left(used.saturating_sub(cache)).min(available);
        Ok(wire::MemInfo { memtotal: limit, memfree: left(used), memavailable })
    }

    /// The node's own time; what nobody used counts as idle.
    pub(super) fn stat(&self) -> Result<wire::SystemStat, Status> {
        let missing = || Status::internal(format!("cgroup {} tells no processor time", self.name));
        #[expect(clippy::cast_precision_loss, reason = "2^53 ticks are three million years")]
        let scaled = |stat: &str, key: &str, per_s: f64| field(stat, key).map(|count| count as f64 / per_s);
        let cpu = self.of_cgroup("cpu", "cpu.stat").ok_or_else(missing)?;
        let (user, system, steal) = match &self.cgroups {
            Cgroups::V1(_) => {
                let own = self.of_cgroup("cpuacct", "cpuacct.stat").ok_or_else(missing)?;
                let used = |key| scaled(&own, key, TICKS_PER_S);
                (used("user"), used("system"), scaled(&cpu, "throttled_time", 1e9))
            }
            Cgroups::V2(_) => {
                let used = |key| scaled(&cpu, key, 1e6);
                (used("user_usec"), used("system_usec"), used("throttled_usec"))
            }
        };
        let (user, system) = (user.ok_or_else(missing)?, system.ok_or_else(missing)?);
        // A cgroup without a quota tells no throttling.
        let steal = steal.unwrap_or(0.0);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        #[expect(clippy::cast_precision_loss, reason = "no machine has so many processors")]
        let lived = self.booted.elapsed().unwrap_or_default().as_secs_f64() * processors as f64;
        let idle = (lived - user - system - steal).max(0.0);
        let since = self.booted.duration_since(UNIX_EPOCH).unwrap_or_default();
        let states: Vec<char> = self.cgroups.processes(&self.name).into_iter().filter_map(process::state).collect();
        let count = |wanted: char| states.iter().filter(|state| **state == wanted).count() as u64;
        Ok(wire::SystemStat {
            metadata: None,
            boot_time: since.as_secs(),
            cpu_total: Some(wire::CpuStat { user, system, idle, steal, ..wire::CpuStat::default() }),
            process_running: count('R'),
            process_blocked: count('D'),
        })
    }

    /// The whole machine's: one, five, fifteen minutes.
    pub(super) fn load() -> Result<[f64; 3], Status> {
        let text = text("/proc/loadavg")?;
        let mut words = text.split_whitespace().map(|word| word.parse().unwrap_or(0.0));
        Ok([(); 3].map(|()| words.next().unwrap_or(0.0)))
    }

    /// The whole machine's disks, and their sum.
    pub(super) fn disks() -> Result<(wire::DiskStat, Vec<wire::DiskStat>), Status> {
        let disks: Vec<_> = text("/proc/diskstats")?.lines().filter_map(disk).collect();
        let sum = disks.iter().fold(wire::DiskStat::default(), |sum, disk| wire::DiskStat {
            name: String::new(),
            write_completed: sum.write_completed + disk.write_completed,
            write_time_ms: sum.write_time_ms + disk.write_time_ms,
            io_in_progress: sum.io_in_progress + disk.io_in_progress,
            io_time_ms: sum.io_time_ms + disk.io_time_ms,
        });
        Ok((sum, disks))
    }

    /// A node of the lab has no disk of its own: one that is half full is made up, as what a Talos machine has at `/var`.
    /// How full the machine beneath is says nothing of a node, and would be found in all of them at once.
    pub(super) fn mount() -> wire::MountStat {
        const SIZE: u64 = 32 << 30;
        wire::MountStat {
            filesystem: "/dev/lab".to_owned(),
            size: SIZE,
            available: SIZE / 2,
            mounted_on: "/var".to_owned(),
        }
    }

    /// The node's clock and, as if from a time server, the true one; in ms since 1970.
    pub(super) fn clock(&self) -> (u64, u64) {
        let true_ms = super::calls::now_ms();
        let offset: i64 = fs::read_to_string(&self.clock).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        (true_ms.saturating_add_signed(offset), true_ms)
    }

    fn of_cgroup(&self, controller: &str, file: &str) -> Option<String> {
        fs::read_to_string(self.cgroups.folder(controller, &self.name)?.join(file)).ok()
    }
}

fn text(path: &str) -> Result<String, Status> {
    fs::read_to_string(path).map_err(|e| Status::internal(format!("{path}: {e}")))
}

/// The number after a word at the beginning of a line.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix([' ', '\t'])?.split_whitespace().next()?.parse().ok())
}

/// A line of /proc/diskstats: two numbers and a name, then the counters, of which the first are the reads'.
fn disk(line: &str) -> Option<wire::DiskStat> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| words.get(at)?.parse().ok();
    Some(wire::DiskStat {
        name: (*words.get(2)?).to_owned(),
        write_completed: number(7)?,
        write_time_ms: number(10)?,
        io_in_progress: number(11)?,
        io_time_ms: number(12)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        assert_eq!(field("MemTotal:       24 kB\nMemFree: 7 kB\n", "MemFree:"), Some(7));
        assert_eq!(field("user 12\nuser_x 13\n", "user_x"), Some(13));
        assert_eq!(field("users 12\n", "user"), None);
        let line = " 254       0 vda 100 1 200 50 300 2 400 60 5 70 110 0 0 0 0 0 0";
        let expected = wire::DiskStat {
            name: "vda".to_owned(),
            write_completed: 300,
            write_time_ms: 60,
            io_in_progress: 5,
            io_time_ms: 70,
        };
        assert_eq!(disk(line), Some(expected));
        assert_eq!(disk("254 0 vda 1"), None);
    }
}
