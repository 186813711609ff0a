//! What the lab asks of the Linux kernel: namespaces, cgroups, mounts, processes; by the system's own programs where
//! these are the plain way, else by its calls. Left out: any knowledge of what runs there.

pub(crate) mod cgroup;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod network;
pub(crate) mod process;
pub(crate) mod throttle;
