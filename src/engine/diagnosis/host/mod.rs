//! Conditions of what the machines stand on: judged only where a hypervisor is asked.
//!
//! What is said of a host is said of each node on it, so a shared host shows in every cluster that it carries.

pub(crate) mod busy;
pub(super) mod overcommitted;
pub(super) mod unreachable;
pub(crate) mod vm_busy;
pub(super) mod vm_paused;
pub(super) mod vm_stopped;
pub(super) mod vm_unprioritised;
pub(super) mod voters_share;

#[cfg(test)]
mod tests;
