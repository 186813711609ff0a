//! Talos says that the kubelet does not run.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "kubelet-down",
    meaning: "Talos answers and says that its kubelet service is not running; static pods are not looked after",
    layer: Layer::Machine,
    class: Class::Outage,
    scope: Scope::Node,
    reads: &[ProbeKind::TalosServices],
    explained_by: &[Because::structural("observer-isolated", Relation::Cluster)],
    // Talos itself starts a kubelet that exited again after 5 s; a restart by hand is over sooner.
    timing: Timing::ms(4_000, 0),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let Some(services) = view.services(node) else {
        let look = view.look_node(node, ProbeKind::TalosServices);
        let why = look.unknown(ProbeKind::TalosServices).or_else(|| look.failure().map(|f| format!("talos: {f}")));
        return Verdict::Unknown(why.unwrap_or_default());
    };
    match services.service("kubelet") {
        Some(kubelet) if kubelet.is_running() => Verdict::Clear,
        Some(kubelet) => Verdict::Raised(format!("talos says kubelet is {}", kubelet.state)),
        None => Verdict::Unknown("talos lists no kubelet".to_owned()),
    }
}
