//! What the kernel says of a process: memory and processor time.

use std::time::Duration;

use crate::trouble::Trouble;

/// The kernel's clock ticks a second in /proc/PID/stat; 100 on every Linux that Rust runs on.
const TICKS_A_SECOND: u64 = 100;

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident, pages that others share included.
    pub(crate) resident_kib: u64,
    /// Resident, shared pages counted in part.
    pub(crate) proportional_kib: u64,
    /// Resident and in no file: heap and stacks.
    pub(crate) anonymous_kib: u64,
}

/// The memory of a process.
pub(crate) fn memory(pid: u32) -> Result<Memory, Trouble> {
    let rollup = read(&format!("/proc/{pid}/smaps_rollup"))?;
    Ok(Memory {
        resident_kib: field(&rollup, "Rss:"),
        proportional_kib: field(&rollup, "Pss:"),
        anonymous_kib: field(&rollup, "Anonymous:"),
    })
}

/// User and system time of a process so far, exact to 10 ms.
pub(crate) fn processor_time(pid: u32) -> Result<Duration, Trouble> {
    let stat = read(&format!("/proc/{pid}/stat"))?;
    // The name may hold spaces and brackets; the last bracket ends it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 1_000 / TICKS_A_SECOND))
}

/// The threads of a process.
pub(crate) fn threads(pid: u32) -> Result<u64, Trouble> {
    Ok(field(&read(&format!("/proc/{pid}/status"))?, "Threads:"))
}

/// The processor's name, the number of processors, memory, kernel: what figures of this machine are worth.
pub(crate) fn machine() -> Result<String, Trouble> {
    let cpu = read("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, name)| name.trim()).to_owned();
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let gib = field(&read("/proc/meminfo")?, "MemTotal:") / 1024 / 1024;
    let kernel = read("/proc/sys/kernel/osrelease")?;
    Ok(format!("{model}, {processors} processors, {gib} GiB, Linux {}", kernel.trim()))
}

/// The machine's load over the last minute.
pub(crate) fn load() -> Result<f64, Trouble> {
    Ok(read("/proc/loadavg")?.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN))
}

fn read(path: &str) -> Result<String, Trouble> {
    std::fs::read_to_string(path).map_err(Trouble::file(path))
}

/// The number behind a key in the kernel's tables.
fn field(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_process() {
        let pid = std::process::id();
        let own = memory(pid).expect("memory");
        assert!(own.resident_kib >= own.anonymous_kib && own.anonymous_kib > 0);
        assert!(threads(pid).expect("threads") > 0);
        let began = std::time::Instant::now();
        while processor_time(pid).expect("time") == Duration::ZERO && began.elapsed() < Duration::from_secs(10) {}
        assert!(processor_time(pid).expect("time") > Duration::ZERO);
    }
}
