//! Requirement: the machine has its processor time. Restarting what is alive and slow for want of it makes things worse;
//! the cure is at the hypervisor.

use super::{Case, Check, Hold, Lift};
use crate::diagnosis;
use crate::finding::{Subject, Verdict};
use crate::observation::{ProbeKind, Target};

pub(crate) static CHECK: Check = Check {
    name: "not-starved",
    meaning: "host-starved does not hold for the patient; restarting what is alive and slow makes it worse",
    takes_duration: false,
    needs,
    judge,
};

const KIND: ProbeKind = ProbeKind::TalosMachine;
const FINDING: &str = "host-starved";

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    vec![(case.target(), KIND)]
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let Some(rule) = diagnosis::rule(FINDING) else { return Ok(format!("{FINDING}: not asked")) };
    match (rule.assess)(&case.view, &Subject::Node(case.patient.clone()), true) {
        Verdict::Clear => Ok(format!("{} has its processor time", case.patient)),
        Verdict::Raised(text) => {
            Err(Hold { check: CHECK.name, text: format!("{}: {text}", case.patient), lifts: Lift::Clears(FINDING) })
        }
        Verdict::Unknown(_) if !case.view.settings.sources.contains(&KIND) => Ok(format!("{}: not asked", KIND.name())),
        Verdict::Unknown(why) => {
            let text = format!("whether {} has its processor time is not known: {why}", case.patient);
            Err(Hold { check: CHECK.name, text, lifts: case.answer(KIND) })
        }
    }
}
