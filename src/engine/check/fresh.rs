//! Guard: everything that the decision rests on is within its kind's `max_age`.

use super::{Case, Check, Hold, Lift, nothing};
use crate::view::Look;

pub(crate) static CHECK: Check = Check {
    name: "fresh",
    meaning: "every observation that the decision rests on is younger than its kind's max_age",
    takes_duration: false,
    needs: nothing,
    judge,
};

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let (mut asked, mut oldest) = (0, std::time::Duration::ZERO);
    for (target, kind) in case.needs {
        match case.view.look(target, *kind) {
            // Nobody can give it: the requirement that reads it says so itself.
            Look::NotAsked => {}
            Look::Fresh(observation) => {
                asked += 1;
                oldest = oldest.max(case.view.now.since(observation.at));
            }
            look @ (Look::Missing | Look::Stale(_)) => {
                let why = look.unknown(*kind).unwrap_or_default();
                return Err(Hold { check: CHECK.name, text: format!("{target}: {why}"), lifts: Lift::Fresh(*kind) });
            }
        }
    }
    Ok(format!("{asked} observations, the oldest {} old", crate::time::Human(oldest)))
}
