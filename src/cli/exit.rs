//! Exit codes, and nothing else decides one.
//!
//! | code | `check`, `status`, `explain` | `recover` | the others |
//! |---|---|---|---|
//! | 0 | healthy | recovered, or nothing to do; with `--dry-run` also: nothing holds the plan | done; `replay`: no action differs |
//! | 1 | an outage is known | acted and not recovered | `replay`: an action differs |
//! | 2 | misuse, or a configuration that is wrong | the same, or nobody can be asked | the same |
//! | 3 | somebody else has the journal and does not answer | the same, or held, or declined | the same, or refused |
//! | 4 | nothing is known to be wrong, and something that matters is not known | cannot tell | no daemon answers |
//!
//! Precedence: 2, then 1, then 3, then 4, then 0.

use std::process::ExitCode;

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
