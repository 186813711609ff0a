//! Why there are no figures.

use std::path::PathBuf;
use std::time::Duration;

/// What could not be measured, and why.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The lab failed.
    #[error(transparent)]
    Lab(#[from] defib_lab::LabError),
    /// The traffic failed.
    #[error(transparent)]
    Traffic(#[from] defib_lab::traffic::TrafficError),
    /// A file could not be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A program could not be started, or ended badly.
    #[error("{program} {how}")]
    Program {
        /// The program.
        program: String,
        /// What it did.
        how: String,
    },
    /// defib's journal tells nothing.
    #[error(transparent)]
    Journal(#[from] defib::journal::JournalError),
    /// The configuration that the bench itself wrote is not understood.
    #[error("defib does not take the bench's configuration: {0}")]
    Config(String),
    /// Something did not come in time.
    #[error("waited {} s for {what}", waited.as_secs())]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
    },
    /// A measuring child printed something else than its figures.
    #[error("cannot understand what {what} printed")]
    Printed {
        /// The child.
        what: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An exchange over the network failed.
    #[error("cannot ask {who}")]
    Ask {
        /// Who was asked.
        who: String,
        /// The reason.
        source: std::io::Error,
    },
}

impl Trouble {
    /// A file's trouble, for `map_err`.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

/// Looks again and again until `look` gives something, at most for `deadline`.
pub(crate) fn wait<T>(
    what: &str,
    deadline: Duration,
    every: Duration,
    mut look: impl FnMut() -> Result<Option<T>, Trouble>,
) -> Result<T, Trouble> {
    let began = std::time::Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if began.elapsed() > deadline {
            return Err(Trouble::Late { what: what.to_owned(), waited: deadline });
        }
        std::thread::sleep(every);
    }
}
