//! Exit codes, and nothing else decides one.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | healthy, or done |
//! | 1 | unhealthy: an outage is known |
//! | 2 | misuse, or a configuration that is wrong |
//! | 3 | held: somebody else has the journal |
//! | 4 | cannot tell: nothing is known to be wrong, and something that matters is not known |
//!
//! Precedence: 2, then 1, then 4, then 0.

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
