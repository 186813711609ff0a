//! A machine without a watchdog: one that freezes stays frozen until somebody pulls its plug.
//!
//! Talos feeds a hardware watchdog where it is told to (`WatchdogTimerConfig`, 1 m by default), and the hardware resets a
//! machine whose Talos has stopped. Incident A of 2026-02 had a node that was frozen for hours and nobody who could reach
//! it. Read off the resource `WatchdogTimerStatuses.runtime.talos.dev`, which exists where a watchdog is fed.

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "watchdog-off",
    meaning: "Talos feeds no hardware watchdog on the machine: if it freezes, nothing resets it",
    layer: Layer::Machine,
    class: Class::Advice,
    scope: Scope::Node,
    reads: &[ProbeKind::TalosMachine],
    explained_by: &[],
    timing: Timing::ms(60_000, 0),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let Some(machine) = view.machine(node) else { return Verdict::Unknown(view.why(node, ProbeKind::TalosMachine)) };
    match machine.watchdog {
        Some(true) => Verdict::Clear,
        Some(false) => Verdict::Raised(
            "no watchdog is fed; a WatchdogTimerConfig has the machine reset when it freezes".to_owned(),
        ),
        None => Verdict::Unknown("talos.machine: whether a watchdog is fed was not told".to_owned()),
    }
}
