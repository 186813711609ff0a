//! Conditions on the world that must hold before a step may start: the built-in guards, which no playbook can switch off,
//! and what a playbook requires by name. Both are [`Check`]s, one a file, one line in a list.
//!
//! A check says in a few words why it passes, or gives a [`Hold`]: a decision not to act is data, with its figures and
//! with what would lift it. Left out: in which order anything is asked (`cluster`).

mod another_apiserver_ready;
mod apiserver_ready;
mod authority;
mod back_off_remaining;
mod budget;
mod etcd_data_sound;
mod etcd_member_serving;
mod etcd_not_corrupt;
mod fresh;
pub(crate) mod heir;
mod holds_vip;
mod hypervisor_reachable;
mod kube_vip;
mod member_lost;
mod memory_suffices;
mod no_ready_apiserver;
mod not_isolated;
mod not_starved;
mod one_at_a_time;
mod pod_settled;
mod quorum;
mod service;
mod talos_reachable;
mod two_views;
mod undisturbed;
mod vip_settled;
mod vm_hangs;

use std::fmt;
use std::time::Duration;

use crate::command::{Pause, Person};
use crate::ledger::Ledger;
use crate::observation::{NodeName, ProbeKind, Target};
use crate::playbook::Playbook;
use crate::settings::Mode;
use crate::time::{Human, Now, Tick};
use crate::view::View;

/// The guards, in the order in which they are judged and printed.
pub static GUARDS: &[&Check] = &[
    &fresh::CHECK,
    &not_isolated::CHECK,
    &undisturbed::CHECK,
    &quorum::CHECK,
    &service::CHECK,
    &two_views::CHECK,
    &one_at_a_time::CHECK,
    &budget::CHECK,
    &authority::CHECK,
];

/// The guards in force: all of them. Only the proof that each is needed leaves one out (`tests/simulation`); no source that
/// ships does, and `tests/tidy` looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    without: Option<&'static str>,
}

impl Guards {
    /// All but the one with this name; none where there is no such guard.
    #[must_use]
    pub fn all_but(name: &str) -> Option<Guards> {
        let without = GUARDS.iter().find(|guard| guard.name == name)?.name;
        Some(Guards { without: Some(without) })
    }

    /// Those that are judged.
    pub(crate) fn in_force(self) -> impl Iterator<Item = &'static Check> {
        GUARDS.iter().copied().filter(move |guard| self.without != Some(guard.name))
    }

    /// What is old counts as old, and a preflight asks again: the guard *fresh* is more than its check.
    pub(crate) fn wants_fresh(self) -> bool {
        self.without != Some(fresh::CHECK.name)
    }
}

/// What playbooks may require, by name.
pub static REQUIREMENTS: &[&Check] = &[
    &talos_reachable::CHECK,
    &etcd_member_serving::CHECK,
    &no_ready_apiserver::CHECK,
    &pod_settled::CHECK,
    &back_off_remaining::CHECK,
    &etcd_data_sound::CHECK,
    &etcd_not_corrupt::CHECK,
    &heir::CHECK,
    &member_lost::CHECK,
    &not_starved::CHECK,
    &apiserver_ready::CHECK,
    &another_apiserver_ready::CHECK,
    &holds_vip::CHECK,
    &kube_vip::RUNS,
    &kube_vip::ABSENT,
    &vip_settled::CHECK,
    &memory_suffices::CHECK,
    &hypervisor_reachable::CHECK,
    &vm_hangs::CHECK,
];

/// The requirement with this public name.
#[must_use]
pub fn requirement(name: &str) -> Option<&'static Check> {
    REQUIREMENTS.iter().copied().find(|check| check.name == name)
}

/// One condition.
#[derive(Debug)]
pub struct Check {
    /// The public name, in kebab-case.
    pub name: &'static str,
    /// One sentence for the reference.
    pub meaning: &'static str,
    /// It takes a duration behind its name.
    pub takes_duration: bool,
    /// The probes that it reads; they are asked again before a step.
    pub needs: fn(&Case<'_>) -> Vec<(Target, ProbeKind)>,
    /// The judgement: why it passes, or why it holds.
    pub judge: fn(&Case<'_>) -> Result<String, Hold>,
}

/// One playbook with one patient at one time: what every check judges.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// Everything known of the cluster.
    pub view: View<'a>,
    /// What would run.
    pub playbook: &'a Playbook,
    /// On which node.
    pub patient: &'a NodeName,
    /// The guards in force.
    pub guards: Guards,
    /// What was done before.
    pub ledger: &'a Ledger,
    /// May the program act.
    pub mode: Mode,
    /// Who asks for it; none: nobody.
    pub person: Option<&'a Person>,
    /// The pauses in force, each with what would lift it.
    pub pauses: &'a [(&'a Pause, Lift)],
    /// The store answers; without it nothing can be reserved.
    pub store_answers: bool,
    /// A run that is not this one and has not ended.
    pub other_run: Option<&'a str>,
    /// Both clocks.
    pub now: Now,
    /// The duration behind the check's name, where it takes one.
    pub duration: Duration,
    /// What must be fresh ([`Case::reads`]).
    pub needs: &'a [(Target, ProbeKind)],
}

