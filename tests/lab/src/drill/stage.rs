//! What a drill is played on: the lab, the lab's own probes, and defib when it takes part.
//!
//! Everything that a drill asks of the lab goes through here, so that a drill's own file reads as its plot. Dropping a
//! stage ends the probes and defib. Left out: healing, which the caller does even when the plot fails.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::DrillError;
use super::client::Client;
use super::clock::UnixMs;
use super::defib::{self, Defib};
use super::judge::Call;
use super::probe::Probes;
use super::story::{Story, Voice};
use crate::fault::{Fault, FaultError};
use crate::https::{HttpsClient, HttpsError};
use crate::layout::{API_PORT, LIFELINE, Layout, Node, Part, Place, VIP};
use crate::system::namespace;
use crate::{Lab, LabError, UpOptions};

/// The VIP's name among the probes' targets; the others have their node's.
pub(super) const VIP_TARGET: &str = "vip";
/// Where the lab's configurations let defib listen, on the ops host.
const DEFIB_LISTENS: ([u8; 4], u16) = ([127, 0, 0, 1], 9870);

/// The log of the drill's defib.
pub(super) fn defib_log(layout: &Layout) -> PathBuf {
    layout.run().join("drill-defib.log")
}

/// The lab that is up, or one raised for this drill; true for the latter.
pub(super) fn lab(story: &Story) -> Result<(Lab, bool), DrillError> {
    match Lab::attach() {
        Err(LabError::NotUp) => {}
        found => {
            let lab = found?;
            if !lab.faults()?.is_empty() {
                story.say(Voice::Lab, "mends what is broken in the lab that is up");
                lab.heal()?;
            }
            return Ok((lab, false));
        }
    }
    story.say(Voice::Lab, "raises a lab; this takes about a minute");
    Ok((Lab::up(&UpOptions { say: told_to_stderr })?, true))
}

/// The lab's own client, with an administrator's certificate.
fn client(layout: &Layout) -> Result<HttpsClient, HttpsError> {
    HttpsClient::new(&layout.certificate("kubernetes-ca"), &layout.certificate("admin"), &layout.key("admin"))
}

fn empty(path: &Path) -> std::io::Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    removed.or_else(|e| if e.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
}

/// What happens while a lab is raised is no part of the story.
fn told_to_stderr(line: &str) {
    // Nobody is left to be told when stderr is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The lab during a drill.
pub(super) struct Stage<'a> {
    lab: &'a Lab,
    program: Option<PathBuf>,
    defib: Option<Defib>,
    /// Where everything lies.
    pub(super) layout: Layout,
    /// The lab's own probes.
    pub(super) probes: Probes,
    /// The story, told by everybody.
    pub(super) story: Arc<Story>,
}

impl<'a> Stage<'a> {
    /// Sets the lab's probes to work. `program` is defib's, if it takes part.
    pub(super) fn set(lab: &'a Lab, program: Option<PathBuf>, story: Arc<Story>) -> Result<Self, DrillError> {
        let layout = lab.layout().clone();
        // Limits are remembered in the journal: one drill must not spend the next one's, nor be taken for it.
        for path in [layout.drill_journal(), defib_log(&layout)] {
            empty(&path).map_err(|source| DrillError::Left { path, source })?;
        }
        let client = client(&layout)?;
        let mut targets: Vec<_> = Node::ALL.iter().map(|node| (node.name().to_owned(), node.api())).collect();
        targets.push((VIP_TARGET.to_owned(), (VIP, API_PORT).into()));
        let ops = layout.namespace(Place::Ops);
        let enter = move || namespace::enter(&ops).map_err(Into::into);
        let probes = Probes::start(targets, client, Arc::clone(&story), enter)?;
        Ok(Self { lab, program, defib: None, layout, probes, story })
    }

