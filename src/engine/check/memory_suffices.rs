//! Requirement: reviving this API server has not led to its being killed for want of memory. One that was revived and
//! killed twice will be killed again: the machine is too small for it, and what helps is memory, not a restart.
//!
//! Incident B of 2025-04: an API server that grows to 1.5 GiB and more within a minute, on a machine of 3 GiB that etcd and
//! the kubelet live on too; with 5 GiB it stayed. Only what is known holds: a log that cannot be read proves no kill.

use std::time::Duration;

use super::{Case, Check, Hold, Lift};
use crate::observation::{ProbeKind, Target};
use crate::time::Human;
use crate::view::APISERVER;

pub(crate) static CHECK: Check = Check {
    name: "memory-suffices",
    meaning: "the API server was not killed for want of memory twice since this playbook ran here within the last hour",
    takes_duration: false,
    needs,
    judge,
};

const KIND: ProbeKind = ProbeKind::TalosDmesg;
/// A revival is judged by what follows it for so long; a playbook's limits give the next try then.
const WITHIN: Duration = Duration::from_secs(3_600);
/// One kill may be the last of what was there before; a second one is how it goes on.
const KILLS: usize = 2;
const MIB: u64 = 1024 * 1024;

/// That it was asked again, not that it answered.
fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    vec![(case.target(), KIND)]
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let (view, node) = (&case.view, case.patient);
    let revived = case.ledger.last_run(view.cluster, node, &case.playbook.name, case.now);
    let Some(revived) = revived.filter(|ago| *ago < WITHIN) else {
        return Ok(format!("{} did not run on {node} within {}", case.playbook.name, Human(WITHIN)));
    };
    let Some(kills) = view.oom_kills(node) else {
        return Ok(format!("whether {APISERVER} was killed is not known ({})", view.why(node, KIND)));
    };
    let since: Vec<_> = kills.iter().filter(|(kill, ago)| kill.process == APISERVER && *ago < revived).collect();
    let Some((last, _)) = since.last().filter(|_| since.len() >= KILLS) else {
        return Ok(format!("{APISERVER} was killed {} times since the last run", since.len()));
    };
    let size = if last.rss_bytes == 0 { String::new() } else { format!(", last at {} MiB", last.rss_bytes / MIB) };
    let has = view
        .machine(node)
        .map_or(String::new(), |machine| format!("; the machine has {} MiB", machine.memory_total_bytes / MIB));
    Err(Hold {
        check: CHECK.name,
        text: format!(
            "{APISERVER} was killed for want of memory {} times since it was revived {} ago{size}{has}, it needs at least 5 GiB",
            since.len(),
            Human(revived)
        ),
        lifts: Lift::At(view.now + (WITHIN - revived)),
    })
}
