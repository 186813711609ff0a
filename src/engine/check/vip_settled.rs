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
    let (moves, within) = (flapping::moves(&case.view), case.view.time(&flapping::WITHIN));
    let limit = usize::try_from(case.view.count(&flapping::MOVES)).unwrap_or(usize::MAX);
    let count = moves.len();
    // The last of the newest so many grows old: then there is one less.
    match moves.iter().rev().nth(limit.saturating_sub(1)) {
        None => Ok(format!("the virtual address moved {count} times within {}", Human(within))),
        Some(at) => {
            let text = format!(
                "the virtual address moved {count} times within {}: a release would be one more",
                Human(within)
            );
            Err(Hold { check: CHECK.name, text, lifts: Lift::At(*at + within) })
        }
    }
}
