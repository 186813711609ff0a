//! Conditions of the API servers.

pub(super) mod certificate_expiring;
pub(super) mod controller_manager_down;
pub(super) mod crash_looping;
pub(super) mod down;
pub(super) mod hung;
pub(super) mod not_ready;
pub(super) mod oom_killed;
pub(super) mod scheduler_down;
pub(super) mod slow;
