//! Guard: no step makes quorum worse.
//!
//! A member *serves* when a linearizable read through it succeeded; it is *incapable* when its process is proven absent
//! while its machine answers: its port refuses, and Talos, where it is asked, does not say that it runs (it may be reading
//! its log before it listens, or something on the way refuses for it), or by its hypervisor, which says that the machine is
//! stopped (or paused, for a step that takes nothing down), while the member does not answer; all others are *capable*.
//! Without quorum only incapable members' nodes may be touched. A step that takes a serving or capable member down needs a majority that serves without it. The denominator is every
//! voter by the members' own lists, dead ones and those that are not configured too. Members that disagree about their
//! cluster: hold. Before a member is taken down, a membership that is unknown, disputed or has a learner holds, too.

use std::collections::BTreeSet;

use super::{Case, Check, Hold, Lift};
use crate::diagnosis::etcd::{quorum_lost, quorum_thin};
use crate::observation::{EtcdMembers, ProbeKind, Service, Target, VmState};
use crate::playbook::{Action, ActionClass};

pub(crate) static CHECK: Check = Check {
    name: "quorum",
    meaning: "etcd keeps a serving majority through the step; without one, only a node whose member is proven dead is touched",
    takes_duration: false,
    needs,
    judge,
};

/// What is known of who votes.
enum Voters {
    /// Nobody can tell: the configured nodes are taken for them.
    Configured(usize),
    /// So many by the members' own lists, which agree.
    Listed(usize),
}

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    if case.playbook.only_tells() {
        return Vec::new();
    }
    let mut kinds = vec![ProbeKind::EtcdStatus, ProbeKind::EtcdReadLinearizable];
    if case.playbook.steps.iter().any(Action::takes_etcd_down) {
        kinds.push(ProbeKind::EtcdMembers);
    }
    let of = |node| kinds.iter().map(move |&kind| (case.view.node(node), kind));
    let own = [ProbeKind::TalosServices, ProbeKind::HypervisorVm].map(|kind| (case.target(), kind));
    case.view.nodes().iter().flat_map(of).chain(own).collect()
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    if case.playbook.only_tells() {
        return Ok("no step changes anything".to_owned());
    }
    let view = &case.view;
    let statuses = view.nodes().iter().filter_map(|node| view.etcd_status(node)).map(|status| status.cluster_id);
    let lists = view.nodes().iter().filter_map(|node| view.etcd_members(node)).map(|list| list.cluster_id);
    let clusters: BTreeSet<u64> = statuses.chain(lists).filter(|&id| id != 0).collect();
    if clusters.len() > 1 {
        return Err(Hold {
            check: CHECK.name,
            text: format!("members belong to {} different clusters", clusters.len()),
            lifts: Lift::Person,
        });
    }
    let (configured, quorum) = (view.voters(), view.quorum());
    let serving = view.nodes().iter().filter(|node| view.etcd_serving(node)).count();
    let status = view.look_node(case.patient, ProbeKind::EtcdStatus);
    if status.failure().is_some_and(|failure| failure.proves_absent()) {
        let etcd = view.services(case.patient).and_then(|services| services.service("etcd"));
        if !etcd.is_some_and(Service::is_running) {
            return Ok(format!("{}'s member is dead already", case.patient));
        }
        if serving == 0 {
            let text = format!("the port of {}'s member is closed, yet its Talos says that etcd runs", case.patient);
            return Err(Hold { check: CHECK.name, text, lifts: Lift::Patient });
        }
    }
    // A machine that answers is not the one that is stopped, whatever its name. One that is paused is only ever woken, not
    // reset, without a quorum. What is done to data is done to every member.
    let takes_down = case.playbook.steps.iter().any(Action::takes_etcd_down);
    if let Ok(vm) = view.vm(case.patient)
        && (vm.state == VmState::Stopped || (vm.state == VmState::Paused && !takes_down))
        && case.playbook.class() != ActionClass::Data
        && !status.lives()
        && !view.etcd_serving(case.patient)
    {
        return Ok(format!(
            "{}'s member takes no part already: {} says its machine is {}",
            case.patient, vm.host, vm.state
        ));
    }
    // One read that succeeds proves a majority, whoever else was asked and when.
    if serving == 0 {
        let text = format!("no linearizable read succeeds through any of {configured} voters, a quorum needs {quorum}");
        return Err(Hold { check: CHECK.name, text, lifts: Lift::Clears(quorum_lost::RULE.name) });
    }
    if !takes_down {
        return Ok(format!("etcd serves ({serving} of {configured} voters read), and no step touches a member"));
    }
    let (voters, note) = match voters(case)? {
        Voters::Listed(voters) => (voters, ""),
        Voters::Configured(voters) => (voters, " (etcd.members: not asked)"),
    };
    let quorum = voters / 2 + 1;
    let without = serving - usize::from(view.etcd_serving(case.patient));
    if without < quorum {
        let text =
            format!("without {} only {without} of {voters} voters serve, a quorum needs {quorum}{note}", case.patient);
        // Too few others are there even when all of them serve: the cluster is small, or strangers are listed.
        let never = view.nodes().len().saturating_sub(1) < quorum;
        let lifts = if never { Lift::Person } else { Lift::Clears(quorum_thin::RULE.name) };
        return Err(Hold { check: CHECK.name, text, lifts });
    }
    Ok(format!("{without} of {voters} voters serve without {}, a quorum needs {quorum}{note}", case.patient))
}

/// Who votes, dead ones and those that are not configured too; a membership that is not settled holds.
fn voters(case: &Case<'_>) -> Result<Voters, Hold> {
    let view = &case.view;
    let hold = |text: String, lifts: Lift| Err(Hold { check: CHECK.name, text, lifts });
    if let Some(learner) = view.nodes().iter().find(|node| view.etcd_status(node).is_some_and(|status| status.learner))
    {
        return hold(format!("the member of {learner} is a learner that catches up"), Lift::Patient);
    }
    if !view.settings.sources.contains(&ProbeKind::EtcdMembers) {
        return Ok(Voters::Configured(view.voters()));
    }
    let lists: Vec<_> = view.nodes().iter().filter_map(|node| view.etcd_members(node)).collect();
    let ids =
        |list: &EtcdMembers| list.members.iter().map(|member| (member.id, member.learner)).collect::<BTreeSet<_>>();
    let Some(first) = lists.iter().find(|list| !list.members.is_empty()) else {
        return hold("who is in etcd is not known".to_owned(), Lift::Fresh(ProbeKind::EtcdMembers));
    };
    if lists.iter().any(|list| ids(list) != ids(first)) {
        return hold("the members disagree about who is in etcd".to_owned(), Lift::Person);
    }
    if let Some(learner) = first.members.iter().find(|member| member.learner) {
        return hold(format!("member {:x} is a learner that catches up", learner.id), Lift::Patient);
    }
    Ok(Voters::Listed(first.members.len()))
}
