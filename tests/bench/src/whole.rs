//! What is measured on the whole lab, machined and kubelets included: memory and processor time of `defib run` on three
//! nodes, what each kind of probe costs, blackbox_exporter beside it, and how soon the program starts.
//!
//! What asks lives on the ops host, as children of this program. Left out: faults (`detect`).

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use defib_lab::{Lab, Layout, UpOptions};
use serde::de::DeserializeOwned;

use crate::blackbox::{self, Beside};
use crate::cost::{self, Cost};
use crate::daemon::{Daemon, program};
use crate::figure::{Figure, Goal};
use crate::lifeline::Shares;
use crate::proc;
use crate::scan::Scan;
use crate::start::Starts;
use crate::trouble::Trouble;

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Amount {
    /// Probes of each kind.
    pub(crate) probes: usize,
    /// Starts of the program.
    pub(crate) starts: usize,
    /// Pairs of passes, through the lifeline and beside it.
    pub(crate) pairs: usize,
    /// How long `defib run` runs before its memory is read.
    pub(crate) runs: Duration,
    /// blackbox_exporter, where it is to be had.
    pub(crate) blackbox: Option<PathBuf>,
}

/// Raises the whole lab, measures, and takes it down.
pub(crate) fn measure(amount: &Amount, say: fn(&str)) -> Result<Vec<Figure>, Trouble> {
    say("raises the whole lab, about a minute");
    let lab = Lab::up(&UpOptions { say: |_| {} })?;
    let measured = on(&lab, amount, say);
    let down = lab.down();
    let figures = measured?;
    down?;
    Ok(figures)
}

fn on(lab: &Lab, amount: &Amount, say: fn(&str)) -> Result<Vec<Figure>, Trouble> {
    let layout = lab.layout();
    let mut figures = starts(lab, amount, say)?;
    let config = configured(layout, "bench-run", 9870)?;
    let mut daemon = Daemon::start(lab, &config, &layout.run().join("bench-run.log"))?;
    let began = Instant::now();
    // The first half is left alone: starting, and the first rounds of every probe.
    say(&format!("lets defib run watch three nodes for {} s", amount.runs.as_secs()));
    std::thread::sleep(amount.runs / 2);
    let (before, counted) = (proc::processor_time(daemon.pid())?, Instant::now());
    std::thread::sleep(amount.runs.saturating_sub(began.elapsed()));
    let spent = proc::processor_time(daemon.pid())?.saturating_sub(before);
    daemon.check()?;
    figures.extend(resident(&daemon, spent.as_secs_f64() / counted.elapsed().as_secs_f64())?);
    say(&format!("lists through the lifeline and directly, {} times each", amount.pairs));
    let shares: Shares = child(lab, &["lifeline", &amount.pairs.to_string()])?;
    figures.push(shares.figure());
    drop(daemon);
    figures.extend(costs(lab, &config, amount, say)?);
    let scan: Scan = child(lab, &["scan"])?;
    let note = format!("{} samples of an etcd's {} KB", scan.samples, scan.bytes / 1_000);
    figures.push(Figure::of("scan of Prometheus text", "GB/s", scan.batches, Some(Goal::AtLeast(1.0))).noted(note));
    Ok(figures)
}

fn resident(daemon: &Daemon, cores: f64) -> Result<Vec<Figure>, Trouble> {
    let memory = proc::memory(daemon.pid())?;
    let mb = |kib: u64| vec![kib as f64 * 1024.0 / 1e6];
    let size = std::fs::metadata(program()?).map_err(Trouble::file("defib"))?.len();
    let threads = proc::threads(daemon.pid())?;
    Ok(vec![
        Figure::of("defib run, three nodes: resident (VmRSS)", "MB", mb(memory.resident_kib), Some(Goal::Median(20.0)))
            .noted(format!("{threads} threads")),
        Figure::of("defib run, three nodes: proportional (Pss)", "MB", mb(memory.proportional_kib), None),
        Figure::of("defib run, three nodes: heap and stacks", "MB", mb(memory.anonymous_kib), None),
        Figure::of("defib run, three nodes: processor", "% of a core", vec![cores * 100.0], None),
        Figure::of("size of the program", "MB", vec![size as f64 / 1e6], Some(Goal::Median(12.0))),
    ])
}

