//! Every condition that defib can name: one [`Rule`] a file, one line in [`ALL`].
//!
//! Rules are level-triggered: they are judged again from everything known, never from what changed. They are pure and
//! stateless; durations are the latch's, memory is the view's.

mod apiserver;
mod etcd;
mod machine;
pub(crate) mod observer;
mod vip;

use crate::finding::Rule;

/// Every rule, from the ground up.
pub static ALL: &[&Rule] = &[
    &observer::isolated::RULE,
    &machine::unreachable::RULE,
    &machine::kubelet_down::RULE,
    &etcd::member_down::RULE,
    &etcd::member_hung::RULE,
    &etcd::no_leader::RULE,
    &etcd::quorum_lost::RULE,
    &apiserver::down::RULE,
    &apiserver::not_ready::RULE,
    &apiserver::crash_looping::RULE,
    &vip::lost::RULE,
];

/// What the route turns on.
pub(crate) const VIP_LOST: &str = vip::lost::RULE.name;

/// The rule with this public name.
#[must_use]
pub fn rule(name: &str) -> Option<&'static Rule> {
    ALL.iter().copied().find(|rule| rule.name == name)
}
