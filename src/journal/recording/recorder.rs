//! The last minutes of every cluster, ready to be kept.
//!
//! What goes into the engine is written down in memory as it comes, line by line, and forgotten from the front: by time
//! and by bytes. When an incident opens, what is there goes to the [`Keeper`], and everything that follows, until the cluster
//! has been quiet for a while. What was reserved, paused and routed before the first line that is left is carried along,
//! so that the recording can always say with what the engine began.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use defib_engine::command::Ask;
use defib_engine::event::{Event, Saved};
use defib_engine::observation::ClusterId;
use defib_engine::record::{Batch, IncidentState, Record};
use defib_engine::settings::Settings;
use defib_engine::time::Now;
use serde_json::Value;

use super::shape::Shape;
use super::{Cluster, FILE_MAX, Header, Intended, Keeper, Line, Memory, Told, Wrote, one};
use crate::journal::account;

/// So much is remembered: a pod counts as settled after five minutes, a rate is known after as many.
const REMEMBERED: Duration = Duration::from_secs(420);
/// Of all clusters together.
const BYTES_MAX: usize = 128 * 1024 * 1024;
/// Of one cluster: three nodes write about 6 kB a second, so seven minutes of them take 2.6 MB.
const BYTES_OF_ONE: usize = 16 * 1024 * 1024;
/// A recording goes on for so long after its cluster's last incident closed.
const QUIET: Duration = Duration::from_secs(60);
/// And for so long at most.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// The flight recorder of every cluster.
#[derive(Debug)]
pub struct Recorder {
    settings: Settings,
    /// What is watched is a model.
    model: bool,
    keeper: Keeper,
    /// What one ring may take.
    bytes_each: usize,
    /// When the turn began that is not over.
    now: Now,
    rings: BTreeMap<ClusterId, Ring>,
}

/// One cluster's.
#[derive(Debug)]
struct Ring {
    /// What the engine would have to be told to begin at the first line that is left.
    saved: Saved,
    /// When that was.
    begins: Now,
    /// Nothing was forgotten since the program began.
    from_start: bool,
    lines: VecDeque<Kept>,
    bytes: usize,
    /// Events of the turn that is not over.
    events: Vec<Value>,
    /// Incidents that have not closed.
    incidents: BTreeSet<String>,
    file: Option<Open>,
}

/// A line that is remembered.
#[derive(Debug)]
struct Kept {
    now: Now,
    bytes: Vec<u8>,
    /// What was written, where that changes what a start is told.
    batch: Option<Box<Batch>>,
}

/// A recording that goes on.
#[derive(Debug)]
struct Open {
    since: Now,
    /// The last incident closed then.
    quiet_since: Option<Now>,
    bytes: u64,
}

impl Recorder {
    /// Begins with what the engine begins with.
    #[must_use]
    pub fn new(settings: &Settings, saved: &Saved, now: Now, model: bool, keeper: Keeper) -> Recorder {
        let ring = |id: &ClusterId| Ring {
            saved: of_one(saved, id),
            begins: now,
            from_start: true,
            lines: VecDeque::new(),
            bytes: 0,
            events: Vec::new(),
            incidents: BTreeSet::new(),
            file: None,
        };
        let rings = settings.clusters.keys().map(|id| (id.clone(), ring(id))).collect();
        let bytes_each = (BYTES_MAX / settings.clusters.len().max(1)).min(BYTES_OF_ONE);
        Recorder { settings: settings.clone(), model, keeper, bytes_each, now, rings }
    }

    /// Takes what is about to go into the engine.
    pub fn takes(&mut self, event: &Event) {
        let cluster = match event {
            Event::Asked(command) if matches!(command.ask, Ask::Preview(_)) => return,
            Event::Observed(seen) => seen.target.cluster(),
            Event::Suspected { target, .. } => target.cluster(),
            Event::Stored { cluster, .. } | Event::Ended { cluster, .. } => Some(cluster),
            Event::Asked(command) => command.ask.cluster(),
            Event::Observer(_) => None,
        };
        let value = event.put();
        match cluster {
            Some(cluster) => {
                if let Some(ring) = self.rings.get_mut(cluster) {
                    ring.events.push(value);
                }
            }
            None => self.rings.values_mut().for_each(|ring| ring.events.push(value.clone())),
        }
    }

    /// The events of this turn are in the engine, which judges these clusters now.
    pub fn turns<'a>(&mut self, now: Now, mut due: impl Iterator<Item = &'a ClusterId>) {
        self.now = now;
        let mut next = due.next();
        for (id, ring) in &mut self.rings {
            let judged = next == Some(id);
            if judged {
                next = due.next();
            }
            if judged || !ring.events.is_empty() {
                let events = Value::Array(std::mem::take(&mut ring.events));
                let turn =
                    Value::Object([("now".to_owned(), now.put()), ("events".to_owned(), events)].into_iter().collect());
                ring.line(
                    id,
                    (&self.keeper, self.bytes_each),
                    Kept { now, bytes: super::sealed(&one("turn", turn)), batch: None },
                );
            }
            ring.rest(id, now, &self.keeper);
        }
    }

    /// Takes what the engine wrote down in this turn.
    pub fn wrote(&mut self, batch: &Batch) {
        let now = self.now;
        let Some(ring) = self.rings.get_mut(&batch.cluster) else { return };
        let rows = account::rows(batch, None);
        let line = Line::Wrote(Wrote {
            now,
            batch: batch.id,
            records: rows.records.into_iter().map(|row| Told { kind: row.kind, body: row.body }).collect(),
            steps: rows
                .intents
                .into_iter()
                .map(|row| Intended {
                    step: row.step,
                    run: row.run,
                    playbook: row.playbook,
                    node: row.node,
                    action: row.action,
                })
                .collect(),
        });
        let kept = Kept { now, bytes: line.write(), batch: Some(Box::new(batch.clone())) };
        ring.line(&batch.cluster, (&self.keeper, self.bytes_each), kept);
        for record in &batch.records {
            let Record::Incident { incident, state, .. } = record else { continue };
            if *state == IncidentState::Closed {
                ring.incidents.remove(incident);
                continue;
            }
            let opens = ring.incidents.insert(incident.clone());
            if opens && ring.file.is_none() {
                ring.keep(&batch.cluster, incident, now, (&self.settings, self.model), &self.keeper);
            }
        }
    }
}

