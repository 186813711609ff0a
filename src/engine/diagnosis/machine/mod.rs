//! Conditions of the machines beneath.

pub(super) mod unreachable;
pub(super) mod kubelet_down;
