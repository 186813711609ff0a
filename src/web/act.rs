//! The forms that change something, and what a posted one means.
//!
//! A form carries this process's token and a number of its own: the same form sent twice is carried out once, and told the
//! same answer. Each needs a confirmation: a mark for a recovery that touches a service, the node's name for one that may
//! hurt more. What is asked goes to the engine, as from the command line, and is written down as the dashboard's.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use defib_engine::command::{Ask, Recover, Reply};

use super::guard::Form;

/// Where somebody asks, behind their name in the journal.
pub(super) const BY: &str = "on the dashboard";
/// So many answers are kept for those who send a form again.
const ANSWERS_MAX: usize = 64;

/// What posted forms came to, the newest last.
#[derive(Debug, Default)]
pub(super) struct Once(Mutex<VecDeque<(String, Option<String>)>>);

impl Once {
    /// Takes a form's number; false where it was taken before.
    pub(super) fn take(&self, number: &str) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.iter().any(|(one, _)| one == number) {
            return false;
        }
        known.push_back((number.to_owned(), None));
        if known.len() > ANSWERS_MAX {
            known.pop_front();
        }
        true
    }

    /// Keeps what it came to.
    pub(super) fn answer(&self, number: &str, text: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, answer)) = known.iter_mut().find(|(one, _)| one == number) {
            *answer = Some(text.to_owned());
        }
    }

    /// What a form came to.
    pub(super) fn said(&self, number: &str) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(one, _)| one == number).and_then(|(_, text)| text.clone())
    }
}

/// What a person wishes of a recovery besides. A plan is another one with it: the same checks hold or pass otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// Do not wait for the playbook's `for`.
    pub(super) waive_for: bool,
    /// Pass the limits.
    pub(super) pass_limits: bool,
}

impl Wish {
    /// As it stands in an address or a form.
    pub(super) fn of(form: &Form) -> Wish {
        let says = |name: &str| form.get(name) == "yes";
        Wish { waive_for: says("waive_for"), pass_limits: says("pass_limits") }
    }

    /// What of it is wished, by the names in addresses and forms.
    pub(super) fn fields(self) -> impl Iterator<Item = &'static str> {
        let wished = [("waive_for", self.waive_for), ("pass_limits", self.pass_limits)];
        wished.into_iter().filter(|(_, wished)| *wished).map(|(name, _)| name)
    }
}

/// What a posted form means.
///
/// # Errors
/// What is missing, in words for the person.
pub(super) fn meant(what: &str, cluster: &str, form: &Form) -> Result<Ask, String> {
    let given = |name: &str| Some(form.get(name).to_owned()).filter(|text| !text.is_empty());
    let cluster = cluster.to_owned();
    match what {
        "pause" => {
            let reason = given("reason").ok_or("a pause needs a reason: who reads this at night wants to know why")?;
            let for_ = length(form.get("for"))?;
            Ok(Ask::Pause { cluster: Some(cluster), reason, for_ })
        }
        "resume" => Ok(Ask::Resume { cluster: Some(cluster) }),
        "recover" => {
            let (playbook, node) =
                (given("playbook").ok_or("which playbook?")?, given("node").ok_or("on which node?")?);
            let plan = given("plan").ok_or("the plan that you saw is missing: review it again")?;
            if form.get("confirm") != node {
                return Err(format!("not confirmed: type the node's name, {node}, beside the button"));
            }
            let Wish { waive_for, pass_limits } = Wish::of(form);
            let (playbook, node, plan) = (Some(playbook), Some(node), Some(plan));
            Ok(Ask::Recover(Recover { cluster, playbook, node, plan, waive_for, pass_limits }))
        }
        _ => Err("there is no such action".to_owned()),
    }
}

fn length(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("for how long? {text:?} is no duration such as 30m: {error}"))
}

/// An answer in a sentence.
pub(super) fn told(reply: &Reply) -> String {
    match reply {
        Reply::Done(text) | Reply::Nothing(text) | Reply::Refused(text) => text.clone(),
        Reply::Preview(_) => "nothing was asked for".to_owned(),
        Reply::Started { run } => format!("{run} is under way"),
        Reply::Held(preview) => {
            let holds = preview
                .plans
                .first()
                .map(|plan| plan.judgement.holds.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
            format!("held, nothing was done: {}", holds.unwrap_or_default())
        }
        Reply::Changed(_) => "nothing was done: the plan is not the one that you saw; review it again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_is_sent_twice_is_taken_once() {
        let once = Once::default();
        assert!(once.take("a"));
        assert!(!once.take("a"));
        once.answer("a", "R-1 is under way");
        assert!(!once.take("a"));
        assert_eq!((once.said("a"), once.said("b")), (Some("R-1 is under way".to_owned()), None));
        for number in 0..ANSWERS_MAX {
            once.take(&number.to_string());
        }
        assert_eq!(once.said("a"), None, "what is kept is bounded");
    }

    #[test]
    fn a_pause_needs_a_reason_and_an_end() {
        let meant = |text| meant("pause", "prod", &Form::read(text));
        assert!(meant("for=30m").unwrap_err().contains("reason"));
        assert!(meant("for=30m&reason=+").unwrap_err().contains("reason"));
        assert!(meant("reason=x").unwrap_err().contains("for how long"));
        assert!(meant("reason=x&for=soon").unwrap_err().contains("soon"));
        let for_ = Duration::from_secs(1800);
        assert_eq!(
            meant("reason=x&for=30m"),
            Ok(Ask::Pause { cluster: Some("prod".into()), reason: "x".into(), for_ })
        );
    }

    #[test]
    fn a_recovery_needs_the_plan_and_the_nodes_name() {
        let meant = |text| meant("recover", "prod", &Form::read(text));
        assert!(meant("playbook=p&node=cp1&plan=f").unwrap_err().contains("type the node's name"));
        assert!(meant("playbook=p&node=cp1&plan=f&confirm=cp2").is_err());
        assert!(meant("playbook=p&node=cp1&confirm=cp1").unwrap_err().contains("plan"));
        let Ok(Ask::Recover(recover)) = meant("playbook=p&node=cp1&plan=f&confirm=cp1&waive_for=yes") else {
            panic!("it is a recovery");
        };
        assert_eq!((recover.plan.as_deref(), recover.waive_for, recover.pass_limits), (Some("f"), true, false));
        assert!(super::meant("erase", "prod", &Form::default()).is_err());
    }
}
