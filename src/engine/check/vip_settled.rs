//! Requirement: the virtual address has not been wandering. One that has would wander on: each release is a move more.

use super::{Case, Check, Hold, Lift};
use crate::diagnosis::vip::flapping;
use crate::observation::{ProbeKind, Target};
use crate::time::Human;

pub(crate) static CHECK: Check = Check {
    name: "vip-settled",
    meaning: "the virtual address moved less than 4 times within the last 15 minutes",
    takes_duration: false,
    needs,
    judge,
};

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    vec![(Target::Vip(case.view.cluster.clone()), ProbeKind::Vip)]
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let (moves, within) = (flapping::moves(&case.view), Human(flapping::WITHIN));
    let count = moves.len();
    // The last of the newest four grows old: then there are three.
    match moves.iter().rev().nth(flapping::MOVES - 1) {
        None => Ok(format!("the virtual address moved {count} times within {within}")),
        Some(at) => {
            let text = format!("the virtual address moved {count} times within {within}: a release would be one more");
            Err(Hold { check: CHECK.name, text, lifts: Lift::At(*at + flapping::WITHIN) })
        }
    }
}
