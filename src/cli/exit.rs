//! Exit codes, and nothing else decides one.
//!
//! | code | `check`, `status`, `explain` | `recover` | the others |
//! |---|---|---|---|
//! | 0 | healthy | recovered, or nothing to do; with `--dry-run` also: nothing holds the plan | done; `replay`: no action differs |
//! | 1 | an outage is known | acted and not recovered | `replay`: an action differs |
//! | 2 | misuse, or a configuration that is wrong | the same, or nobody can be asked | the same |
//! | 3 | `explain`: somebody else has the journal and does not answer | the same, or held, or declined | the same, or refused |
//! | 4 | nothing is known to be wrong, and something that matters is not known; `status`: no daemon answers | cannot tell | no daemon answers |
//!
//! Precedence: 2, then 1, then 3, then 4, then 0.

use std::process::ExitCode;

use crate::api::Verdict;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0
    Well,
    /// 4
    CannotTell,
    /// 3
    Held,
    /// 1
    Unhealthy,
    /// 2
    Misuse,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Well => 0,
            Exit::Unhealthy => 1,
            Exit::Misuse => 2,
            Exit::Held => 3,
            Exit::CannotTell => 4,
        })
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Exit {
        match verdict {
            Verdict::Healthy => Exit::Well,
            Verdict::Outage => Exit::Unhealthy,
            Verdict::Unknown => Exit::CannotTell,
        }
    }
}

impl Exit {
    /// What the clusters that are watched come to. Where others should be and are not, or none is, nothing is called well;
    /// an outage that is known goes before.
    pub(super) fn of(watched: impl Iterator<Item = Verdict>, others: bool) -> Exit {
        watched.map(Exit::from).chain(others.then_some(Exit::CannotTell)).max().unwrap_or(Exit::CannotTell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_watched_is_not_well_and_hides_no_outage() {
        let of = |verdicts: &[Verdict], others| Exit::of(verdicts.iter().copied(), others);
        assert_eq!(of(&[Verdict::Healthy], false), Exit::Well);
        assert_eq!(of(&[Verdict::Healthy], true), Exit::CannotTell);
        assert_eq!(of(&[Verdict::Healthy, Verdict::Outage], true), Exit::Unhealthy);
        assert_eq!(of(&[Verdict::Unknown, Verdict::Outage], false), Exit::Unhealthy);
        assert_eq!(of(&[], false), Exit::CannotTell);
    }
}
