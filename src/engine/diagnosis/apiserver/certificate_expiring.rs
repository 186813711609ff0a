//! An API server whose certificate ends soon: from that moment nobody can speak with it.
//!
//! Raised below seven days, as kubernetes-mixin warns for clients. Talos renews it when the API server starts, so a
//! restart in time is the way out.

use crate::diagnosis::observer::credential_expiring::ends;
use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Threshold, Unit};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "certificate-expiring",
    meaning: "the certificate that an API server shows ends within 7 days, or has ended",
    layer: Layer::Apiserver,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::Apiserver],
    explained_by: &[],
    timing: Timing::ms(0, 0),
    thresholds: &[&WITHIN],
    assess,
};

pub(crate) static WITHIN: Threshold = Threshold {
    finding: "certificate-expiring",
    name: "within",
    usual: 604_800.0,
    unit: Unit::Time,
    least: 3_600.0,
    most: 31_536_000.0,
    beside: None,
    source: "kubernetes-mixin, KubeClientCertificateExpiration: 7 days",
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let Some(facts) = view.apiserver(node) else { return Verdict::Unknown(view.why(node, ProbeKind::Apiserver)) };
    match facts.certificate_not_after.map(|until| ends(until, view.wall, view.time(&WITHIN))) {
        None => Verdict::Unknown("apiserver: its certificate's date cannot be read".to_owned()),
        Some(None) => Verdict::Clear,
        Some(Some(ends)) => Verdict::Raised(format!("its certificate {ends}")),
    }
}
