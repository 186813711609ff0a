//! What one probe costs: processor time of a process that does nothing else, over many in a row.
//!
//! A child on the ops host asks the way `defib run` asks, through the same [`Observer`], so that what is measured is the
//! whole probe: TLS, protocol, and what is made of the answer. User and system time come from `getrusage`. Not in it:
//! the engine, the journal, and timers, which `resident` measures with everything else.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use defib::clock::Clock;
use defib::observe::Observer;
use defib_engine::observation::{ProbeKind, Seen, Target};
use defib_lab::layout::Node;
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use crate::trouble::Trouble;

/// Asked before anything is counted: connections are made, caches are warm.
const WARM: usize = 50;
/// So many batches share the probes: enough for a p99 that is not their maximum, and each long beside the grain of the
/// kernel's account, which is below a microsecond.
const BATCHES: usize = 100;

/// What the child prints.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// The probe's kind.
    pub(crate) kind: String,
    /// How many were counted.
    pub(crate) n: usize,
    /// How many of them were healthy.
    pub(crate) healthy: usize,
    /// Processor time of each batch, in milliseconds a probe.
    pub(crate) batches_ms: Vec<f64>,
    /// From question to answer, median, in milliseconds.
    pub(crate) took_ms: f64,
}

/// The child: asks everything that the configuration allows, `n` times each, and prints one JSON array.
pub(crate) fn child(config: &Path, n: usize) -> Result<Vec<Cost>, Trouble> {
    let read = defib::config::read_with(config, |folder| defib::playbook::load(defib::playbook::SHIPPED, folder));
    let (config, _) = read.map_err(|problems| Trouble::Config(problems.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Trouble::file("an event loop"))?;
    runtime.block_on(async {
        let observer = Arc::new(Observer::new(&config.clusters, &config.canaries, Clock::start()));
        let mut costs = Vec::new();
        for kind in ProbeKind::ALL {
            let mut asked = observer.wishes().into_iter().filter(|(target, _, of)| {
                *of == kind && !matches!(target, Target::Node(_, node) if node != Node::Cp1.name())
            });
            if let Some((target, _, _)) = asked.next() {
                costs.push(of_kind(&observer, &target, kind, n).await);
            }
        }
        Ok(costs)
    })
}

/// The spread of the batches shows how steady the figure is.
async fn of_kind(observer: &Observer, target: &Target, kind: ProbeKind, n: usize) -> Cost {
    for _ in 0..WARM.min(n) {
        observer.probe(target, kind).await;
    }
    let batch = n.div_ceil(BATCHES);
    let (mut batches_ms, mut took, mut healthy) = (Vec::new(), Vec::new(), 0);
    for _ in 0..BATCHES {
        let before = processor_time();
        for _ in 0..batch {
            let sent = Instant::now();
            let observation = observer.probe(target, kind).await;
            took.push(sent.elapsed());
            healthy += usize::from(matches!(observation.seen, Seen::Healthy(_)));
        }
        let spent = processor_time().saturating_sub(before);
        batches_ms.push(spent.as_secs_f64() * 1_000.0 / batch as f64);
    }
    took.sort();
    let took_ms = took[took.len() / 2].as_secs_f64() * 1_000.0;
    Cost { kind: kind.name().to_owned(), n: batch * BATCHES, healthy, batches_ms, took_ms }
}

/// User and system time of this process.
fn processor_time() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    let of = |time: nix::sys::time::TimeVal| {
        let us = time.tv_sec().saturating_mul(1_000_000).saturating_add(time.tv_usec());
        Duration::from_micros(u64::try_from(us).unwrap_or_default())
    };
    of(usage.user_time()) + of(usage.system_time())
}

/// What a probe of a kind may cost, in milliseconds: design §16.
pub(crate) fn goal_ms(kind: &str) -> Option<f64> {
    match kind {
        "apiserver" => Some(0.05),
        "etcd.status" => Some(0.10),
        "vip" => Some(0.35),
        _ => None,
    }
}