impl Ring {
    /// Remembers a line, forgets what is too old or too much, and writes it where a recording goes on.
    fn line(&mut self, id: &str, (keeper, bytes_max): (&Keeper, usize), kept: Kept) {
        if let Some(file) = &mut self.file {
            file.bytes += kept.bytes.len() as u64;
            if !keeper.more(id, kept.bytes.clone()) {
                tracing::warn!(cluster = id, "the recording ends early: its disk is too slow");
                keeper.end(id);
                self.file = None;
            }
        }
        let now = kept.now;
        self.bytes += kept.bytes.len();
        self.lines.push_back(kept);
        let old = |first: &Kept| now.mono.since(first.now.mono) > REMEMBERED;
        while let Some(first) = self.lines.front()
            && (self.bytes > bytes_max || old(first))
        {
            self.forget();
        }
    }

    /// Forgets the first turn, with what was written in it.
    fn forget(&mut self) {
        while let Some(first) = self.lines.pop_front() {
            self.from_start = false;
            self.bytes -= first.bytes.len();
            let passed = first.now.mono.since(self.begins.mono);
            self.begins = first.now;
            match first.batch {
                Some(batch) => account::follow(&mut self.saved, &batch, passed),
                None => account::age_by(&mut self.saved, passed),
            }
            if self.lines.front().is_none_or(|next| next.batch.is_none()) {
                break;
            }
        }
    }

    /// An incident opened: what is remembered goes to the disk.
    fn keep(&mut self, id: &str, incident: &str, now: Now, (settings, model): (&Settings, bool), keeper: &Keeper) {
        let header = Header {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            model,
            cluster: id.to_owned(),
            incident: incident.to_owned(),
            opened: now,
            begins: self.begins,
            from_start: self.from_start,
            mode: settings.mode,
            settings: Cluster(settings.clusters.get(id).cloned().unwrap_or_default()),
            canaries: settings.canaries.clone(),
            playbooks: settings.playbooks.iter().map(|one| (one.name.clone(), one.text.clone())).collect(),
            saved: Memory(self.saved.clone()),
        };
        let mut bytes = Line::Header(Box::new(header)).write();
        self.lines.iter().for_each(|line| bytes.extend_from_slice(&line.bytes));
        let length = bytes.len() as u64;
        if keeper.begin(id, name(id, incident, now), bytes) {
            self.file = Some(Open { since: now, quiet_since: None, bytes: length });
        } else {
            tracing::warn!(cluster = id, incident, "no recording: the disk is too slow");
        }
    }

    /// Ends the recording when its cluster is quiet, or it is long enough.
    fn rest(&mut self, id: &str, now: Now, keeper: &Keeper) {
        let Some(file) = &mut self.file else { return };
        file.quiet_since = if self.incidents.is_empty() { file.quiet_since.or(Some(now)) } else { None };
        let quiet = file.quiet_since.is_some_and(|since| now.mono.since(since.mono) >= QUIET);
        let why = if quiet {
            "the cluster has been quiet for a minute"
        } else if now.mono.since(file.since.mono) >= LONGEST {
            "it has gone on for six hours"
        } else if file.bytes >= FILE_MAX / 2 {
            "it is long enough"
        } else {
            return;
        };
        keeper.more(id, Line::End(why.to_owned()).write());
        keeper.end(id);
        self.file = None;
    }
}

impl Drop for Recorder {
    /// The program ends: so do its recordings.
    fn drop(&mut self) {
        for (id, _) in self.rings.iter().filter(|(_, ring)| ring.file.is_some()) {
            self.keeper.more(id, Line::End("its defib was ended".to_owned()).write());
            self.keeper.end(id);
        }
    }
}

/// What an earlier process left of one cluster.
fn of_one(saved: &Saved, id: &ClusterId) -> Saved {
    fn mine<T: Clone>(map: &BTreeMap<ClusterId, T>, id: &ClusterId) -> BTreeMap<ClusterId, T> {
        map.get(id).map(|one| (id.clone(), one.clone())).into_iter().collect()
    }
    Saved {
        reservations: saved.reservations.iter().filter(|one| one.cluster == *id).cloned().collect(),
        last_incident: mine(&saved.last_incident, id),
        last_run: mine(&saved.last_run, id),
        routes: mine(&saved.routes, id),
        pauses: mine(&saved.pauses, id),
        acks: saved.acks.iter().filter(|one| one.what.cluster == *id).cloned().collect(),
        incidents: mine(&saved.incidents, id),
        left: mine(&saved.left, id),
    }
}

/// `prod-I-7-20260217T000530Z`: what a cluster's name must not be in a file's name is a line.
fn name(cluster: &str, incident: &str, now: Now) -> String {
    let safe = |text: &str| -> String {
        text.chars().map(|one| if one.is_ascii_alphanumeric() || one == '-' { one } else { '_' }).collect()
    };
    let at: String = crate::report::wall::date_time(now.wall.0).chars().filter(|one| !"-:".contains(*one)).collect();
    format!("{}-{}-{at}", safe(cluster), safe(incident))
}
