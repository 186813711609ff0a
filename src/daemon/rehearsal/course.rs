//! Where the story of a rehearsal is, how fast it goes, when it is over, and what came of it.

use std::time::Duration;

use defib_engine::record::FindingKey;
use defib_engine::time::Tick;
use tokio::time::Instant;

use super::{End, Played, QUIET, Rehearsal};
use crate::journal::NewRecord;
use crate::model::bystander::Bystander;
use crate::model::story::Story;
use crate::model::{Model, STEP};

/// Service counts as back when it has been there for this long.
const STEADY: Duration = Duration::from_secs(30);
/// After the last cue; longer than the longest back-off with what follows it.
const GIVES_UP_AFTER: Duration = Duration::from_secs(1_200);
/// Records that are kept for the verdict.
const RECORDS_MAX: usize = 20_000;
/// A shorter wait is none: timers are no finer.
const WAIT_MIN: Duration = Duration::from_millis(2);

/// Where the story is, how fast it goes, and what came of it.
pub(super) struct Course {
    story: Story,
    speed: Option<f64>,
    pub(super) first: Tick,
    given: usize,
    /// What real moment belongs to what virtual one, since the speed was last set.
    since: (Instant, Tick),
    bystander: Bystander,
    pub(super) service: Vec<(Duration, bool)>,
    served_since: Option<Tick>,
    records: Vec<NewRecord>,
    pub(super) over: bool,
}

impl Course {
    pub(super) fn new(rehearsal: &Rehearsal) -> Course {
        Course::of(rehearsal.story.clone(), rehearsal.speed)
    }

    pub(super) fn of(story: Story, speed: Option<f64>) -> Course {
        let first = Tick(0) + QUIET;
        Course {
            story,
            speed,
            first,
            given: 0,
            since: (Instant::now(), first),
            bystander: Bystander::default(),
            service: Vec::new(),
            served_since: None,
            records: Vec::new(),
            over: false,
        }
    }

    pub(super) fn next_cue(&self) -> Option<Tick> {
        self.story.cues.get(self.given).map(|cue| self.first + cue.at)
    }

    /// The real moment of a virtual one; none: at once.
    fn moment(&self, tick: Tick) -> Option<Instant> {
        let speed = self.speed.filter(|_| tick > self.first)?;
        let (real, from) = self.since;
        Some(real + Duration::try_from_secs_f64(tick.since(from).as_secs_f64() / speed).unwrap_or_default())
    }

    /// Waits until this virtual moment has come; others get their turn in any case.
    pub(super) async fn wait_for(&self, tick: Tick) {
        match self.moment(tick).filter(|moment| *moment > Instant::now() + WAIT_MIN) {
            Some(moment) => tokio::time::sleep_until(moment).await,
            None => tokio::task::yield_now().await,
        }
    }

    /// The virtual moment that it is for somebody who asks between `now` and `next`.
    pub(super) fn reached(&self, now: Tick, next: Tick) -> Tick {
        let (real, from) = self.since;
        let passed = |speed: f64| Duration::try_from_secs_f64(real.elapsed().as_secs_f64() * speed).unwrap_or_default();
        self.speed.map_or(now, |speed| (from + passed(speed)).clamp(now, next))
    }

    /// Gives the cues whose time has come; says what they are.
    pub(super) fn give(&mut self, model: &mut Model, now: Tick) -> Vec<String> {
        let mut said = Vec::new();
        while self.next_cue().is_some_and(|at| at <= now) {
            if self.given == 0 {
                self.since = (Instant::now(), self.first);
            }
            let cue = &self.story.cues[self.given];
            for fault in &cue.faults {
                if cue.breaks {
                    model.inflict(fault);
                } else {
                    model.mend(fault);
                }
            }
            said.push(cue.to_string());
            self.given += 1;
        }
        said
    }

    pub(super) fn wrote(&mut self, record: NewRecord) {
        if self.records.len() < RECORDS_MAX {
            self.records.push(record);
        }
    }

    /// Lets the model move, and says what somebody who looks on says at each of its steps.
    pub(super) fn follow(&mut self, model: &mut Model, now: Tick) -> Vec<String> {
        let mut said = Vec::new();
        while model.now() + STEP <= now {
            model.advance(model.now() + STEP);
            said.append(&mut self.look(model, model.now()));
        }
        said
    }

    /// What is said of it once the story has begun.
    fn look(&mut self, model: &Model, now: Tick) -> Vec<String> {
        if self.given == 0 && now < self.first - STEADY {
            return Vec::new();
        }
        let served = model.serves();
        if self.service.last().is_none_or(|(_, was)| *was) != served {
            self.service.push((now.since(self.first), served));
        }
        self.served_since = served.then(|| self.served_since.unwrap_or(now));
        self.bystander.look(model)
    }

    pub(super) fn ends(&mut self, now: Tick, runs: bool) -> Option<End> {
        let last = self.first + self.story.lasts();
        if self.over || self.given < self.story.cues.len() {
            return None;
        }
        let steady = self.served_since.is_some_and(|since| now.since(since.max(last)) >= STEADY);
        let end = match (steady && !runs, now.since(last) >= GIVES_UP_AFTER) {
            (true, _) => End::Served,
            (false, true) => End::GaveUp,
            (false, false) => return None,
        };
        // Whoever keeps it lives with it: a second a second.
        (self.over, self.speed, self.since) = (true, Some(1.0), (Instant::now(), now));
        Some(end)
    }

    pub(super) fn played(&self, end: End, now: Tick, open: Vec<FindingKey>) -> Played {
        let (service, records) = (self.service.clone(), self.records.clone());
        Played { end, ended: now.since(self.first), service, records, open }
    }
}
