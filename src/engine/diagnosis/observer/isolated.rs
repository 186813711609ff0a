//! Nothing answers at all: it is we who are cut off, not they.
//!
//! Any answer, of a canary, of any target of this cluster or of another, disproves it. A target that answers badly is an
//! answer too.

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{Observation, ProbeKind, Seen, Target, Why};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "observer-isolated",
    meaning: "no canary and no target answers: defib itself is cut off, and says nothing about the rest",
    layer: Layer::Observer,
    class: Class::Outage,
    scope: Scope::Cluster,
    reads: &[ProbeKind::Canary],
    explained_by: &[],
    timing: Timing::ms(0, 3_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    if view.elsewhere.answers {
        return Verdict::Clear;
    }
    if answers(view) > 0 {
        return Verdict::Clear;
    }
    let own_side = |seen: &&Observation| matches!(seen.seen, Seen::Unknown(Why::OwnSide(_)));
    let mute = present(view).filter(|seen| !own_side(seen)).count();
    if mute == 0 && view.elsewhere.canaries_mute == 0 {
        let why = present(view).find(own_side).map(|seen| match &seen.seen {
            Seen::Unknown(why) => format!("no question left this host: {why}"),
            _ => String::new(),
        });
        return Verdict::Unknown(why.unwrap_or_else(|| "nothing was seen yet".to_owned()));
    }
    if view.elsewhere.canaries > view.elsewhere.canaries_mute {
        return Verdict::Unknown("a canary was not heard yet".to_owned());
    }
    Verdict::Raised(match view.elsewhere.canaries {
        0 => format!("none of {mute} probes is answered, and no canary is configured"),
        canaries => format!("none of {mute} probes is answered, nor any of {canaries} canaries"),
    })
}

/// What was asked of the cluster lately, over a wire. Kinds that are asked seldom count for long, so their last answer says
/// nothing of the present; and what is read on our own disk says nothing of any wire.
fn present<'a>(view: &View<'a>) -> impl Iterator<Item = &'a Observation> {
    let now = view.now;
    let fresh = view.world.all().filter(move |seen| now.since(seen.at) <= seen.kind.max_age());
    fresh.filter(|seen| seen.kind.every() <= ProbeKind::Canary.every() && !matches!(seen.target, Target::Own(_)))
}

/// How many of those questions were answered.
pub(crate) fn answers(view: &View<'_>) -> usize {
    present(view).filter(|seen| answered(&seen.seen)).count()
}

/// Something at the other end spoke, at least its kernel.
pub(crate) fn answered(seen: &Seen) -> bool {
    match seen {
        Seen::Healthy(_) => true,
        Seen::Unhealthy(failure) => failure.proves_machine(),
        Seen::Unknown(Why::Unauthorized(_)) => true,
        Seen::Unknown(Why::OwnSide(_)) => false,
    }
}
