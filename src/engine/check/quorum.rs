//! Guard: no step makes quorum worse.
//!
//! A member *serves* when a linearizable read through it succeeded; it is *incapable* when its process is proven absent
//! while its machine answers; all others are *capable*. Without quorum only incapable members' nodes may be touched. A
//! step that takes a serving or capable member down needs a majority that serves without it. The denominator is every
//! voter, dead ones too. Members that disagree about their cluster: hold.

use super::{Case, Check, Hold, Lift, nothing};
use crate::playbook::Action;

pub(crate) static CHECK: Check = Check {
    name: "quorum",
    meaning: "etcd keeps a serving majority through the step; without one, only a node whose member is proven dead is touched",
    takes_duration: false,
    needs: nothing,
    judge,
};

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let view = &case.view;
    let hold = |text: String| Err(Hold { check: CHECK.name, text, lifts: Lift::Clears("etcd-quorum-lost") });
    let mut clusters: Vec<u64> = view
        .nodes()
        .iter()
        .filter_map(|node| view.etcd_status(node))
        .map(|status| status.cluster_id)
        .filter(|&id| id != 0)
        .collect();
    clusters.sort_unstable();
    clusters.dedup();
    if clusters.len() > 1 {
        return Err(Hold {
            check: CHECK.name,
            text: format!("members belong to {} different clusters", clusters.len()),
            lifts: Lift::Person,
        });
    }
    let (voters, quorum) = (view.voters(), view.quorum());
    let serving = view.nodes().iter().filter(|node| view.etcd_serving(node)).count();
    let incapable = view
        .look_node(case.patient, crate::observation::ProbeKind::EtcdStatus)
        .failure()
        .is_some_and(|failure| failure.proves_absent());
    if incapable {
        return Ok(format!("{}'s member is dead already", case.patient));
    }
    // One read that succeeds proves a majority, whoever else was asked and when.
    if serving == 0 {
        return hold(format!("no linearizable read succeeds through any of {voters} voters, a quorum needs {quorum}"));
    }
    if !case.playbook.steps.iter().any(Action::takes_etcd_down) {
        return Ok(format!("etcd serves ({serving} of {voters} voters read), and no step touches a member"));
    }
    let without = serving - usize::from(view.etcd_serving(case.patient));
    if without < quorum {
        return hold(format!(
            "without {} only {without} of {voters} voters serve, a quorum needs {quorum}",
            case.patient
        ));
    }
    Ok(format!("{without} of {voters} voters serve without {}, a quorum needs {quorum}", case.patient))
}
