//! Guard: one run in a cluster at a time, until it has ended and been verified.

use std::time::Duration;

use super::{Case, Check, Hold, Lift, nothing};
use crate::playbook::{Action, ActionClass};
use crate::time::Human;

pub(crate) static CHECK: Check = Check {
    name: "one-at-a-time",
    meaning: "no other run in the cluster is under way or waits to be verified, and one disruptive run at most in all clusters",
    takes_duration: false,
    needs: nothing,
    judge,
};

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    // An earlier process may have started a step that nobody verified; it gets the time that it would have had.
    let within = case.playbook.steps.iter().map(Action::deadline).sum::<Duration>() + case.playbook.verify.at_most();
    if let Some(age) =
        case.ledger.unverified(case.view.cluster, ActionClass::Service, case.now).filter(|age| *age < within)
    {
        let text = format!("a step from before defib restarted, {} ago, was not verified", Human(age));
        return Err(Hold { check: CHECK.name, text, lifts: Lift::At(case.now.mono + (within - age)) });
    }
    if case.playbook.class() >= ActionClass::Disruptive && case.view.elsewhere.disrupted {
        let text = "a disruptive run is under way in another cluster".to_owned();
        return Err(Hold { check: CHECK.name, text, lifts: Lift::RunEnds });
    }
    match case.other_run {
        None => Ok("no other run".to_owned()),
        Some(run) => Err(Hold { check: CHECK.name, text: format!("{run} has not ended"), lifts: Lift::RunEnds }),
    }
}
