//! Requirement: the machine's Talos API answers, so that the step can be asked for.

use super::{Case, Check, Hold};
use crate::observation::{ProbeKind, Target};

pub(crate) static CHECK: Check = Check {
    name: "talos-reachable",
    meaning: "the Talos API of the patient's machine answers directly",
    takes_duration: false,
    needs,
    judge,
};

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    vec![(case.target(), ProbeKind::TalosServices)]
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let kind = ProbeKind::TalosServices;
    let look = case.view.look_node(case.patient, kind);
    if look.facts().is_some() {
        return Ok(format!("Talos of {} answers", case.patient));
    }
    let why = look.failure().map(ToString::to_string).or(look.unknown(kind)).unwrap_or_default();
    Err(Hold { check: CHECK.name, text: format!("Talos of {}: {why}", case.patient), lifts: case.answer(kind) })
}
