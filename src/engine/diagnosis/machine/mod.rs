//! Conditions of the machines beneath.

pub(super) mod kubelet_down;
pub(super) mod unreachable;
