//! Has Talos stop the running container of a static pod, so that the kubelet makes another.
//!
//! Which container that is, is asked first: its id changes with every restart. Where none of that name runs there is
//! nothing to stop, and nothing is sent.

use std::time::{Duration, Instant};

use defib_engine::playbook::RestartableContainer;
use defib_engine::record::Outcome;

use super::ending::Stopped;
use crate::client::talos::Talos;

/// For the question; the order must leave before the permission ends.
const ASK_WITHIN: Duration = Duration::from_millis(1_200);

pub(super) async fn run(
    talos: &Talos,
    container: RestartableContainer,
    send_before: Instant,
    deadline: Duration,
) -> Outcome {
    let listed = match talos.containers(ASK_WITHIN).await {
        Ok(listed) => listed,
        Err(trouble) => return Outcome::Failed(format!("which container runs is not known: {trouble}")),
    };
    let running = listed.iter().find(|one| one.running && one.name == container.name());
    let Some(running) = running else {
        return Outcome::Failed(format!("no container {} runs", container.name()));
    };
    match talos.restart_container(running, send_before.into(), deadline).await {
        Ok(()) => Outcome::Done(format!("Talos stopped {} {}", container.name(), running.id)),
        Err(error) => Stopped::from(error).into(),
    }
}
