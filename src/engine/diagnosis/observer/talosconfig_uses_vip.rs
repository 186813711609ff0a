//! A talosconfig that asks the machines through the virtual address: it is gone just when it is needed.
//!
//! Talos's own documentation says so of its virtual address: it needs etcd, and Talos's API must work without. defib goes
//! to each machine directly whatever the file says; people and scripts who use the same file do not.

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "talosconfig-uses-vip",
    meaning: "the talosconfig names the cluster's virtual address as an endpoint: talosctl fails with the address, when it is needed",
    layer: Layer::Observer,
    class: Class::Advice,
    scope: Scope::Cluster,
    reads: &[ProbeKind::Credentials],
    explained_by: &[],
    timing: Timing::ms(0, 0),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    match view.credentials() {
        Err(why) => Verdict::Unknown(why),
        Ok(credentials) if credentials.iter().any(|one| one.names_vip) => {
            Verdict::Raised("the talosconfig's endpoints name the virtual address; name each node instead".to_owned())
        }
        Ok(credentials) => match credentials.iter().find(|one| one.what == "talos" && one.not_after.is_none()) {
            Some(_) => Verdict::Unknown("credentials: the talosconfig is not read".to_owned()),
            None => Verdict::Clear,
        },
    }
}
