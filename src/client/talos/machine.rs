//! The figures of one machine: memory, processor, load, disks, clock; asked side by side within one deadline.
//!
//! Memory, processor and load are what every Talos has; without them there is no answer. Disks, filesystems, clock and
//! watchdog are left empty where the machine says no. Talos asks its own time server before it tells the time, and answers late or not at all
//! where that is silent: so the clock has a part of the deadline only.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use defib_engine::observation::{CpuTimes, Disk, Filesystem, TalosMachine};
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use super::wire::state::GetRequest;
use super::wire::state::state_client::StateClient;
use super::wire::time::time_service_client::TimeServiceClient;
use super::{MESSAGE_BYTES_MAX, Talos, Trouble, detail, machine, only, wire};

/// So many disks of one machine are kept.
const DISKS_MAX: usize = 64;

/// These are no disks: they are files and memory that look like some.
const NOT_DISKS: [&str; 2] = ["loop", "ram"];

/// So many filesystems of one machine are kept.
const FILESYSTEMS_MAX: usize = 16;

/// Below this lie the volumes of pods, which may be as full as they like, and many bind mounts.
const OF_PODS: &str = "/var/lib/kubelet/";

/// The machine's clock as it was told, and what our own said meanwhile.
struct Clock {
    told: Response<wire::time::TimeResponse>,
    /// Our wall clock at the middle of the exchange, in ms since 1970.
    middle_unix_ms: i64,
    /// Half of the exchange.
    uncertainty_ms: u64,
}

impl Talos {
    /// What the machine's counters say at this moment.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn machine(&self, deadline: Duration) -> Result<TalosMachine, Trouble> {
        let for_clock = deadline * 2 / 3;
        let ask = |channel: Channel| async move {
            let clients = || machine(channel.clone());
            let (mut one, mut two, mut three, mut four, mut five) =
                (clients(), clients(), clients(), clients(), clients());
            let (memory, stat, load, disks, mounts, watchdog, clock) = tokio::join!(
                one.memory(wire::Empty {}),
                two.system_stat(wire::Empty {}),
                three.load_avg(wire::Empty {}),
                four.disk_stats(wire::Empty {}),
                five.mounts(wire::Empty {}),
                watchdog(channel.clone()),
                timeout(for_clock, clock(channel.clone())),
            );
            let clock = clock.ok().map(said_no).transpose()?.flatten();
            let (disks, mounts) = (said_no(disks)?, said_no(mounts)?);
            let load = load?.into_inner();
            Ok((memory?.into_inner(), stat?.into_inner(), load, disks, mounts, watchdog, clock))
        };
        let (memory, stat, load, disks, mounts, watchdog, clock) =
            self.held.ask(|until| self.credential.client_config(until), deadline, ask).await?;
        let memory = only(memory.messages, |memory| memory.metadata.as_ref())?.meminfo.unwrap_or_default();
        let stat = only(stat.messages, |stat| stat.metadata.as_ref())?;
        let load = only(load.messages, |load| load.metadata.as_ref())?;
        let disks = disks.map(|disks| only(disks.into_inner().messages, |disks| disks.metadata.as_ref()));
        let mounts = mounts.map(|mounts| only(mounts.into_inner().messages, |mounts| mounts.metadata.as_ref()));
        let clock = clock.and_then(offset);
        Ok(TalosMachine {
            memory_total_bytes: memory.memtotal.saturating_mul(1024),
            memory_available_bytes: memory.memavailable.saturating_mul(1024),
            boot_time_s: stat.boot_time,
            cpu: cpu(&stat.cpu_total.unwrap_or_default()),
            load1: load.load1,
            load5: load.load5,
            load15: load.load15,
            processes_running: stat.process_running,
            processes_blocked: stat.process_blocked,
            disks: disks.and_then(Result::ok).map_or_else(Vec::new, |disks| kept(disks.devices)),
            filesystems: mounts.and_then(Result::ok).map_or_else(Vec::new, |mounts| filesystems(mounts.stats)),
            watchdog,
            clock_offset_ms: clock.map(|(offset_ms, _)| offset_ms),
            clock_uncertainty_ms: clock.map_or(0, |(_, uncertainty_ms)| uncertainty_ms),
        })
    }
}

/// Whether Talos feeds a watchdog: there is a resource for the one that it feeds. None where that is not told.
async fn watchdog(channel: Channel) -> Option<bool> {
    let mut client = StateClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let request = GetRequest {
        namespace: "runtime".to_owned(),
        r#type: "WatchdogTimerStatuses.runtime.talos.dev".to_owned(),
        id: "timer".to_owned(),
    };
    match client.get(request).await {
        Ok(_) => Some(true),
        Err(status) if status.code() == Code::NotFound => Some(false),
        Err(_) => None,
    }
}

/// Asks for the time. Our wall clock is read once, after it: a step of it in between would look like the machine's.
async fn clock(channel: Channel) -> Result<Clock, Status> {
    let mut client = TimeServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let sent = Instant::now();
    let told = client.time(wire::Empty {}).await?;
    let half = sent.elapsed() / 2;
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let middle = i64::try_from(ms(after.saturating_sub(half))).unwrap_or(i64::MAX);
    // Rounded up: the milliseconds that we compare are whole ones.
    Ok(Clock { told, middle_unix_ms: middle, uncertainty_ms: ms(half).saturating_add(1) })
}

