//! Conditions of the API servers.

pub(super) mod crash_looping;
pub(super) mod down;
pub(super) mod not_ready;
