//! What a hypervisor tells of a node from beneath: of the virtual machine that it is, and of the host that it stands on.
//!
//! Both are observations of the *node*: a host on which machines of several clusters stand is asked once, and what it says
//! is handed in for every node on it. So each cluster judges what it has seen, and none knows of another. Left out: other
//! guests, whose names are nobody's business here; what they were promised is in the host's sums.

/// One host beneath a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HypervisorHost {
    /// Its name, such as `pve1`; the same for every node on it.
    pub name: String,
    /// Processor time in use, in percent of all that it has.
    pub cpu_percent: f64,
    /// Its hardware threads.
    pub cpus: u64,
    /// The sum of the virtual processors of the guests that run.
    pub cpus_promised: u64,
    /// Its memory.
    pub memory_total_bytes: u64,
    /// Memory in use, without what it would give back at once.
    pub memory_used_bytes: u64,
    /// The sum of the memory of the guests that run.
    pub memory_promised_bytes: u64,
    /// The share of time, in percent, in which some task waited for a processor; none where it is not told.
    pub pressure_cpu_percent: Option<f64>,
    /// The same for memory.
    pub pressure_memory_percent: Option<f64>,
}

impl HypervisorHost {
    /// Memory in use, in percent; 0 where its size is not told.
    #[must_use]
    pub fn memory_percent(&self) -> f64 {
        percent(self.memory_used_bytes, self.memory_total_bytes)
    }

    /// Memory promised to guests that run, in percent of what there is; 0 where its size is not told.
    #[must_use]
    pub fn memory_promised_percent(&self) -> f64 {
        percent(self.memory_promised_bytes, self.memory_total_bytes)
    }

    /// Virtual processors promised for each hardware thread; 0 where their number is not told.
    #[must_use]
    pub fn cpus_promised_each(&self) -> f64 {
        percent(self.cpus_promised, self.cpus) / 100.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio in percent")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// The virtual machine that a node is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VirtualMachine {
    /// The host that it is on.
    pub host: String,
    /// What it does.
    pub state: VmState,
    /// Who stopped it, as the host's list of tasks names him; none where it went down by itself, or nobody can tell.
    pub stopped_by: Option<String>,
    /// The lock on its configuration, such as `backup`, `migrate` or `snapshot`.
    pub lock: Option<String>,
    /// A task about it that is under way, such as `vzdump`.
    pub task: Option<String>,
    /// The word of the cluster's resource manager for it; none where that does not manage it.
    pub ha: Option<String>,
    /// Its share of the host's processors, against the other guests' shares.
    pub cpu_units: u64,
    /// The share that a guest has for which none is written down: 100 under cgroup v2, 1024 under v1.
    pub cpu_units_default: u64,
    /// Processor time that it used of late, in percent of its virtual processors'; none where it is not told.
    pub cpu_percent: Option<f64>,
    /// Its memory.
    pub memory_bytes: u64,
    /// Down to what the host may reclaim of it; none where the host reclaims nothing.
    pub balloon_bytes: Option<u64>,
}

impl VirtualMachine {
    /// Below this it does nothing: even an idle control plane writes, ticks and answers.
    pub const FLAT_BELOW_PERCENT: f64 = 1.0;
    /// From this on it turns in a circle, or wants more than it gets.
    pub const PEGGED_FROM_PERCENT: f64 = 98.0;

    /// Who is at work on it, in words: a lock, a task, the resource manager on its way; none: nobody.
    #[must_use]
    pub fn busy(&self) -> Option<String> {
        if let Some(lock) = &self.lock {
            return Some(format!("it is locked for {lock}"));
        }
        if let Some(task) = &self.task {
            return Some(format!("task {task} is under way"));
        }
        let settled = |word: &&String| ["started", "stopped", "ignored", "disabled"].contains(&word.as_str());
        let moving = self.ha.as_ref().filter(|word| !settled(word))?;
        Some(format!("its resource manager says {moving}"))
    }

    /// Why it looks ill from beneath, in words; none where it runs and works.
    #[must_use]
    pub fn ill(&self) -> Option<String> {
        match (&self.state, self.cpu_percent) {
            (VmState::Running, Some(cpu)) if cpu < Self::FLAT_BELOW_PERCENT => {
                Some(format!("runs and uses {cpu:.1} % of its processors"))
            }
            (VmState::Running, Some(cpu)) if cpu >= Self::PEGGED_FROM_PERCENT => {
                Some(format!("runs at {cpu:.0} % of its processors"))
            }
            (VmState::Running | VmState::Other(_), _) => None,
            (state, _) => Some(format!("is {state}")),
        }
    }
}

/// What a virtual machine does, by its hypervisor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VmState {
    /// It runs; that its guest does is not said.
    #[default]
    Running,
    /// It has no process.
    Stopped,
    /// It stands still, and can be woken.
    Paused,
    /// It was paused because its disk failed: no room, no storage. To wake it does not cure that.
    IoError,
    /// Another word, such as `prelaunch`: on its way.
    Other(String),
}

impl std::fmt::Display for VmState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            VmState::Running => "running",
            VmState::Stopped => "stopped",
            VmState::Paused => "paused",
            VmState::IoError => "paused for a disk error",
            VmState::Other(word) => word,
        })
    }
}
