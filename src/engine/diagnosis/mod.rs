//! Every condition that defib can name: one [`Rule`] a file, one line in [`ALL`].
//!
//! Rules are level-triggered: they are judged again from everything known, never from what changed. They are pure and
//! stateless; durations are the latch's, memory is the view's.

mod apiserver;
pub(crate) mod etcd;
pub(crate) mod host;
pub(crate) mod machine;
pub(crate) mod observer;
pub(crate) mod vip;

use crate::finding::Rule;

/// Every rule, from the ground up.
pub static ALL: &[&Rule] = &[
    &observer::isolated::RULE,
    &observer::overloaded::RULE,
    &observer::credential_expiring::RULE,
    &observer::role_too_weak::RULE,
    &observer::role_too_strong::RULE,
    &observer::talosconfig_uses_vip::RULE,
    &observer::backup_stale::RULE,
    &observer::backup_failed::RULE,
    &host::unreachable::RULE,
    &host::overcommitted::RULE,
    &host::busy::RULE,
    &host::vm_stopped::RULE,
    &host::vm_paused::RULE,
    &host::vm_busy::RULE,
    &host::vm_unprioritised::RULE,
    &host::voters_share::RULE,
    &machine::host_starved::RULE,
    &machine::unreachable::RULE,
    &machine::frozen::RULE,
    &machine::flapping::RULE,
    &machine::memory_short::RULE,
    &machine::disk_low::RULE,
    &machine::disk_full::RULE,
    &machine::clock_skewed::RULE,
    &machine::runtime_unhealthy::RULE,
    &machine::kubelet_down::RULE,
    &machine::kubelet_wedged::RULE,
    &machine::watchdog_off::RULE,
    &machine::logs_not_shipped::RULE,
    &etcd::slow_disk::RULE,
    &etcd::starved::RULE,
    &etcd::member_down::RULE,
    &etcd::member_hung::RULE,
    &etcd::members_disagree::RULE,
    &etcd::corrupt::RULE,
    &etcd::no_leader::RULE,
    &etcd::leader_flapping::RULE,
    &etcd::quorum_lost::RULE,
    &etcd::quorum_thin::RULE,
    &etcd::learner_stuck::RULE,
    &etcd::no_space::RULE,
    &etcd::near_quota::RULE,
    &etcd::fragmented::RULE,
    &etcd::even_voters::RULE,
    &etcd::metrics_closed::RULE,
    &apiserver::down::RULE,
    &apiserver::hung::RULE,
    &apiserver::not_ready::RULE,
    &apiserver::crash_looping::RULE,
    &apiserver::oom_killed::RULE,
    &apiserver::slow::RULE,
    &apiserver::certificate_expiring::RULE,
    &apiserver::controller_manager_down::RULE,
    &apiserver::scheduler_down::RULE,
    &vip::lost::RULE,
    &vip::on_sick_node::RULE,
    &vip::split::RULE,
    &vip::flapping::RULE,
];

/// While it is open, what would be restored is worked out.
pub(crate) const ETCD_QUORUM_LOST: &str = etcd::quorum_lost::RULE.name;

/// What the route turns on.
pub(crate) const VIP_LOST: &str = vip::lost::RULE.name;

/// The rule with this public name.
#[must_use]
pub fn rule(name: &str) -> Option<&'static Rule> {
    ALL.iter().copied().find(|rule| rule.name == name)
}
