//! Requirement: the patient holds the virtual address, told by the certificate that is shown there.

use super::{Case, Check, Hold};
use crate::observation::{ProbeKind, Target};

pub(crate) static CHECK: Check = Check {
    name: "holds-vip",
    meaning: "the certificate at the virtual address is the patient's",
    takes_duration: false,
    needs,
    judge,
};

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    vec![(Target::Vip(case.view.cluster.clone()), ProbeKind::Vip)]
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let text = match case.view.vip_holder() {
        Some(holder) if holder == case.patient => return Ok(format!("{holder}'s certificate is shown at the address")),
        Some(holder) => format!("{holder} holds the virtual address, not {}", case.patient),
        None => "who holds the virtual address is not known".to_owned(),
    };
    Err(Hold { check: CHECK.name, text, lifts: case.answer(ProbeKind::Vip) })
}
