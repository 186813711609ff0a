//! What people asked of one cluster: pauses and acknowledgements in force, and answers on their way.
//!
//! A command takes effect at the poll that takes it, before anything is judged; its answer leaves when the batch that
//! tells of it is durable. Left out: the pause file's reading (the program's), and who may ask.

use super::Cluster;
use crate::check::Lift;
use crate::command::{Ask, Command, PAUSE_MAX, Pause, PauseKind, Person, Preview, Recover, Reply, WORDS_MAX};
use crate::event::{Kept, Ready};
use crate::maintenance::InForce;
use crate::observation::NodeName;
use crate::playbook::ActionClass;
use crate::record::{Batch, Order, Record};
use crate::run::Run;
use crate::time::{Human, Now, Tick};
use crate::view::Elsewhere;

/// So many commands wait for one poll; one more is refused.
const ASKED_MAX: usize = 64;

/// Who pauses, where a file does.
const PAUSE_FILE: &str = "the pause file";

/// What people asked for, and what of it is in force.
#[derive(Default)]
pub(super) struct Desk {
    /// Not taken yet.
    asked: Vec<Command>,
    /// Answers that wait until a batch is durable: its number, the command's, the answer.
    waiting: Vec<(u64, u64, Reply)>,
    /// Answers that may leave.
    replies: Vec<(u64, Reply)>,
    paused: Option<Paused>,
    /// What the pause file says, and since when it is there.
    file: Option<(Pause, Tick)>,
    /// The maintenance windows in force.
    windows: InForce,
}

/// A pause by command.
pub(super) struct Paused {
    pub(super) pause: Pause,
    /// By the clock that nobody can set.
    pub(super) ends: Tick,
    /// When it began, or this process.
    pub(super) taken: Tick,
}

impl Desk {
    /// Starts with the pause that an earlier process left in force.
    pub(super) fn open(kept: Option<&Kept<Pause>>, now: Now) -> Desk {
        let paused = kept.and_then(|kept| {
            let until = kept.what.until?;
            let whole = until.since(kept.what.since).min(PAUSE_MAX);
            let left = whole.saturating_sub(kept.age.unwrap_or_else(|| now.wall.since(kept.at)));
            let ends = now.mono + left;
            (!left.is_zero()).then(|| Paused { pause: kept.what.clone(), ends, taken: now.mono })
        });
        Desk { paused, ..Desk::default() }
    }

    /// Takes a command in.
    pub(super) fn ask(&mut self, command: Command) {
        if self.asked.len() < ASKED_MAX {
            self.asked.push(command);
        } else {
            self.replies.push((command.id, Reply::Refused(format!("{ASKED_MAX} commands wait already"))));
        }
    }

    /// The pauses in force that came after this time (none: all of them), each with what would lift it.
    pub(super) fn pauses_since(&self, since: Option<Tick>) -> impl Iterator<Item = (&Pause, Lift)> {
        let later = move |taken: Tick| since.is_none_or(|since| taken > since);
        let by_command = self.paused.iter().filter(move |paused| later(paused.taken));
        let by_command = by_command.map(|paused| (&paused.pause, Lift::At(paused.ends)));
        let by_file = self.file.iter().filter(move |(_, taken)| later(*taken));
        let windows = self.windows.iter().filter(move |(_, began, _)| later(*began));
        let windows = windows.map(|(pause, _, lifts)| (pause, lifts));
        by_command.chain(by_file.map(|(file, _)| (file, Lift::Person))).chain(windows)
    }

    /// Takes what the pause file says.
    pub(super) fn heard_file(&mut self, reason: Option<String>, now: Now) {
        let (since, taken) = self.file.take().map_or((now.wall, now.mono), |(file, taken)| (file.since, taken));
        let (kind, by, holds) = (PauseKind::File, PAUSE_FILE.to_owned(), ActionClass::Harmless);
        let pause = |reason: String| Pause { kind, by, reason: cut(&reason), since, until: None, holds };
        self.file = reason.map(|reason| (pause(reason), taken));
    }

    /// A batch was answered: what waited for it may leave.
    pub(super) fn stored(&mut self, batch: u64, result: &Result<(), String>) {
        let (due, waiting): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(|(number, ..)| *number <= batch);
        self.waiting = waiting;
        self.replies.extend(due.into_iter().map(|(_, id, reply)| match result {
            Ok(()) => (id, reply),
            Err(why) => (id, unwritten(&reply, &format!("the journal refused it: {why}"))),
        }));
    }

