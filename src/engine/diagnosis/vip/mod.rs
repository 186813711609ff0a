//! Conditions of the virtual address.

pub(crate) mod flapping;
pub(super) mod lost;
pub(super) mod on_sick_node;
pub(super) mod split;
