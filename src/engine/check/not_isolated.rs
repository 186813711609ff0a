//! Guard: we are not the ones who are cut off. Any answer proves it; where everything is mute, nothing is done.

use super::{Case, Check, Hold, Lift, nothing};
use crate::diagnosis::observer::isolated::answers;
use crate::observation::{NodeName, ProbeKind};
use crate::view::View;

pub(crate) static CHECK: Check = Check {
    name: "not-isolated",
    meaning: "a canary, or some target, answers: defib itself is connected",
    takes_duration: false,
    needs: nothing,
    judge,
};

/// Its API server's port is not even refused.
fn is_mute(view: &View<'_>, node: &NodeName) -> bool {
    view.look_node(node, ProbeKind::Apiserver).failure().is_some_and(|failure| !failure.proves_machine())
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let view = &case.view;
    let mute = view.nodes().iter().filter(|node| is_mute(view, node)).count();
    let serves = view.nodes().iter().any(|node| view.etcd_serving(node));
    if serves && mute > view.voters().saturating_sub(view.quorum()) {
        let text =
            format!("{mute} machines are mute to us, though etcd has the quorum that needs them: the way is broken");
        return Err(Hold { check: CHECK.name, text, lifts: Lift::Clears("machine-unreachable") });
    }
    if view.elsewhere.answers {
        return Ok("a canary or another cluster answers".to_owned());
    }
    match answers(view) {
        0 => {}
        answers => return Ok(format!("{answers} probes are answered")),
    }
    Err(Hold {
        check: CHECK.name,
        text: format!("nothing answers, canaries configured: {}", view.elsewhere.canaries),
        lifts: Lift::Clears("observer-isolated"),
    })
}