    /// The journal does not answer: nobody waits for it longer.
    pub(super) fn give_up_waiting(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let told = |(_, id, reply)| (id, unwritten(&reply, "the journal does not answer"));
        self.replies.extend(waiting.into_iter().map(told));
    }
}

/// What was done and could not be written down.
fn unwritten(reply: &Reply, why: &str) -> Reply {
    Reply::Refused(match reply {
        Reply::Done(text) => format!("{text}; but only until defib ends, for it is not written down: {why}"),
        _ => format!("it is not written down: {why}"),
    })
}

impl Cluster {
    /// Takes what was asked since the last poll, and ends a pause whose time has come.
    pub(super) fn take_orders(&mut self, now: Now, batch: &mut Batch) -> Vec<Command> {
        self.desk.windows.judge(&self.settings.maintenance, now);
        if self.desk.paused.as_ref().is_some_and(|paused| paused.ends <= now.mono) {
            self.desk.paused = None;
        }
        let mut later = Vec::new();
        for command in std::mem::take(&mut self.desk.asked) {
            let Command { id, by, ask } = command;
            let by = cut(&by);
            let answer = match ask {
                Ask::Pause { reason, for_, .. } => self.pause(&by, &reason, for_, now, batch),
                Ask::Resume { .. } => self.resume(),
                Ask::Ack { playbook, node, .. } => self.ack(playbook, node, now),
                ask @ (Ask::Preview(_) | Ask::Recover(_) | Ask::Approve { .. }) => {
                    later.push(Command { id, by, ask });
                    continue;
                }
            };
            match answer {
                Ok((order, text)) => {
                    batch.records.push(Record::Command { by, order });
                    self.desk.waiting.push((batch.id, id, Reply::Done(text)));
                }
                Err(reply) => self.desk.replies.push((id, reply)),
            }
        }
        later
    }

    fn pause(
        &mut self,
        by: &str,
        reason: &str,
        for_: std::time::Duration,
        now: Now,
        batch: &Batch,
    ) -> Result<(Order, String), Reply> {
        let reason = cut(reason.trim());
        if reason.is_empty() {
            return Err(Reply::Refused("a pause needs a reason".to_owned()));
        }
        if for_.is_zero() || for_ > PAUSE_MAX {
            return Err(Reply::Refused(format!("a pause lasts at most {}, not {}", Human(PAUSE_MAX), Human(for_))));
        }
        // Whoever paused for longer counts on it.
        if let Some(paused) = self.desk.paused.as_ref().filter(|paused| paused.ends > now.mono + for_) {
            let (by, left) = (&paused.pause.by, Human(paused.ends.since(now.mono)));
            let text = format!("{by} paused {} already, for {left} more: {}", self.id, paused.pause.reason);
            return Err(Reply::Refused(format!("{text}; resume first where that is to end sooner")));
        }
        let until = batch.at.after(for_);
        let pause = Pause {
            kind: PauseKind::Command,
            by: by.to_owned(),
            reason: reason.clone(),
            since: batch.at,
            until: Some(until),
            holds: ActionClass::Harmless,
        };
        self.desk.paused = Some(Paused { pause, ends: now.mono + for_, taken: now.mono });
        let text = format!("{} is paused for {}: nothing is started by itself", self.id, Human(for_));
        Ok((Order::Pause { reason, until }, text))
    }

    fn resume(&mut self) -> Result<(Order, String), Reply> {
        if self.desk.paused.take().is_none() {
            return Err(Reply::Nothing(match &self.desk.file {
                Some((file, _)) => format!("{} is paused by {}, and until that is gone", self.id, file.by),
                None if self.desk.windows.iter().next().is_some() => {
                    format!("{} is paused by a maintenance window of the configuration alone", self.id)
                }
                None => format!("{} is not paused", self.id),
            }));
        }
        Ok((
            Order::Resume,
            match &self.desk.file {
                Some((file, _)) => format!("the pause of {} by command is over; {} still pauses it", self.id, file.by),
                None => format!("{} is no longer paused", self.id),
            },
        ))
    }

    fn ack(&mut self, playbook: String, node: NodeName, now: Now) -> Result<(Order, String), Reply> {
        let known = self.playbooks.iter().find(|one| one.name == playbook);
        let climbed = known.is_some_and(|one| self.ladders.acknowledge(one, &node));
        if !self.ledger.is_exhausted(&self.id, &node, &playbook, now) && !climbed {
            return Err(Reply::Nothing(format!("{playbook} is not exhausted on {node}")));
        }
        self.ledger.acknowledge(playbook.clone(), node.clone(), now);
        let text = format!("{playbook} may run on {node} again");
        Ok((Order::Ack { playbook, node }, text))
    }

