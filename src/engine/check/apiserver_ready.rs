//! Requirement: the patient's own API server is ready. What is wrong is then not there, but at the virtual address.

use super::{Case, Check, Hold};
use crate::observation::{ProbeKind, Target};

pub(crate) static CHECK: Check = Check {
    name: "apiserver-ready",
    meaning: "the patient's own API server answers /readyz with 200",
    takes_duration: false,
    needs,
    judge,
};

const KIND: ProbeKind = ProbeKind::Apiserver;

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    vec![(case.target(), KIND)]
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    match case.view.apiserver(case.patient) {
        Some(facts) if facts.ready => Ok(format!("{} is ready", case.patient)),
        Some(_) => {
            let text = format!("the API server of {} is not ready", case.patient);
            Err(Hold { check: CHECK.name, text, lifts: case.answer(KIND) })
        }
        None => {
            let why = case.view.why(case.patient, KIND);
            let text = format!("{} is not known to be ready: {why}", case.patient);
            Err(Hold { check: CHECK.name, text, lifts: case.answer(KIND) })
        }
    }
}
