//! Conditions of defib's own place.

pub(crate) mod credential_expiring;
pub(crate) mod isolated;
pub(super) mod overloaded;
