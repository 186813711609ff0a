//! How a step ends that did not do what it should: nothing is under way any more, or nobody knows. Of a step of several parts
//! it is told besides what was done before.

use std::time::Duration;

use defib_engine::observation::Failure;
use defib_engine::record::Outcome;
use defib_engine::time::Human;

use crate::client::Trouble;
use crate::client::talos::ActError;

/// Why a step stopped.
pub(super) enum Stopped {
    /// Nothing is under way any more.
    Ended(String),
    /// What was asked for last may still take place.
    Unanswered(String),
}

impl Stopped {
    /// By what a call to a member of etcd met.
    pub(super) fn by(what: &str, trouble: &Trouble) -> Stopped {
        let why = format!("{what}: {trouble}");
        match trouble {
            Trouble::Failed(Failure::Timeout(_) | Failure::Reset) => Stopped::Unanswered(why),
            _ => Stopped::Ended(why),
        }
    }
}

impl From<ActError> for Stopped {
    fn from(error: ActError) -> Stopped {
        match error {
            ActError::NotSent(_) | ActError::Refused(_) => Stopped::Ended(error.to_string()),
            ActError::Unanswered(_) => Stopped::Unanswered(error.to_string()),
        }
    }
}

impl From<Stopped> for Outcome {
    fn from(stopped: Stopped) -> Outcome {
        match stopped {
            Stopped::Ended(why) => Outcome::Failed(why),
            Stopped::Unanswered(why) => Outcome::Unknown(why),
        }
    }
}

/// The outcome of a step of several parts, which lists in `done` what it has changed so far.
pub(super) async fn of_parts(
    deadline: Duration,
    parts: impl AsyncFnOnce(&mut Vec<String>) -> Result<(), Stopped>,
) -> Outcome {
    let mut done = Vec::new();
    let ended = tokio::time::timeout(deadline, parts(&mut done)).await;
    let so_far = if done.is_empty() { "nothing was changed".to_owned() } else { done.join(", ") };
    match ended {
        Ok(Ok(())) => Outcome::Done(so_far),
        Ok(Err(Stopped::Ended(why))) => Outcome::Failed(format!("{why}; so far: {so_far}")),
        Ok(Err(Stopped::Unanswered(why))) => Outcome::Unknown(format!("{why}; so far: {so_far}")),
        Err(_) => Outcome::Unknown(format!("not done within {}; so far: {so_far}", Human(deadline))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_may_have_worked_is_unknown() {
        let timeout = Trouble::Failed(Failure::Timeout(defib_engine::observation::Stage::Response));
        assert!(matches!(Stopped::by("compaction by cp1", &timeout), Stopped::Unanswered(_)));
        assert!(matches!(Stopped::by("compaction by cp1", &Trouble::Failed(Failure::Refused)), Stopped::Ended(_)));
    }

    #[tokio::test]
    async fn what_was_done_before_is_told() {
        let deadline = Duration::from_secs(30);
        let fails = async |done: &mut Vec<String>| {
            done.push("one".to_owned());
            Err(Stopped::Ended("two failed".to_owned()))
        };
        assert_eq!(of_parts(deadline, fails).await, Outcome::Failed("two failed; so far: one".to_owned()));
        let unheard = async |_: &mut Vec<String>| Err(Stopped::Unanswered("silence".to_owned()));
        let told = Outcome::Unknown("silence; so far: nothing was changed".to_owned());
        assert_eq!(of_parts(deadline, unheard).await, told);
        let hangs = async |done: &mut Vec<String>| {
            done.push("one".to_owned());
            std::future::pending().await
        };
        let told = Outcome::Unknown("not done within 10ms; so far: one".to_owned());
        assert_eq!(of_parts(Duration::from_millis(10), hangs).await, told);
    }
}
