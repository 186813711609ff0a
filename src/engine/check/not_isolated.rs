//! Guard: we are not the ones who are cut off. Any answer proves it; where everything is mute, nothing is done.

use super::{Case, Check, Hold, Lift, nothing};
use crate::diagnosis::observer::isolated::answered;

pub(crate) static CHECK: Check = Check {
    name: "not-isolated",
    meaning: "a canary, or some target, answers: defib itself is connected",
    takes_duration: false,
    needs: nothing,
    judge,
};

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let view = &case.view;
    if view.elsewhere.answers {
        return Ok("a canary or another cluster answers".to_owned());
    }
    let answers =
        view.world.all().filter(|seen| view.now.since(seen.at) <= seen.kind.max_age() && answered(&seen.seen)).count();
    if answers > 0 {
        return Ok(format!("{answers} probes are answered"));
    }
    Err(Hold {
        check: CHECK.name,
        text: format!("nothing answers, canaries configured: {}", view.elsewhere.canaries),
        lifts: Lift::Clears("observer-isolated"),
    })
}
