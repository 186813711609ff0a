//! Conditions of the store.

pub(super) mod member_down;
pub(super) mod member_hung;
pub(super) mod no_leader;
pub(super) mod quorum_lost;
