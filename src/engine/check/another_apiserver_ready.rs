//! Requirement: an API server other than the patient's is ready, so that what the patient gives up is taken over.

use super::{Case, Check, Hold};
use crate::observation::{ProbeKind, Target};

pub(crate) static CHECK: Check = Check {
    name: "another-apiserver-ready",
    meaning: "the API server of another node is ready: it can take over what the patient gives up",
    takes_duration: false,
    needs,
    judge,
};

const KIND: ProbeKind = ProbeKind::Apiserver;

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    case.view.nodes().iter().filter(|node| *node != case.patient).map(|node| (case.view.node(node), KIND)).collect()
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let mut others = case.view.nodes().iter().filter(|node| *node != case.patient);
    match others.find(|node| case.view.apiserver(node).is_some_and(|facts| facts.ready)) {
        Some(other) => Ok(format!("{other} is ready")),
        None => {
            let text = format!("no API server but that of {} is known to be ready", case.patient);
            Err(Hold { check: CHECK.name, text, lifts: case.answer(KIND) })
        }
    }
}
