//! Conditions of defib's own place.

pub(crate) mod isolated;
