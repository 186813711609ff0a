//! Drills: a control plane is broken as it once broke in earnest, and whoever watches is judged by what comes back.
//!
//! A drill runs on the lab that is up, or on one that it raises and takes down. It tells its story while it happens, ends
//! with a table of times, and gives a [`Verdict`]. The lab judges, not defib: what was done is read from the machineds'
//! call logs, service is what the lab's own probes see. Whatever happens, the faults are healed at the end. Left out: any
//! knowledge of how defib decides.

mod back_off;
mod client;
mod clock;
mod defib;
mod journal;
mod judge;
mod keep;
mod kubelet_log;
mod many;
mod probe;
mod report;
mod stage;
mod story;
mod vip_lost;

use std::path::PathBuf;
use std::sync::Arc;

pub use clock::Late;
pub use defib::DefibError;
pub use journal::JournalError;
pub use judge::{Action, Client, Held, Verdict};
pub use keep::KeepError;
pub use many::{Many, ManyOptions, Run, many};
pub use probe::ProbeError;

use crate::https::HttpsError;
use crate::{Lab, LabError};
use stage::Stage;
pub use story::Told;
use story::{Story, Voice};

/// The names of all drills.
pub const DRILLS: [&str; 2] = [BACK_OFF, vip_lost::NAME];
/// The drill of incident A's end.
pub const BACK_OFF: &str = back_off::NAME;

/// What to drill, and how to tell it.
#[derive(Clone, Debug)]
pub struct DrillOptions {
    /// One of [`DRILLS`].
    pub name: String,
    /// Without it, the cluster is alone: how long does it need by itself?
    pub with_defib: bool,
    /// The program; none: `DEFIB_BIN`, else `defib` beside this executable.
    pub defib: Option<PathBuf>,
    /// A folder that gets the story, the verdict, the journal and the logs; made when missing.
    pub keep: Option<PathBuf>,
    /// Where the story is told; it is kept whole all the same.
    pub told: Told,
}

/// Why a drill has no verdict.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// There is no such drill.
    #[error("there is no drill {0:?}; there is: {list}", list = DRILLS.join(", "))]
    Unknown(String),
    /// The lab failed.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// It is about what defib alone provides.
    #[error("the drill {0} is about defib's lifeline: without defib there is nothing to judge")]
    NeedsDefib(&'static str),
    /// Something did not come in time.
    #[error(transparent)]
    Late(#[from] Late),
    /// defib does not run.
    #[error(transparent)]
    Defib(#[from] DefibError),
    /// defib's journal tells nothing.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The lab's own probes do not run.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The lab's own probes have no client.
    #[error("the lab's own probes have no client")]
    Client(#[from] HttpsError),
    /// A kubelet's log could not be followed.
    #[error("cannot read a kubelet's log")]
    KubeletLog(#[source] std::io::Error),
    /// What an earlier drill left could not be removed.
    #[error("cannot remove {}, which an earlier drill left", path.display())]
    Left {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The story and the logs could not be kept.
    #[error(transparent)]
    Keep(#[from] KeepError),
}

/// Runs a drill from beginning to end and heals, or takes down, the lab after it. The story is told where
/// [`DrillOptions::told`] says; the verdict is the caller's to print.
pub fn run(options: &DrillOptions) -> Result<Verdict, DrillError> {
    if !DRILLS.contains(&options.name.as_str()) {
        return Err(DrillError::Unknown(options.name.clone()));
    }
    let program = options.with_defib.then(|| defib::find(options.defib.clone())).transpose()?;
    let story = Arc::new(Story::new(options.told));
    let (lab, raised) = stage::lab(&story)?;
    let claim = lab.claim()?;
    let verdict = perform(&options.name, &lab, program.clone(), &story);
    drop(claim);
    // Kept also when there is no verdict: that is when it is needed most. And before the lab, with its logs, is gone.
    let kept = options.keep.as_deref().map_or(Ok(()), |folder| keep::files(folder, lab.layout()));
    let after = if raised {
        story.say(Voice::Lab, "takes the lab down");
        lab.down()
    } else {
        story.say(Voice::Lab, "heals the lab and restarts its kubelets, so that no back-off is left");
        lab.heal()
    };
    if let Ok(verdict) = &verdict {
        story.close(&report::table(verdict, options.with_defib));
        if let (Some(program), Some(folder)) = (&program, &options.keep) {
            let here = std::env::current_dir().unwrap_or_default();
            let program = options.defib.as_ref().unwrap_or(program);
            story.close(&format!("\n{}", report::next(program, &keep::config(folder), &here)));
        }
    }
    if let Some(folder) = &options.keep {
        keep::words(folder, &story.text(), verdict.as_ref().ok())?;
    }
    let verdict = verdict?;
    kept?;
    after?;
    Ok(verdict)
}

fn perform(name: &str, lab: &Lab, program: Option<PathBuf>, story: &Arc<Story>) -> Result<Verdict, DrillError> {
    let mut stage = Stage::set(lab, program, Arc::clone(story))?;
    if name == vip_lost::NAME {
        return vip_lost::perform(&mut stage);
    }
    Ok(judge::judge(&back_off::perform(&mut stage)?))
}
