//! A certificate of ours that may more than defib ever asks for: whoever steals it has the cluster.
//!
//! Nothing that defib does by itself needs more than `os:operator` of Talos (its table of roles: `os:admin` alone may reset a
//! machine, read its secrets and upgrade it; a person who has a member replaced lends defib such a one for it), or any right of Kubernetes's: `/readyz` and `/livez` are for everybody. Its own
//! discipline is no wall; the credential is.

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{Credential, ProbeKind};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "role-too-strong",
    meaning: "a certificate of defib's own has the role os:admin or the group system:masters, which nothing that it does by itself needs",
    layer: Layer::Observer,
    class: Class::Advice,
    scope: Scope::Cluster,
    reads: &[ProbeKind::Credentials],
    explained_by: &[],
    timing: Timing::ms(0, 0),
    thresholds: &[],
    assess,
};

/// What may everything, and for what it is.
const STRONG: [(&str, &str); 2] = [("talos", "os:admin"), ("kubernetes", "system:masters")];

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    let credentials = match view.credentials() {
        Ok(credentials) => credentials,
        Err(why) => return Verdict::Unknown(why),
    };
    let strong = |one: &Credential| {
        let has = |(what, group): &&(&str, &str)| one.what == *what && one.groups.iter().any(|own| own == group);
        STRONG.iter().find(has).map(|(what, group)| format!("for {what} is {group}"))
    };
    let found: Vec<_> = credentials.iter().filter_map(strong).collect();
    match (found.is_empty(), credentials.iter().find(|one| one.not_after.is_none())) {
        (false, _) => Verdict::Raised(format!("our own certificate {}", found.join("; the one "))),
        (true, Some(unread)) => Verdict::Unknown(format!("credentials: the one for {} is not read", unread.what)),
        (true, None) => Verdict::Clear,
    }
}
