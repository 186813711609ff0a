//! `make bench`: defib's figures on real parts, as a table for people and one JSON file for programs.
//!
//! It raises labs of its own, one after the other, and takes them down: one without kubelets, on which faults are made many
//! times (`detect`), and a whole one (`whole`). It judges nothing but the goals that are written beside the figures;
//! docs/performance.md says what they mean. It needs root, and a machine that does nothing else meanwhile.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's own edge")]

mod blackbox;
mod cost;
mod daemon;
mod detect;
mod engine;
mod figure;
mod http;
mod lifeline;
mod proc;
mod scan;
mod start;
mod trouble;
mod whole;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use figure::{Figure, table};
use serde::Serialize;
use trouble::Trouble;

/// defib's figures, measured on the lab's real parts
///
/// Examples:
///   defib-bench --json target/bench/figures.json
///   defib-bench --quick --only detect
///   defib-bench --only detect --fault apiserver-death
#[derive(Parser)]
#[command(name = "defib-bench", version, verbatim_doc_comment)]
struct Cli {
    /// A tenth of the samples: to see that it works, not to quote
    #[arg(long)]
    quick: bool,
    /// Only this part
    #[arg(long, value_parser = ["detect", "engine", "whole"])]
    only: Option<String>,
    /// Of `detect` only this kind of fault
    #[arg(long, value_parser = detect::KINDS, requires = "only")]
    fault: Option<String>,
    /// Where the JSON goes
    #[arg(long, value_name = "FILE", default_value = "target/bench/figures.json")]
    json: PathBuf,
    /// blackbox_exporter, to be measured beside defib
    #[arg(long, value_name = "PROGRAM")]
    blackbox: Option<PathBuf>,
    #[command(subcommand)]
    child: Option<Child>,
}

/// What runs on the ops host, as a child.
#[derive(Subcommand)]
enum Child {
    #[command(hide = true)]
    Cost { config: PathBuf, n: usize },
    #[command(hide = true)]
    Start { config: PathBuf, listens: SocketAddr, times: usize },
    #[command(hide = true)]
    Scan,
    #[command(hide = true)]
    Lifeline { pairs: usize },
    #[command(hide = true)]
    Blackbox { program: PathBuf, config: PathBuf, n: usize },
}

/// The JSON file.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    at_ms: i64,
    machine: String,
    load_before: f64,
    quick: bool,
    figures: Vec<Figure>,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprint!("defib-bench: {trouble}");
            let mut cause = std::error::Error::source(&trouble);
            while let Some(next) = cause {
                eprint!(": {next}");
                cause = next.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Trouble> {
    match cli.child {
        Some(Child::Cost { config, n }) => print(&cost::child(&config, n)?),
        Some(Child::Start { config, listens, times }) => print(&start::child(&config, listens, times)?),
        Some(Child::Scan) => print(&scan::child()?),
        Some(Child::Lifeline { pairs }) => print(&lifeline::child(pairs)?),
        Some(Child::Blackbox { program, config, n }) => print(&blackbox::child(&program, &config, n)?),
        None => return all(cli),
    }
    Ok(())
}

fn print(figures: &impl Serialize) {
    println!("{}", serde_json::to_string(figures).unwrap_or_default());
}

fn all(cli: Cli) -> Result<(), Trouble> {
    let load_before = proc::load()?;
    let machine = proc::machine()?;
    println!("{machine}; load {load_before} before");
    let wanted = |part: &str| cli.only.as_deref().is_none_or(|only| only == part);
    let mut figures = Vec::new();
    if wanted("engine") {
        figures.extend(engine::measure(say)?);
    }
    if wanted("whole") {
        figures.extend(whole::measure(&amount(&cli), say)?);
    }
    if wanted("detect") {
        figures.extend(detect::measure(if cli.quick { 3 } else { 30 }, cli.fault.as_deref(), say)?);
    }
    println!("\n{}", table(&figures));
    let at_ms = daemon::now_ms();
    let report = Report { version: env!("CARGO_PKG_VERSION"), at_ms, machine, load_before, quick: cli.quick, figures };
    let text = serde_json::to_vec_pretty(&report).map_err(std::io::Error::from).map_err(Trouble::file(&cli.json))?;
    if let Some(folder) = cli.json.parent() {
        std::fs::create_dir_all(folder).map_err(Trouble::file(folder))?;
    }
    std::fs::write(&cli.json, text).map_err(Trouble::file(&cli.json))?;
    println!("\nthe same as JSON: {}", cli.json.display());
    Ok(())
}

fn amount(cli: &Cli) -> whole::Amount {
    whole::Amount {
        probes: if cli.quick { 200 } else { 2_000 },
        starts: if cli.quick { 3 } else { 30 },
        pairs: if cli.quick { 2 } else { 20 },
        runs: Duration::from_secs(if cli.quick { 20 } else { 120 }),
        blackbox: cli.blackbox.clone(),
    }
}

fn say(line: &str) {
    eprintln!("bench: {line}");
}
