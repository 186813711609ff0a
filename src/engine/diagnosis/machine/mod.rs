//! Conditions of the machines beneath.

pub(super) mod clock_skewed;
pub(crate) mod disk_full;
pub(crate) mod disk_low;
pub(super) mod flapping;
pub(super) mod frozen;
pub(super) mod host_starved;
pub(super) mod kubelet_down;
pub(super) mod kubelet_wedged;
pub(super) mod logs_not_shipped;
pub(super) mod memory_short;
pub(super) mod runtime_unhealthy;
pub(super) mod unreachable;
pub(super) mod watchdog_off;