    /// Takes what asks for a recovery, or for what one would do.
    pub(super) fn take_wishes(
        &mut self,
        wishes: Vec<Command>,
        now: Now,
        elsewhere: Elsewhere,
        batch: &mut Batch,
        ready: &mut Ready,
    ) {
        for Command { id, by, ask } in wishes {
            let (wish, act) = match ask {
                Ask::Preview(wish) => (wish, false),
                Ask::Recover(wish) => (wish, true),
                Ask::Approve { run, .. } => {
                    let reply = self.approve(id, &run, by, now, elsewhere, batch, ready);
                    self.desk.replies.extend(reply.map(|reply| (id, reply)));
                    continue;
                }
                Ask::Pause { .. } | Ask::Resume { .. } | Ask::Ack { .. } => continue,
            };
            let Recover { waive_for, pass_limits, .. } = wish;
            let by_name = wish.playbook.is_some() && wish.node.is_some();
            let person = Person { by, since: now.mono, waive_for, pass_limits, by_name };
            let reply = self.wish(id, &wish, act, person, now, elsewhere, batch, ready);
            self.desk.replies.extend(reply.map(|reply| (id, reply)));
        }
    }

    /// Answers a wish at once; none: the answer waits for the batch.
    #[expect(clippy::too_many_arguments, reason = "what a poll hands on, and the wish")]
    fn wish(
        &mut self,
        id: u64,
        wish: &Recover,
        act: bool,
        person: Person,
        now: Now,
        elsewhere: Elsewhere,
        batch: &mut Batch,
        ready: &mut Ready,
    ) -> Option<Reply> {
        let refused =
            |what: &str, name: &str| Some(Reply::Refused(format!("there is no {what} {name} in this cluster")));
        if let Some(name) = wish.node.as_ref().filter(|name| !self.settings.nodes.contains(name)) {
            return refused("node", name);
        }
        if let Some(name) = wish.playbook.as_ref().filter(|name| !self.playbooks.iter().any(|one| one.name == **name)) {
            return refused("playbook", name);
        }
        let is_wished = |run: &&Run| {
            wish.playbook.as_ref().is_none_or(|name| *name == run.playbook.name)
                && wish.node.as_ref().is_none_or(|name| *name == run.patient)
        };
        // A second ask, and one for what is under way by itself, is the same run.
        if let Some(run) = self.run.as_ref().filter(|_| act).filter(is_wished) {
            return Some(Reply::Started { run: run.id.clone() });
        }
        let wished = self.wished(wish, &person, now, elsewhere);
        let preview =
            || Preview { cluster: self.id.clone(), plans: wished.iter().map(|one| one.plan.clone()).collect() };
        if !act {
            return Some(Reply::Preview(preview()));
        }
        let chosen = match &wish.plan {
            None => wished.first(),
            Some(seen) => match wished.iter().find(|one| one.plan.fingerprint == *seen) {
                None => return Some(Reply::Changed(preview())),
                found => found,
            },
        };
        let Some(chosen) = chosen.filter(|one| one.plan.would()) else {
            let called_for = wished.iter().any(|one| one.plan.called_for.is_some());
            return Some(if called_for {
                Reply::Held(preview())
            } else {
                Reply::Nothing("no open finding calls for a recovery".to_owned())
            });
        };
        let by = person.by.clone();
        let run = self.next_run();
        let run = self.begin(run, &chosen.judged, Some(person), now, batch, ready);
        let order = Order::Recover {
            run: run.clone(),
            playbook: chosen.plan.playbook.clone(),
            node: chosen.plan.node.clone(),
            waive_for: wish.waive_for,
            pass_limits: wish.pass_limits,
        };
        batch.records.push(Record::Command { by, order });
        self.answer_when_stored(batch.id, id, Reply::Started { run });
        None
    }

    /// An answer that leaves when the batch is durable.
    pub(super) fn answer_when_stored(&mut self, batch: u64, id: u64, reply: Reply) {
        self.desk.waiting.push((batch, id, reply));
    }

    /// Answers what may be answered.
    pub(super) fn answer(&mut self, ready: &mut Ready) {
        ready.replies.append(&mut self.desk.replies);
    }
}

/// At most [`WORDS_MAX`] bytes, on one line.
fn cut(words: &str) -> String {
    let one_line: String = words.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    one_line[..one_line.floor_char_boundary(WORDS_MAX)].to_owned()
}
