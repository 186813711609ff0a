//! The loop, the only one: events in, the engine's wishes out.
//!
//! `run`, `check`, the tests and whatever comes later all drive the engine through [`Driver::turn`]; only what stands
//! behind [`Ports`] differs. Time is an argument, so a turn can be replayed. Left out: waiting, which is the caller's.

use defib_engine::command::Reply;
use defib_engine::event::{Event, Ready, Saved, Step};
use defib_engine::fleet::Fleet;
use defib_engine::observation::{ClusterId, ProbeKind, Target};
use defib_engine::record::Batch;
use defib_engine::route::Route;
use defib_engine::settings::Settings;
use defib_engine::status::Status;
use defib_engine::time::{Now, Tick};

/// What the engine asks of the world. No call may block.
pub trait Ports {
    /// Writes a batch in one transaction, and answers with [`Event::Stored`].
    fn write(&mut self, batch: Batch);
    /// Asks at once; the answer is an [`Event::Observed`].
    fn ask(&mut self, target: Target, kind: ProbeKind);
    /// Starts a step, if it is not too late, and answers with [`Event::Ended`].
    fn start(&mut self, step: Step);
    /// Leads those who want an API server of the cluster this way from now on.
    fn route(&mut self, cluster: &ClusterId, route: Route);
    /// Shows what the engine makes of a cluster; called when that changed.
    fn publish(&mut self, cluster: &ClusterId, status: &Status);
    /// Sees what is about to go into the engine.
    fn takes(&mut self, event: &Event) {
        let _ = event;
    }
    /// Everything of this turn is in the engine, which judges these clusters next.
    fn turns<'a>(&mut self, now: Now, due: impl Iterator<Item = &'a ClusterId>) {
        let _ = (now, due);
    }
    /// Answers a command, by its number.
    fn reply(&mut self, command: u64, reply: Reply) {
        let _ = (command, reply);
    }
}

/// The engine between its ports.
pub struct Driver<P> {
    fleet: Fleet,
    /// What stands around the engine.
    pub ports: P,
}

impl<P: Ports> Driver<P> {
    /// Starts from the settings and from what an earlier process left behind.
    #[must_use]
    pub fn new(settings: &Settings, saved: &Saved, now: Now, ports: P) -> Driver<P> {
        Driver { fleet: Fleet::restore(settings, saved, now), ports }
    }

    /// Folds the events in and carries out everything that is ready; says when to come back if nothing happens before.
    pub fn turn(&mut self, events: impl IntoIterator<Item = Event>, now: Now) -> Option<Tick> {
        for event in events {
            self.ports.takes(&event);
            self.fleet.handle(event, now);
        }
        self.ports.turns(now, self.fleet.due(now));
        while let Some(ready) = self.fleet.poll(now) {
            self.carry_out(ready);
        }
        self.fleet.wake_at()
    }

    fn carry_out(&mut self, ready: Ready) {
        let Ready { cluster, batch, probes, start, replies, route, status_changed } = ready;
        if let Some(batch) = batch {
            self.ports.write(batch);
        }
        for (target, kind) in probes {
            self.ports.ask(target, kind);
        }
        for step in start {
            self.ports.start(step);
        }
        if let Some(route) = route {
            self.ports.route(&cluster, route);
        }
        if let (true, Some(status)) = (status_changed, self.fleet.status(&cluster)) {
            self.ports.publish(&cluster, status);
        }
        for (command, reply) in replies {
            self.ports.reply(command, reply);
        }
    }

    /// What the engine makes of a cluster.
    #[must_use]
    pub fn status(&self, cluster: &ClusterId) -> Option<&Status> {
        self.fleet.status(cluster)
    }
}
