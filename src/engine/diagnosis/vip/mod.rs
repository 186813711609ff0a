//! Conditions of the virtual address.

pub(super) mod lost;