/// The machine's clock minus ours, and by how much that may be wrong, in ms: it was read at some moment of the exchange.
fn offset(clock: Clock) -> Option<(i64, u64)> {
    let time = only(clock.told.into_inner().messages, |time| time.metadata.as_ref()).ok()?;
    let local = time.localtime?;
    let local_ms = local.seconds.checked_mul(1_000)?.checked_add(i64::from(local.nanos) / 1_000_000)?;
    Some((local_ms.checked_sub(clock.middle_unix_ms)?, clock.uncertainty_ms))
}

/// None where the machine itself said no; a connection in trouble stays an error.
fn said_no<T>(answer: Result<T, Status>) -> Result<Option<T>, Status> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(status) if std::error::Error::source(&status).is_some() => Err(status),
        Err(_) => Ok(None),
    }
}

fn cpu(times: &wire::CpuStat) -> CpuTimes {
    CpuTimes {
        user_s: times.user,
        nice_s: times.nice,
        system_s: times.system,
        idle_s: times.idle,
        iowait_s: times.iowait,
        irq_s: times.irq,
        softirq_s: times.soft_irq,
        steal_s: times.steal,
    }
}

fn kept(devices: Vec<wire::DiskStat>) -> Vec<Disk> {
    let is_disk = |disk: &wire::DiskStat| !NOT_DISKS.iter().any(|name| disk.name.starts_with(name));
    let disk = |disk: wire::DiskStat| Disk {
        name: detail(&disk.name),
        write_completed: disk.write_completed,
        write_time_ms: disk.write_time_ms,
        io_in_progress: disk.io_in_progress,
        io_time_ms: disk.io_time_ms,
    };
    devices.into_iter().filter(is_disk).take(DISKS_MAX).map(disk).collect()
}

/// The filesystems on the machine's own disks, each once. Talos's own image is a file that is always full, and what is in
/// memory is no disk.
fn filesystems(mounts: Vec<wire::MountStat>) -> Vec<Filesystem> {
    let mut kept: Vec<(String, Filesystem)> = Vec::new();
    for mount in mounts {
        let disk = mount.filesystem.strip_prefix("/dev/").is_some_and(|name| !name.starts_with("loop"));
        let known = kept.iter().any(|(device, _)| *device == mount.filesystem);
        if !disk || known || mount.size == 0 || mount.mounted_on.starts_with(OF_PODS) || kept.len() >= FILESYSTEMS_MAX {
            continue;
        }
        let own = Filesystem {
            mounted_on: detail(&mount.mounted_on),
            size_bytes: mount.size,
            available_bytes: mount.available,
        };
        kept.push((mount.filesystem, own));
    }
    kept.into_iter().map(|(_, filesystem)| filesystem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(seconds: i64, nanos: i32) -> Clock {
        let localtime = Some(wire::Timestamp { seconds, nanos });
        let messages = vec![wire::time::Time { localtime, ..wire::time::Time::default() }];
        let told = Response::new(wire::time::TimeResponse { messages });
        Clock { told, middle_unix_ms: 1_000_000, uncertainty_ms: 6 }
    }

    #[test]
    fn the_offset_counts_from_the_middle_of_the_exchange() {
        assert_eq!(offset(told(1_000, 0)), Some((0, 6)));
        assert_eq!(offset(told(998, 500_000_000)), Some((-1_500, 6)));
        assert_eq!(offset(told(i64::MAX, 0)), None);
        let mut failed = told(1_000, 0);
        failed.told.get_mut().messages[0].metadata =
            Some(wire::Metadata { error: "time query error".to_owned(), ..wire::Metadata::default() });
        assert_eq!(offset(failed), None);
    }

    #[test]
    fn of_all_mounts_the_machines_own_disks_are_kept_once_each() {
        let mount = |filesystem: &str, mounted_on: &str, size| wire::MountStat {
            filesystem: filesystem.to_owned(),
            size,
            available: 7,
            mounted_on: mounted_on.to_owned(),
        };
        let told = [
            mount("/dev/loop0", "/", 50),
            mount("tmpfs", "/run", 50),
            mount("/dev/sda5", "/system/state", 90),
            mount("/dev/sda6", "/var", 100),
            mount("/dev/sda6", "/opt", 100),
            mount("/dev/rbd0", "/var/lib/kubelet/pods/x/volumes/y", 100),
            mount("/dev/sr0", "/mnt", 0),
        ];
        let kept = filesystems(told.to_vec());
        let expected = |mounted_on: &str, size_bytes| Filesystem {
            mounted_on: mounted_on.to_owned(),
            size_bytes,
            available_bytes: 7,
        };
        assert_eq!(kept, [expected("/system/state", 90), expected("/var", 100)]);
        let many = (0..1_000).map(|at| mount(&format!("/dev/sd{at}"), "/x", 1)).collect();
        assert_eq!(filesystems(many).len(), FILESYSTEMS_MAX);
    }

    #[test]
    fn what_looks_like_a_disk_is_none_and_disks_are_bounded() {
        let disk = |name: String| wire::DiskStat { name, ..wire::DiskStat::default() };
        let names = kept(["sda", "loop0", "ram3", "dm-0"].map(|name| disk(name.to_owned())).to_vec());
        assert_eq!(names.iter().map(|disk| disk.name.as_str()).collect::<Vec<_>>(), ["sda", "dm-0"]);
        assert_eq!(kept((0..1_000).map(|at| disk(format!("sd{at}"))).collect()).len(), DISKS_MAX);
    }
}
