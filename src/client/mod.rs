//! Speaking with the parts of a control plane: dialling, TLS, and telling what went wrong.
//!
//! A client is asked once and answers with what was said, or with a [`Trouble`]. It promises one deadline for everything
//! that it does (the dial included), bounded bytes, and a connection of its own to exactly one address, never through
//! another node. Cadence, and asking again, is `observe`'s. Left out: what an answer means.

pub mod bell;
pub mod certificate;
pub mod channel;
pub mod etcd;
pub mod exposition;
pub mod failure;
pub mod kept;
pub mod kubernetes;
mod remembered;
pub mod talos;
pub mod tls;

#[cfg(test)]
pub(crate) mod testing;

use std::time::Duration;

use defib_engine::observation::{Failure, Seen, Why};

/// A TCP connection is given up after this, even where the whole deadline is longer: a machine that is alive answers a
/// SYN in far less, and one lost SYN is sent again after 1 s.
pub const CONNECT_WITHIN: Duration = Duration::from_millis(1_500);

/// What is shown of a text that the other side sent: so many characters.
pub(crate) const DETAIL_CHARS: usize = 160;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The other side failed.
    #[error("{0}")]
    Failed(Failure),
    /// Nothing can be said about the other side.
    #[error("{0}")]
    Unknown(Why),
}

impl Trouble {
    /// Our own side failed before the question left. The causes are said too: nobody sees the error itself again.
    pub(crate) fn own_side(error: impl std::error::Error) -> Trouble {
        let mut said = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            said = format!("{said}: {error}");
            source = error.source();
        }
        Trouble::Unknown(Why::OwnSide(said))
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Failed(failure)
    }
}

impl From<Trouble> for Seen {
    fn from(trouble: Trouble) -> Seen {
        match trouble {
            Trouble::Failed(failure) => Seen::Unhealthy(failure),
            Trouble::Unknown(why) => Seen::Unknown(why),
        }
    }
}

/// The beginning of a text from the other side, on one line and without anything that would move a terminal's cursor.
pub(crate) fn detail(text: &str) -> String {
    let tame = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(DETAIL_CHARS).map(tame).collect()
}
