//! Conditions of the API servers.

pub(super) mod certificate_expiring;
pub(super) mod crash_looping;
pub(super) mod down;
pub(super) mod hung;
pub(super) mod not_ready;
pub(super) mod slow;
