//! A Talos certificate of ours that may only look, where playbooks are armed: a step would be refused just when it matters.
//!
//! Talos lets `os:operator` (and `os:admin`) restart services and machines; `os:reader` sees everything and may do nothing.
//! Where nothing is armed, to see is enough.

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "role-too-weak",
    meaning: "playbooks are armed and defib's certificate for Talos has neither the role os:operator nor os:admin: every step would be refused",
    layer: Layer::Observer,
    class: Class::Risk,
    scope: Scope::Cluster,
    reads: &[ProbeKind::Credentials],
    explained_by: &[],
    timing: Timing::ms(0, 0),
    thresholds: &[],
    assess,
};

/// Either may do what a step asks for.
const ENOUGH: [&str; 2] = ["os:operator", "os:admin"];

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    let credentials = match view.credentials() {
        Ok(credentials) => credentials,
        Err(why) => return Verdict::Unknown(why),
    };
    let armed = view.settings.armed.len();
    let Some(talos) = credentials.iter().find(|one| one.what == "talos").filter(|_| armed > 0) else {
        return Verdict::Clear;
    };
    if talos.not_after.is_none() {
        return Verdict::Unknown("credentials: the one for talos is not read".to_owned());
    }
    if talos.groups.iter().any(|group| ENOUGH.contains(&group.as_str())) {
        return Verdict::Clear;
    }
    let has = if talos.groups.is_empty() { "no role".to_owned() } else { talos.groups.join(", ") };
    Verdict::Raised(format!("our own certificate for talos has {has}; {armed} armed need os:operator"))
}
