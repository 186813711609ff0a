//! The command line of the lab.
//!
//! Results go to stdout; what happens on the way goes to stderr. Exit codes: 0 done, 1 not (a drill that was not `ok`,
//! too), 2 not understood. With `--output json` stdout holds one object and nothing else.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's own edge")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use defib_lab::drill::{self, DRILLS, DrillOptions, ManyOptions, Told};
use defib_lab::fault::{Kind, NotAFault};
use defib_lab::layout::{API_PORT, DEVICE, GATEWAY, NotANode, NotAPlace, OPS, VIP};
use defib_lab::vip::VipAgentOptions;
use defib_lab::{Joined, Lab, Layout, Node, Part, Place, UpOptions, status};
use serde::Serialize;

#[derive(Parser)]
#[command(
    name = "defib-lab",
    version,
    about = "A control plane of real parts on this machine, to break and to recover"
)]
struct Cli {
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(subcommand)]
    command: Task,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

#[derive(Subcommand)]
enum Task {
    /// Find etcd and Kubernetes, or build them (once, about six minutes)
    Build,
    /// Raise the lab, and say how to use it
    Up,
    /// Take the lab away, whatever its state
    Down,
    /// Show what runs and what serves
    Status,
    /// Break something: freeze, hang, kill-PART, hang-PART, starve, slow-disk, lose-vip, clock=MS, isolate-ops
    Break {
        /// freeze, hang, kill-PART or hang-PART (etcd, containerd, kubelet, machined, vip, kube-apiserver,
        /// kube-controller-manager), starve, slow-disk, lose-vip, clock=MS, or isolate-ops
        #[arg(value_parser = fault)]
        fault: Kind,
        /// cp1, cp2 or cp3
        #[arg(value_parser = node)]
        node: Option<Node>,
    },
    /// Mend everything, restart the kubelets, and wait until the lab serves
    Heal,
    /// Reboot a node: all of it is killed and booted again
    Reboot {
        /// Erase the data of its etcd meanwhile: it joins anew, once its old member is removed
        #[arg(long)]
        erase: bool,
        /// cp1, cp2 or cp3
        #[arg(value_parser = node)]
        node: Node,
    },
    /// Play an outage and judge what comes back
    Drill(Drill),
    /// Play an outage many times, with defib and without, and sum up
    Repeat(Repeat),
    /// Run a program on a node or on the ops host
    Exec {
        /// Count as this part of the node
        #[arg(long, hide = true, value_parser = part)]
        part: Option<Part>,
        /// Leave the terminal
        #[arg(long, hide = true)]
        detach: bool,
        /// cp1, cp2, cp3, ops or bridge
        #[arg(value_parser = place)]
        place: Place,
        /// The program and its arguments
        #[arg(last = true, required = true)]
        line: Vec<String>,
    },
    /// Lead a port of this machine's loopback to the same port of the ops host, until `down`
    Relay {
        /// The port
        port: u16,
    },
    #[command(hide = true)]
    Machined {
        #[arg(value_parser = node)]
        node: Node,
    },
    #[command(hide = true)]
    Join {
        #[arg(value_parser = node)]
        node: Node,
    },
    #[command(hide = true)]
    VipAgent {
        #[arg(value_parser = node)]
        node: Node,
    },
}

