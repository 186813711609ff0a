//! Guard: one run in a cluster at a time, until it has ended and been verified.

use super::{Case, Check, Hold, Lift, nothing};

pub(crate) static CHECK: Check = Check {
    name: "one-at-a-time",
    meaning: "no other run in the cluster is under way or waits to be verified",
    takes_duration: false,
    needs: nothing,
    judge,
};

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    match case.other_run {
        None => Ok("no other run".to_owned()),
        Some(run) => Err(Hold { check: CHECK.name, text: format!("{run} has not ended"), lifts: Lift::RunEnds }),
    }
}
