//! Conditions of the store.

pub(crate) mod corrupt;
pub(super) mod even_voters;
pub(super) mod fragmented;
pub(super) mod leader_flapping;
pub(super) mod learner_stuck;
pub(super) mod member_down;
pub(super) mod member_hung;
pub(super) mod members_disagree;
pub(super) mod metrics_closed;
pub(super) mod near_quota;
pub(super) mod no_leader;
pub(super) mod no_space;
pub(crate) mod quorum_lost;
pub(crate) mod quorum_thin;
pub(super) mod slow_disk;
pub(super) mod starved;
