//! Saves what the patient's machine says of itself before it is touched: services, containers, the end of the kubelet's
//! log. Harmless, bounded, and beside the recovery: nothing waits for it.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use defib_engine::event::Step;
use defib_engine::record::Outcome;

use crate::client::talos::Talos;

/// For each of the three questions.
const ASK_WITHIN: Duration = Duration::from_secs(3);
/// Lines of the kubelet's log; the client bounds their bytes.
const LOG_LINES: u16 = 1_000;

pub(super) async fn run(talos: &Talos, step: &Step, folder: &Path) -> Outcome {
    let (services, containers, log) = tokio::join!(
        talos.services(ASK_WITHIN),
        talos.containers(ASK_WITHIN),
        talos.kubelet_log(LOG_LINES, ASK_WITHIN),
    );
    let mut text = format!("evidence of step {} on {} in {}\n", step.id(), step.node(), step.cluster());
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n== services\n{services:#?}\n\n== containers\n{containers:#?}\n\n== kubelet's log");
    match log {
        Ok(log) => text.push_str(&log),
        Err(error) => {
            let _ = writeln!(text, "{error}");
        }
    }
    let file = super::kept(folder, step, "txt");
    let kept = file.clone();
    let folder = folder.to_owned();
    let write = move || std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, text));
    match tokio::task::spawn_blocking(write).await {
        Ok(Ok(())) => Outcome::Done(format!("kept in {}", kept.display())),
        Ok(Err(error)) => Outcome::Failed(format!("cannot keep {}: {error}", kept.display())),
        Err(error) => Outcome::Failed(format!("cannot keep {}: {error}", kept.display())),
    }
}
