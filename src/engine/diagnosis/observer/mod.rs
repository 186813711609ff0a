//! Conditions of defib's own place.

pub(super) mod backup_failed;
pub(super) mod backup_stale;
pub(crate) mod credential_expiring;
pub(crate) mod isolated;
pub(super) mod overloaded;
pub(super) mod role_too_strong;
pub(super) mod role_too_weak;
pub(super) mod talosconfig_uses_vip;
