//! Restarts a Talos service. Talos answers when the service was told to start, not when it is healthy.

use std::time::{Duration, Instant};

use defib_engine::playbook::RestartableService;
use defib_engine::record::Outcome;

use super::ending::Stopped;
use crate::client::talos::Talos;

pub(super) async fn run(
    talos: &Talos,
    service: RestartableService,
    send_before: Instant,
    deadline: Duration,
) -> Outcome {
    match talos.restart_service(service.id(), send_before.into(), deadline).await {
        Ok(said) if said.is_empty() => Outcome::Done("Talos accepted it".to_owned()),
        Ok(said) => Outcome::Done(format!("Talos said {said:?}")),
        Err(error) => Stopped::from(error).into(),
    }
}