fn starts(lab: &Lab, amount: &Amount, say: fn(&str)) -> Result<Vec<Figure>, Trouble> {
    say(&format!("starts and ends the program {} times", amount.starts));
    let config = configured(lab.layout(), "bench-start", 9871)?;
    let config = config.display().to_string();
    let starts: Starts = child(lab, &["start", &config, "127.0.0.1:9871", &amount.starts.to_string()])?;
    Ok(vec![
        Figure::of("start: exec -> first /healthz", "ms", starts.served_ms, Some(Goal::P99(100.0))),
        Figure::of("SIGTERM -> ended", "ms", starts.ended_ms, Some(Goal::P99(2_000.0))),
    ])
}

fn costs(lab: &Lab, config: &Path, amount: &Amount, say: fn(&str)) -> Result<Vec<Figure>, Trouble> {
    say(&format!("asks {} times with each kind of probe", amount.probes));
    let ours: Vec<Cost> = child(lab, &["cost", &config.display().to_string(), &amount.probes.to_string()])?;
    let mut figures = Vec::new();
    for cost in &ours {
        let goal = cost::goal_ms(&cost.kind).map(Goal::Median);
        let name = format!("processor time of a probe: {}", cost.kind);
        let figure = Figure::of(name, "ms", cost.batches_ms.clone(), goal);
        let ill = cost.n - cost.healthy;
        let ill = if ill == 0 { String::new() } else { format!("; {ill} not healthy") };
        let batch = cost.n / cost.batches_ms.len();
        figures.push(figure.noted(format!("batches of {batch}; answered in {:.2} ms{ill}", cost.took_ms)));
    }
    let Some(program) = &amount.blackbox else { return Ok(figures) };
    say(&format!("has blackbox_exporter ask as often ({})", program.display()));
    let layout = lab.layout();
    let config = layout.run().join("bench-blackbox.yml");
    blackbox::write_config(layout, &config)?;
    let (program, config) = (program.display().to_string(), config.display().to_string());
    let theirs: Vec<Beside> = child(lab, &["blackbox", &program, &config, &amount.probes.to_string()])?;
    for beside in theirs {
        let name = format!("processor time of a probe: blackbox_exporter, {}", beside.target);
        let batch = beside.n / beside.batches_ms.len();
        let figure = Figure::of(name, "ms", beside.batches_ms, None);
        let ill = beside.n - beside.healthy;
        let ill = if ill == 0 { String::new() } else { format!("; {ill} not healthy") };
        let own = ours.iter().find(|cost| cost.kind == beside.target);
        let own = own.map(|cost| Figure::of("", "ms", cost.batches_ms.clone(), None).p50);
        let ratio = own.map_or_else(String::new, |own| format!("{:.0} times ours", figure.p50 / own));
        figures.push(figure.noted(format!("batches of {batch}; {ratio}{ill}")));
    }
    Ok(figures)
}

/// The lab's own configuration with a journal and a port of its own.
fn configured(layout: &Layout, name: &str, port: u16) -> Result<PathBuf, Trouble> {
    let text = std::fs::read_to_string(layout.config()).map_err(Trouble::file(layout.config()))?;
    let text = text
        .replace("\njournal: journal\n", &format!("\njournal: {name}\n"))
        .replace("\nlisten: 127.0.0.1:9870\n", &format!("\nlisten: 127.0.0.1:{port}\n"));
    let path = layout.run().join(format!("{name}.yaml"));
    std::fs::write(&path, text).map_err(Trouble::file(&path))?;
    Ok(path)
}

/// Runs this program on the ops host with a hidden command and reads the JSON that it prints.
fn child<T: DeserializeOwned>(lab: &Lab, line: &[&str]) -> Result<T, Trouble> {
    let own = std::env::current_exe().map_err(Trouble::file("/proc/self/exe"))?;
    let mut command = lab.command_in_ops(&own)?;
    let output = command.args(line).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(Trouble::file(&own))?;
    if !output.status.success() {
        return Err(Trouble::Program { program: format!("defib-bench {}", line[0]), how: "failed".to_owned() });
    }
    let what = format!("defib-bench {}", line[0]);
    serde_json::from_slice(&output.stdout).map_err(|source| Trouble::Printed { what, source })
}