impl Case<'_> {
    /// The patient as a target.
    #[must_use]
    pub fn target(&self) -> Target {
        self.view.node(self.patient)
    }

    /// This probe of every node.
    pub fn everywhere(&self, kind: ProbeKind) -> impl Iterator<Item = (Target, ProbeKind)> + use<'_> {
        self.view.nodes().iter().map(move |node| (self.view.node(node), kind))
    }

    /// An answer to this probe would lift a hold; where no source is configured for it, only a person would.
    #[must_use]
    pub fn answer(&self, kind: ProbeKind) -> Lift {
        if self.view.settings.sources.contains(&kind) { Lift::Fresh(kind) } else { Lift::Person }
    }

    /// Every check of this case with its duration: the guards, then what the playbook requires.
    pub fn checks(&self) -> impl Iterator<Item = (&'static Check, Duration)> + use<'_> {
        let guards = self.guards.in_force().map(|guard| (guard, Duration::ZERO));
        guards.chain(self.playbook.require.iter().map(|wanted| (wanted.check, wanted.duration.unwrap_or_default())))
    }

    /// What must be fresh: the probes of the finding, and those of every guard and requirement.
    #[must_use]
    pub fn reads(&self) -> Vec<(Target, ProbeKind)> {
        let finding = self.view.reads(self.playbook.when.finding, self.patient).into_iter();
        let required = self.checks().flat_map(|(check, _)| (check.needs)(self));
        let mut needs: Vec<_> = finding.chain(required).collect();
        needs.sort_unstable();
        needs.dedup();
        needs
    }

    /// Judges every check: what passed, and every hold.
    #[must_use]
    pub fn judge(&self) -> Judgement {
        let mut judgement = Judgement::default();
        for (check, duration) in self.checks() {
            match (check.judge)(&Case { duration, ..*self }) {
                Ok(why) => judgement.passed.push((check.name, why)),
                Err(hold) => judgement.holds.push(hold),
            }
        }
        judgement
    }
}

/// What all checks said of one case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Each check that passed, with its figures.
    pub passed: Vec<(&'static str, String)>,
    /// Each that did not.
    pub holds: Vec<Hold>,
}

/// A decision not to act, with its reason and what would lift it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Which check.
    pub check: &'static str,
    /// Why, with figures.
    pub text: String,
    /// What would lift it.
    pub lifts: Lift,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.text)
    }
}

/// What would lift a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lift {
    /// Time alone: at this tick.
    At(Tick),
    /// The end of a finding.
    Clears(&'static str),
    /// An answer to this probe.
    Fresh(ProbeKind),
    /// The end of a run.
    RunEnds,
    /// The journal's taking what is written again.
    Journal,
    /// Only a person.
    Person,
    /// A person's approval of what is proposed.
    Approval,
    /// A person's acknowledgement.
    Ack,
    /// Nothing that defib can name: the patient must change by itself.
    Patient,
}

impl Lift {
    /// In words, as of `now`.
    #[must_use]
    pub fn describe(&self, now: Tick) -> String {
        match self {
            Lift::At(tick) => format!("in {}", Human(tick.since(now))),
            Lift::Clears(finding) => format!("when {finding} clears"),
            Lift::Fresh(kind) => format!("when {} answers", kind.name()),
            Lift::RunEnds => "when that run ends".to_owned(),
            Lift::Journal => "when the journal answers".to_owned(),
            Lift::Person => "only by a person".to_owned(),
            Lift::Approval => "when a person approves it (defib approve)".to_owned(),
            Lift::Ack => "when a person acknowledges it (defib ack)".to_owned(),
            Lift::Patient => "when the patient changes".to_owned(),
        }
    }
}

/// For checks that read no probe.
fn nothing(_: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    Vec::new()
}

#[cfg(test)]
mod tests;
