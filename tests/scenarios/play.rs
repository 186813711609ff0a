//! One scenario, played: its script, the stage, and what came out.

#[path = "gauges.rs"]
mod gauges;
mod hypervisor;
#[path = "script.rs"]
mod script;
#[path = "stage.rs"]
mod stage;
#[path = "tell.rs"]
mod tell;
#[path = "world.rs"]
mod world;

/// The file as it would be with what comes out.
pub(crate) fn play(text: &str) -> Result<String, String> {
    let script = script::Script::read(text)?;
    let mut stage: Option<stage::Stage> = None;
    let mut output = Vec::new();
    for input in &script.inputs {
        let lines = match &mut stage {
            None => stage::Stage::new(&input.words).map(|made| {
                stage = Some(made);
                Vec::new()
            }),
            Some(stage) => stage.input(&input.words),
        };
        output.push(lines.map_err(|why| format!("line {}: {why}", input.line))?);
    }
    if let (Some(stage), Some(last)) = (&stage, script.inputs.last()) {
        stage.end().map_err(|why| format!("line {}: it ends here, and {why}", last.line))?;
    }
    Ok(script.with_output(&output))
}