#[derive(Args)]
struct Drill {
    /// Which one
    #[arg(value_parser = DRILLS)]
    name: String,
    /// Measure the cluster alone
    #[arg(long)]
    without_defib: bool,
    /// The defib program (else DEFIB_BIN, else beside this one)
    #[arg(long, value_name = "PATH", conflicts_with = "without_defib")]
    defib: Option<PathBuf>,
    /// Keep story, verdict, journal and logs in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[derive(Args)]
struct Repeat {
    /// Which one
    #[arg(value_parser = [drill::BACK_OFF])]
    name: String,
    /// How often with defib
    #[arg(long = "with", value_name = "N", default_value_t = 10)]
    with_defib: usize,
    /// How often without it
    #[arg(long = "without", value_name = "N", default_value_t = 3)]
    without_defib: usize,
    /// The defib program (else DEFIB_BIN, else beside this one)
    #[arg(long, value_name = "PATH")]
    defib: Option<PathBuf>,
    /// The folder for stories, verdicts, journals, logs and summary.json
    #[arg(long, value_name = "DIR")]
    keep: PathBuf,
}

fn node(text: &str) -> Result<Node, NotANode> {
    text.parse()
}

fn place(text: &str) -> Result<Place, NotAPlace> {
    text.parse()
}

fn fault(text: &str) -> Result<Kind, NotAFault> {
    text.parse()
}

fn part(text: &str) -> Result<Part, String> {
    Part::ALL.into_iter().find(|part| part.name() == text).ok_or_else(|| format!("there is no part {text:?}"))
}

/// What could not be done, for the one place that prints it.
type Trouble = Box<dyn std::error::Error>;

/// Parses, does, and prints what went wrong.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(trouble) => {
            eprint!("defib-lab: {trouble}");
            let mut cause = trouble.source();
            while let Some(next) = cause {
                eprint!(": {next}");
                cause = next.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Trouble> {
    let json = cli.output == Output::Json;
    match cli.command {
        Task::Build => {
            let programs = defib_lab::provide_programs(&say)?;
            print_done(json, &programs, "every program is there");
        }
        Task::Up => {
            let lab = Lab::up(&UpOptions { say })?;
            print_done(json, &lab.about(), &usage(lab.layout()));
        }
        Task::Down => {
            Lab::clear()?;
            print_done(json, &serde_json::json!({ "down": true }), "nothing of the lab remains");
        }
        Task::Status => {
            let status = status::of(&Lab::attach()?)?;
            print_done(json, &status, &status.table());
        }
        Task::Break { fault, node } => {
            let fault = fault.on(node).ok_or("this fault needs a node: cp1, cp2 or cp3")?;
            Lab::attach()?.break_(fault)?;
            print_done(json, &serde_json::json!({ "broken": fault.to_string() }), &format!("broken: {fault}"));
        }
        Task::Heal => {
            Lab::attach()?.heal()?;
            print_done(json, &serde_json::json!({ "healed": true }), "all is mended and serves");
        }
        Task::Reboot { node, erase: true } => {
            Lab::attach()?.erase(node)?;
            let text = format!("{node} boots, without the data of its etcd");
            print_done(json, &serde_json::json!({ "erased": node.name() }), &text);
        }
        Task::Reboot { node, erase: false } => {
            Lab::attach()?.reboot(node)?;
            print_done(json, &serde_json::json!({ "rebooted": node.name() }), &format!("{node} boots"));
        }
        Task::Drill(asked) => return drill(asked, json),
        Task::Repeat(asked) => return repeat(asked, json),
        Task::Exec { part, detach, place, line } => {
            let (program, arguments) = line.split_first().ok_or("no program is named")?;
            return Err(defib_lab::exec(Joined { place, part, detach }, program, arguments).into());
        }
        Task::Relay { port } => defib_lab::relay(port)?,
        Task::Join { node } => defib_lab::run_join(node)?,
        Task::Machined { node } => defib_lab::run_machined(node, &defib_lab::program()?)?,
        Task::VipAgent { node } => defib_lab::vip::run(vip_agent(node))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn drill(asked: Drill, json: bool) -> Result<ExitCode, Trouble> {
    let verdict = drill::run(&DrillOptions {
        name: asked.name,
        with_defib: !asked.without_defib,
        defib: asked.defib,
        keep: asked.keep,
        told: if json { Told::Stderr } else { Told::Stdout },
    })?;
    if json {
        println!("{}", serde_json::to_string(&verdict)?);
    }
    Ok(if verdict.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn repeat(asked: Repeat, json: bool) -> Result<ExitCode, Trouble> {
    let options = ManyOptions {
        name: asked.name,
        with_defib: asked.with_defib,
        without_defib: asked.without_defib,
        defib: asked.defib,
        keep: asked.keep,
    };
    std::fs::create_dir_all(&options.keep)?;
    // Told as it comes: thirteen runs take an hour.
    let many = drill::many(&options, if json { say } else { |line| println!("{line}") })?;
    print_done(json, &many, &many.table());
    Ok(if many.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn vip_agent(node: Node) -> VipAgentOptions {
    let layout = Layout::default();
    VipAgentOptions {
        node: node.to_string(),
        vip: VIP,
        device: DEVICE.to_owned(),
        api: node.api(),
        authority: layout.certificate("kubernetes-ca"),
        certificate: layout.certificate("vip"),
        key: layout.key("vip"),
    }
}

fn say(line: &str) {
    eprintln!("{line}");
}

fn print_done(json: bool, object: &impl Serialize, text: &str) {
    let line = if json { serde_json::to_string(object).ok() } else { None };
    println!("{}", line.as_deref().unwrap_or(text.trim_end()));
}

fn usage(layout: &Layout) -> String {
    let run = layout.run().display();
    let nodes: Vec<String> = Node::ALL.iter().map(|node| format!("{node} {}", node.address())).collect();
    format!(
        "
The lab is up: {nodes}; VIP {VIP}:{API_PORT}; gateway and canary {GATEWAY}.
Nothing of it can be reached from this machine but through the ops host, {OPS}:

  defib-lab exec ops -- PROGRAM …                       run a program there
  defib-lab exec ops -- defib run --config {config}
  defib-lab exec ops -- talosctl --talosconfig {talos} version     (contexts lab, reader, admin)
  defib-lab exec ops -- kubectl --kubeconfig {kube} get nodes
  defib-lab break freeze cp3 · break hang-etcd cp2 · break kill-kube-apiserver cp1 · heal
  defib-lab status · drill back-off · down

Logs: {run}/cpN/*.log; calls of each machined: {run}/cpN/calls.jsonl; certificates: {pki}
",
        nodes = nodes.join(", "),
        config = layout.config().display(),
        talos = layout.talosconfig().display(),
        kube = layout.kubeconfig().display(),
        pki = layout.pki().display(),
    )
}
