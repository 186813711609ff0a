//! A certificate of ours that ends soon, has ended, or cannot be used: then we are blind just when it matters.
//!
//! Raised below seven days, as kubernetes-mixin's `KubeClientCertificateExpiration` warns; `talosctl config new` makes one
//! of a year by default.

use std::time::Duration;

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{Credential, ProbeKind};
use crate::threshold::{Threshold, Unit};
use crate::time::{Human, UnixMs};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "credential-expiring",
    meaning: "a certificate that defib itself uses ends within 7 days, has ended, or cannot be read",
    layer: Layer::Observer,
    class: Class::Risk,
    scope: Scope::Cluster,
    reads: &[ProbeKind::Credentials],
    explained_by: &[],
    timing: Timing::ms(0, 0),
    thresholds: &[&WITHIN],
    assess,
};

pub(crate) static WITHIN: Threshold = Threshold {
    finding: "credential-expiring",
    name: "within",
    usual: 604_800.0,
    unit: Unit::Time,
    least: 3_600.0,
    most: 31_536_000.0,
    beside: None,
    source: "kubernetes-mixin, KubeClientCertificateExpiration: 7 days",
};

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    let credentials = match view.credentials() {
        Ok(credentials) => credentials,
        Err(why) => return Verdict::Unknown(why),
    };
    let trouble = |credential: &Credential| {
        let Credential { what, not_after, problem, .. } = credential;
        match (problem, not_after.map(|until| ends(until, view.wall, view.time(&WITHIN)))) {
            (Some(problem), _) => Some(format!("{what}: {problem}")),
            (None, Some(Some(ends))) => Some(format!("{what} {ends}")),
            _ => None,
        }
    };
    let troubles: Vec<_> = credentials.iter().filter_map(trouble).collect();
    let undated: Vec<_> =
        credentials.iter().filter(|one| one.not_after.is_none()).map(|one| one.what.as_str()).collect();
    match (troubles.is_empty(), undated.as_slice()) {
        (false, _) => Verdict::Raised(format!("our own certificate for {}", troubles.join("; for "))),
        (true, []) => Verdict::Clear,
        (true, undated) => Verdict::Unknown(format!("credentials: no date for {}", undated.join(", "))),
    }
}

/// In how long a certificate ends, in words; none where that is far away.
pub(crate) fn ends(until: UnixMs, now: UnixMs, within: Duration) -> Option<String> {
    let left_ms = until.0.saturating_sub(now.0);
    let span = Human(Duration::from_millis(left_ms.unsigned_abs()));
    let days = Duration::from_millis(left_ms.unsigned_abs()).as_secs() / (24 * 3_600);
    match left_ms {
        ..=0 if days > 1 => Some(format!("ended {days} days ago")),
        ..=0 => Some(format!("ended {span} ago")),
        _ if Duration::from_millis(left_ms.unsigned_abs()) >= within => None,
        _ if days > 1 => Some(format!("ends in {days} days (limit {})", days_or_less(within))),
        _ => Some(format!("ends in {span} (limit {})", days_or_less(within))),
    }
}

fn days_or_less(span: Duration) -> String {
    match span.as_secs() / (24 * 3_600) {
        0 | 1 => Human(span).to_string(),
        days => format!("{days} days"),
    }
}
