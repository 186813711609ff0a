//! Requirement: the patient's own member of etcd serves, for an API server talks to no other.

use super::{Case, Check, Hold};
use crate::observation::{ProbeKind, Target};

pub(crate) static CHECK: Check = Check {
    name: "etcd-member-serving",
    meaning: "a linearizable read through the patient's own member succeeded",
    takes_duration: false,
    needs,
    judge,
};

const KIND: ProbeKind = ProbeKind::EtcdReadLinearizable;

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    vec![(case.target(), KIND)]
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    if case.view.etcd_serving(case.patient) {
        return Ok(format!("a linearizable read through {} succeeded", case.patient));
    }
    let look = case.view.look_node(case.patient, KIND);
    let why = look.failure().map(ToString::to_string).or(look.unknown(KIND)).unwrap_or_default();
    Err(Hold {
        check: CHECK.name,
        text: format!("no linearizable read through {}: {why}", case.patient),
        lifts: case.answer(KIND),
    })
}
