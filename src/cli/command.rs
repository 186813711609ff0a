//! `defib pause`, `resume`, `ack`, `approve`, `dashboard`: a word to the daemon. What changes anything returns only when it is
//! in force and on the disk.

use std::time::Duration;

use super::call::{Caller, unreached};
use super::{Exit, Output, error_line, known, out, out_json, runtime};
use crate::api::{Answer, MODEL, Said};
use crate::config::Config;
use crate::web::api::Asked;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    defib pause --reason 'host maintenance' --for 2h\n  \
    defib pause --reason 'debugging etcd' --for 30m --cluster prod\n\n\
    Without the program: `echo 'host maintenance' > JOURNAL/pause` holds until the file is gone.\n\
    Exit codes: 0 in force, 2 misuse, 3 refused, 4 no daemon answers in time")]
pub(super) struct Pause {
    /// Why; shown wherever the pause is shown
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
    /// For how long, such as 30m or 2h; 7 days at most
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    for_: Duration,
    /// Only this cluster; all where none is named
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    defib resume\n  \
    defib resume --cluster prod\n\n\
    A pause by file ends when the file is removed. Exit codes: 0 no pause by command is in force, 2 misuse,\n\
    3 refused, 4 no daemon answers in time")]
pub(super) struct Resume {
    /// Only this cluster; all where none is named
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    defib ack --playbook restart-kubelet --node cp2\n\n\
    Exit codes: 0 done or nothing to acknowledge, 2 misuse, 3 refused, 4 no daemon answers in time")]
pub(super) struct Ack {
    /// The playbook that is exhausted
    #[arg(long, value_name = "NAME")]
    playbook: String,
    /// The node on which it is
    #[arg(long, value_name = "NODE")]
    node: String,
    /// In which cluster; may be left out where there is one
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    defib dashboard\n  \
    firefox \"$(defib dashboard)\"\n\n\
    The link serves once, within five minutes; the browser that follows it may pause, resume and recover as you, for\n\
    twelve hours or until the daemon ends. Without it the dashboard only shows. Exit codes: 0 printed, 3 no dashboard is\n\
    served, 4 no daemon answers in time")]
pub(super) struct Dashboard {
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    defib status                   names what is proposed\n  \
    defib approve R-3\n\n\
    Good once, for the run that is named, while it waits. Every guard and limit is judged again.\n\
    Exit codes: 0 the run has begun, 2 misuse, 3 held or no longer proposed, 4 no daemon answers in time")]
pub(super) struct Approve {
    /// The run that is proposed, such as R-3
    #[arg(value_name = "RUN")]
    run: String,
    /// In which cluster; may be left out where there is one
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// A reason says something.
fn words(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("a reason has words".to_owned()) } else { Ok(text.to_owned()) }
}

pub(super) fn pause(typed: Pause, config: &Config) -> Exit {
    let for_ms = u64::try_from(typed.for_.as_millis()).unwrap_or(u64::MAX);
    let asked = Asked { cluster: typed.cluster, reason: Some(typed.reason), for_ms: Some(for_ms), ..Asked::default() };
    tell("pause", &asked, typed.output, config)
}

pub(super) fn dashboard(typed: &Dashboard, config: &Config) -> Exit {
    tell("dashboard", &Asked::default(), typed.output, config)
}

pub(super) fn resume(typed: Resume, config: &Config) -> Exit {
    tell("resume", &Asked { cluster: typed.cluster, ..Asked::default() }, typed.output, config)
}

pub(super) fn ack(typed: Ack, config: &Config) -> Exit {
    let Ack { playbook, node, cluster, output } = typed;
    let asked = Asked { cluster, playbook: Some(playbook), node: Some(node), ..Asked::default() };
    tell("ack", &asked, output, config)
}

pub(super) fn approve(typed: Approve, config: &Config) -> Exit {
    let Approve { run, cluster, output } = typed;
    tell("approve", &Asked { cluster, run: Some(run), ..Asked::default() }, output, config)
}

fn tell(name: &str, asked: &Asked, output: Output, config: &Config) -> Exit {
    if let Some(Err(exit)) = asked.cluster.as_deref().map(|cluster| known(cluster, config)) {
        return exit;
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    match runtime.block_on(Caller::new(&config.journal).command(name, asked)) {
        Ok(answer) => show(&answer, output),
        Err(error) => unreached(&error, config),
    }
}

fn show(answer: &Answer, output: Output) -> Exit {
    let exit = match answer.answer {
        Said::Done | Said::Nothing | Said::Started | Said::Preview => Exit::Well,
        Said::Refused | Said::Held | Said::Changed => Exit::Held,
        Said::Unknown => Exit::CannotTell,
    };
    if answer.model && output == Output::Text {
        out(MODEL);
    }
    match (output, exit) {
        (Output::Json, _) => return out_json(answer).max(exit),
        (Output::Text, Exit::Well) => out(&answer.text),
        (Output::Text, Exit::CannotTell) => error_line(&format!("defib: {}", answer.text)),
        (Output::Text, _) => error_line(&format!("defib: refused: {}", answer.text)),
    }
    exit
}