    /// A client on the ops host that goes through defib's lifeline.
    pub(super) fn through_lifeline(&self) -> Result<Client, DrillError> {
        let ops = self.layout.namespace(Place::Ops);
        let enter = move || namespace::enter(&ops).map_err(Into::into);
        Ok(Client::start(LIFELINE.into(), client(&self.layout)?, Arc::clone(&self.story), enter)?)
    }

    /// Takes the VIP away from every node, and keeps it away.
    pub(super) fn lose_vip(&self) -> Result<(), DrillError> {
        Ok(Node::ALL.into_iter().try_for_each(|node| self.lab.break_(Fault::LoseVip(node)))?)
    }

    /// Lets the VIP's agents go on.
    pub(super) fn return_vip(&self) -> Result<(), DrillError> {
        Ok(Node::ALL.into_iter().try_for_each(|node| self.lab.mend(Fault::LoseVip(node)))?)
    }

    /// Whether defib takes part.
    pub(super) fn with_defib(&self) -> bool {
        self.program.is_some()
    }

    /// Starts defib on the ops host, in mode act, if it takes part.
    pub(super) fn start_defib(&mut self) -> Result<(), DrillError> {
        let Some(program) = &self.program else { return Ok(()) };
        let mut command = self.lab.command_in_ops(program)?;
        command.args(["run", "--config"]).arg(self.layout.drill_config());
        let log = defib_log(&self.layout);
        self.defib = Some(Defib::start(command, &log, Arc::clone(&self.story))?);
        Ok(())
    }

    /// An error once defib has ended by itself.
    pub(super) fn check_defib(&mut self) -> Result<(), DrillError> {
        self.defib.as_mut().map_or(Ok(()), |defib| defib.check().map_err(Into::into))
    }

    /// Ends defib, if it runs.
    pub(super) fn stop_defib(&mut self) {
        if self.defib.take().is_some_and(|defib| !defib.stop()) {
            self.story.say(Voice::Lab, "defib did not end well after SIGTERM");
        }
    }

    /// Whether the drill's defib says on the ops host that it is ready.
    pub(super) fn defib_is_ready(&self) -> bool {
        namespace::inside(&self.layout.namespace(Place::Ops), || defib::is_ready(DEFIB_LISTENS.into())).unwrap_or(false)
    }

    /// The database of the drill's journal.
    pub(super) fn journal(&self) -> PathBuf {
        self.layout.drill_journal().join("journal.sqlite")
    }

    /// Stops a whole machine, its network too.
    pub(super) fn freeze(&self, node: Node) -> Result<(), DrillError> {
        Ok(self.lab.break_(Fault::Freeze(node))?)
    }

    /// Stops a node's etcd without ending it.
    pub(super) fn hang_etcd(&self, node: Node) -> Result<(), DrillError> {
        Ok(self.lab.break_(Fault::Hang(node, Some(Part::Etcd)))?)
    }

    /// Lets it go on.
    pub(super) fn thaw_etcd(&self, node: Node) -> Result<(), DrillError> {
        Ok(self.lab.mend(Fault::Hang(node, Some(Part::Etcd)))?)
    }

    /// Kills a node's API server if one runs.
    pub(super) fn kill_api_server(&self, node: Node) -> Result<(), DrillError> {
        match self.lab.break_(Fault::Kill(node, Part::KubeApiserver)) {
            Err(LabError::Fault(FaultError::Absent { .. })) => Ok(()),
            made => Ok(made?),
        }
    }

    /// The calls that changed something, or were meant to, on any node since `began`; by time.
    pub(super) fn mutating_calls(&self, began: UnixMs) -> Result<Vec<Call>, DrillError> {
        let mut calls = Vec::new();
        for node in Node::ALL {
            let ours = self.lab.call_log(node)?.into_iter().filter(|call| call.mutating && call.at_ms >= began);
            calls.extend(ours.map(|call| Call {
                at: call.at_ms,
                node: call.node,
                rpc: call.rpc,
                argument: call.argument,
            }));
        }
        calls.sort_by_key(|call| call.at);
        Ok(calls)
    }
}
