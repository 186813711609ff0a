//! `defib check`: one look, without the daemon. It knows neither since when nor how often: what it shows was seen once.

use std::sync::Arc;

use defib_engine::event::{Event, Saved, Step};
use defib_engine::observation::{ClusterId, Observation, ProbeKind, Target};
use defib_engine::playbook::Playbook;
use defib_engine::record::Batch;
use defib_engine::route::Route;
use defib_engine::settings::Settings;
use defib_engine::status::Status;
use tokio::task::JoinSet;

use super::{Exit, Output, known, out, out_json, real, runtime};
use crate::api::{self, Report};
use crate::clock::Clock;
use crate::compose;
use crate::config::Config;
use crate::driver::{Driver, Ports};
use crate::observe::Observer;
use crate::report::picture;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    defib check\n  \
    defib check --cluster prod --output json | jq '.[0].root'\n\n\
    Exit codes: 0 healthy, 1 an outage is known, 2 misuse, 4 cannot tell")]
pub(super) struct Typed {
    /// Only this cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

impl Typed {
    pub(super) fn of(cluster: Option<String>, output: Output) -> Typed {
        Typed { cluster, output }
    }
}

pub(super) fn main(typed: &Typed, mut config: Config, playbooks: Vec<Playbook>) -> Exit {
    if let Err(exit) = real(&config) {
        return exit;
    }
    if let Some(name) = &typed.cluster {
        if let Err(exit) = known(name, &config) {
            return exit;
        }
        config.clusters.retain(|cluster| cluster.name == *name);
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let reports = runtime.block_on(look(&config, playbooks));
    if typed.output == Output::Json {
        let wrote = out_json(&reports);
        return worst(&reports).max(wrote);
    }
    for report in &reports {
        out(&picture::screen(report));
    }
    worst(&reports)
}

fn worst(reports: &[Report]) -> Exit {
    reports.iter().map(|report| Exit::from(report.verdict)).max().unwrap_or(Exit::Well)
}

/// Asks everything once, all at once, and judges it.
async fn look(config: &Config, playbooks: Vec<Playbook>) -> Vec<Report> {
    let clock = Clock::start();
    let settings = Settings { seen_once: true, ..compose::settings(config, playbooks) };
    let observer = Arc::new(Observer::new(&config.clusters, &config.canaries, clock));
    let mut probes = JoinSet::new();
    for (target, _, kind) in observer.wishes() {
        let observer = Arc::clone(&observer);
        probes.spawn(async move { observer.probe(&target, kind).await });
    }
    let mut seen: Vec<Observation> = probes.join_all().await;
    seen.sort_by(|a, b| (&a.target, a.kind).cmp(&(&b.target, b.kind)));

    let mut driver = Driver::new(&settings, &Saved::default(), clock.now(), Watching);
    let now = clock.now();
    driver.turn(seen.iter().cloned().map(Event::Observed), now);
    let report = |cluster: &crate::config::Cluster| {
        let mine: Vec<_> =
            seen.iter().filter(|one| one.target.cluster().is_none_or(|id| *id == cluster.name)).collect();
        let nodes = cluster.nodes.iter().map(|node| node.name.clone()).collect();
        let status = driver.status(&cluster.name)?;
        Some(api::report(&cluster.name, nodes, config.mode, status, &mine, now.mono.0))
    };
    config.clusters.iter().filter_map(report).collect()
}

/// The ports of somebody who only looks: there is no journal, and nothing is ever started.
struct Watching;

impl Ports for Watching {
    fn write(&mut self, _: Batch) {}
    fn ask(&mut self, _: Target, _: ProbeKind) {}
    fn start(&mut self, _: Step) {}
    fn route(&mut self, _: &ClusterId, _: Route) {}
    fn publish(&mut self, _: &ClusterId, _: &Status) {}
}
