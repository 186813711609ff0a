//! Reboots the patient's machine. Talos answers when it has begun, not when the machine is back; the verification tells
//! that by what is observed afterwards.

use std::time::{Duration, Instant};

use defib_engine::playbook::RebootMode;
use defib_engine::record::Outcome;

use super::ending::Stopped;
use crate::client::talos::Talos;

pub(super) async fn run(talos: &Talos, mode: RebootMode, send_before: Instant, deadline: Duration) -> Outcome {
    match talos.reboot(mode, send_before.into(), deadline).await {
        Ok(actor) if actor.is_empty() => Outcome::Done("Talos accepted it".to_owned()),
        Ok(actor) => Outcome::Done(format!("Talos accepted it as {actor}")),
        Err(error) => Stopped::from(error).into(),
    }
}
