//! What was seen before is seen again for nothing: an observation without news takes nothing from the allocator.
//!
//! Most observations of a fleet that is well are such. Left out: how long it takes, and what figures that are kept for a window
//! take (`tests/bench/engine`); what is judged once a second, for time itself makes news.

use std::alloc::System;
use std::time::Duration;

use defib::model::Model;
use defib::model::vip::Way;
use defib_engine::event::{Event, Saved};
use defib_engine::fleet::Fleet;
use defib_engine::observation::{Observation, Path, ProbeKind, Target};
use defib_engine::settings::{ClusterSettings, Settings};
use defib_engine::time::{Now, Tick, UnixMs};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NODES: [&str; 3] = ["cp1", "cp2", "cp3"];
/// Of these every answer is kept, for rates and quantiles.
const KEPT: [ProbeKind; 2] = [ProbeKind::EtcdMetrics, ProbeKind::TalosMachine];

fn now(at: Tick) -> Now {
    Now { mono: at, wall: UnixMs(1_771_286_400_000).after(at.since(Tick(0))) }
}

/// Everything that a cluster is asked, with what the model answers.
fn round(model: &mut Model, at: Tick) -> Vec<Observation> {
    let own = |kind| match kind {
        ProbeKind::Vip => vec![Target::Vip("prod".to_owned())],
        ProbeKind::Credentials => vec![Target::Own("prod".to_owned())],
        ProbeKind::Canary => Vec::new(),
        _ => NODES.map(|node| Target::Node("prod".to_owned(), node.to_owned())).to_vec(),
    };
    let asked = ProbeKind::common().flat_map(|kind| own(kind).into_iter().map(move |target| (target, kind)));
    model.advance(at);
    asked
        .map(|(target, kind)| {
            let seen = model.answer(&target, kind).1;
            Observation { target, path: Path::Direct, kind, sent: at, at, seen }
        })
        .collect()
}

#[test]
fn what_was_seen_before_takes_nothing_from_the_allocator() {
    let cluster = ClusterSettings {
        nodes: NODES.map(str::to_owned).to_vec(),
        sources: ProbeKind::common().collect(),
        ..ClusterSettings::default()
    };
    let playbooks = defib::playbook::load(defib::playbook::SHIPPED, None).unwrap();
    let settings = Settings { clusters: [("prod".to_owned(), cluster)].into(), playbooks, ..Settings::default() };
    let mut model = Model::well(3, Way::Talos, 1);
    let mut fleet = Fleet::restore(&settings, &Saved::default(), now(Tick(0)));
    let mut last = Vec::new();
    for second in 1..=60 {
        let at = Tick(second * 1_000);
        last = round(&mut model, at);
        for observation in last.clone() {
            fleet.handle(Event::Observed(observation), now(at));
        }
        while fleet.poll(now(at)).is_some() {}
    }
    let again = Tick(60_000) + Duration::from_millis(100);
    for observation in last.into_iter().filter(|one| !KEPT.contains(&one.kind)) {
        let (kind, target) = (observation.kind.name(), observation.target.to_string());
        let event = Event::Observed(Observation { sent: again, at: again, ..observation });
        let counted = Region::new(COUNTED);
        fleet.handle(event, now(again));
        let news = fleet.poll(now(again)).is_some();
        let taken = counted.change();
        assert_eq!((news, taken.allocations + taken.reallocations), (false, 0), "{kind} of {target}");
    }
}
