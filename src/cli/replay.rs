//! `defib replay`: what would have been done, had the playbooks or their limits been others.

use std::collections::BTreeSet;
use std::path::PathBuf;

use defib_engine::diagnosis;
use defib_engine::playbook::Playbook;
use defib_engine::settings::{Disruptive, Mode, Settings};
use defib_engine::threshold::Thresholds;
use defib_engine::time::{Human, Now};
use serde_json::{Value, json};

use super::{Exit, Output, complain, error_line, out, out_json};
use crate::api::MODEL;
use crate::config::{set_disruptive, set_threshold};
use crate::daemon::replay::{self, Decision, Difference, Played};
use crate::journal::recording::{Header, Intended, Recording};
use crate::playbook;
use crate::report::{wall, wrap};
use crate::yaml::suggestion;

/// The limit on machines taken down, as the configuration names it.
const DISRUPTIVE: &str = "disruptive";
/// How wide each of two decisions is that stand beside one another.
const COLUMN: usize = 48;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    defib replay /var/lib/defib/recordings/prod-I-7-20260217T031500Z.recording\n  \
    defib replay prod-I-7-*.recording --playbooks mine/\n  \
    defib replay prod-I-7-*.recording --set restart-kubelet.per-cluster='2 per 6h' --set restart-kubelet.for=2m\n  \
    defib replay prod-I-7-*.recording --set disruptive.per-node='1 per 24h'\n  \
    defib replay prod-I-7-*.recording --set etcd-slow-disk.fsync-from=50ms\n  \
    defib replay prod-I-7-*.recording --mode act --arm restart-kubelet\n\n\
    Exit codes: 0 no action differs, 1 one does, 2 misuse, or a file that cannot be read")]
pub(super) struct Typed {
    /// The recording
    file: PathBuf,
    /// A folder of playbooks that add to the recorded ones, or replace those of the same name
    #[arg(long, value_name = "DIR")]
    playbooks: Option<PathBuf>,
    /// Change one figure: of a playbook (for, per-node, per-cluster, cooldown, veto), of a finding (its thresholds,
    /// opens-after, closes-after) or of disruptive, the limit on machines taken down (per-node, per-fleet), written as in their
    /// files; a playbook that could not be read so is refused here, too
    #[arg(long, value_name = "NAME.KEY=VALUE")]
    set: Vec<String>,
    /// The mode, in place of the recorded one
    #[arg(long, value_parser = mode, value_name = "MODE")]
    mode: Option<Mode>,
    /// Arm this playbook, too
    #[arg(long, value_name = "PLAYBOOK")]
    arm: Vec<String>,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

fn mode(text: &str) -> Result<Mode, String> {
    let known = [Mode::Observe, Mode::Ask, Mode::Act].into_iter().find(|mode| mode.to_string() == text);
    known.ok_or_else(|| "there are observe, ask and act".to_owned())
}

pub(super) fn main(typed: &Typed) -> Exit {
    let recording = match Recording::read(&typed.file) {
        Ok(recording) => recording,
        Err(error) => {
            complain(&error);
            return Exit::Misuse;
        }
    };
    let header = &recording.header;
    let (recorded, settings, changes) = match changed(typed, header) {
        Ok(changed) => changed,
        Err(problems) => {
            problems.iter().for_each(|problem| error_line(problem));
            return Exit::Misuse;
        }
    };
    let played = replay::play(&recording, &recorded, &settings);
    if typed.output == Output::Json {
        out_json(&document(&recording, &changes, &played));
    } else {
        tell(&recording, &changes, &played);
    }
    if played.differs.is_some() { Exit::Unhealthy } else { Exit::Well }
}

/// The recorded settings, the same with what was asked for, and that in words.
fn changed(typed: &Typed, header: &Header) -> Result<(Settings, Settings, Vec<String>), Vec<String>> {
    let texts: Vec<(&str, &str)> = header.playbooks.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let load = |folder| playbook::load_recorded(&texts, folder).map_err(|problems| vec![problems.to_string()]);
    let (recorded, mut playbooks) = (load(None)?, load(typed.playbooks.as_deref())?);
    let (mut changes, mut problems) = (Vec::new(), Vec::new());
    for playbook in &playbooks {
        match header.playbooks.iter().find(|(name, _)| *name == playbook.name) {
            None => changes.push(format!("playbook {} is new", playbook.name)),
            Some((_, text)) if *text != playbook.text => changes.push(format!("playbook {} is another", playbook.name)),
            Some(_) => {}
        }
    }
    let mut thresholds = header.settings.0.thresholds.clone();
    let mut disruptive = header.settings.0.disruptive.clone();
    let armed: BTreeSet<String> = header.settings.0.armed.iter().chain(&typed.arm).cloned().collect();
    let before = unfit(&playbooks, &armed, &thresholds);
    for wish in &typed.set {
        match set(wish, &mut playbooks, &mut thresholds, &mut disruptive) {
            Ok(change) => changes.push(change),
            Err(problem) => problems.push(problem),
        }
    }
    // What was recorded was in force, whatever is asked of a file today.
    problems.extend(unfit(&playbooks, &armed, &thresholds).into_iter().filter(|one| !before.contains(one)));
    let names: Vec<&str> = playbooks.iter().map(|playbook| playbook.name.as_str()).collect();
    problems.extend(typed.arm.iter().filter(|name| !names.contains(&name.as_str())).map(|name| unknown(name, &names)));
    let misfits =
        diagnosis::ALL.iter().flat_map(|rule| thresholds.misfits(rule).into_iter().map(|one| (rule.name, one)));
    problems.extend(misfits.map(|(finding, misfit)| format!("defib: --set {finding}: {misfit}")));
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut settings = replay::settings(header, playbooks);
    for cluster in settings.clusters.values_mut() {
        (cluster.thresholds, cluster.disruptive) = (thresholds.clone(), disruptive.clone());
    }
    if let Some(mode) = typed.mode.filter(|mode| *mode != header.mode) {
        changes.push(format!("mode {mode} in place of {}", header.mode));
        settings.mode = mode;
    }
    for cluster in settings.clusters.values_mut() {
        for name in &typed.arm {
            if cluster.armed.insert(name.clone()) {
                changes.push(format!("{name} is armed"));
            }
        }
    }
    Ok((replay::settings(header, recorded), settings, changes))
}

/// What the lint says of the playbooks as they stand now: of one that is armed by the cluster's thresholds, as a configuration is
/// read.
fn unfit(playbooks: &[Playbook], armed: &BTreeSet<String>, thresholds: &Thresholds) -> Vec<String> {
    let usual = Thresholds::default();
    let of = |playbook: &Playbook| {
        let name = playbook.name.clone();
        let thresholds = if armed.contains(&name) { thresholds } else { &usual };
        playbook::misfits(playbook, thresholds).into_iter().map(move |why| format!("defib: --set {name}: {why}"))
    };
    playbooks.iter().flat_map(of).collect()
}

/// Changes one figure, and says so.
fn set(
    wish: &str,
    playbooks: &mut [Playbook],
    thresholds: &mut Thresholds,
    disruptive: &mut Disruptive,
) -> Result<String, String> {
    let parts = wish.split_once('=').and_then(|(path, value)| Some((path.rsplit_once('.')?, value)));
    let Some(((name, key), value)) = parts else {
        return Err(format!("defib: --set {wish:?} is not NAME.KEY=VALUE, such as restart-kubelet.for=2m"));
    };
    if name == DISRUPTIVE {
        set_disruptive(disruptive, key, value).map_err(|problems| format!("defib: --set {problems}"))?;
        return Ok(format!("{name}: {key} is {value}"));
    }
    if let Some(rule) = diagnosis::rule(name) {
        set_threshold(thresholds, rule, key, value).map_err(|problem| format!("defib: --set {problem}"))?;
        return Ok(format!("{name}: {key} is {value}"));
    }
    let names: Vec<String> = playbooks.iter().map(|playbook| playbook.name.clone()).collect();
    let Some(playbook) = playbooks.iter_mut().find(|playbook| playbook.name == name) else {
        return Err(unknown(name, &names.iter().map(String::as_str).collect::<Vec<_>>()));
    };
    playbook::set(playbook, key, value).map_err(|problems| format!("defib: --set {problems}"))?;
    Ok(format!("{name}: {key} is {value}"))
}

fn unknown(name: &str, names: &[&str]) -> String {
    let hint = suggestion(name, names.iter().copied());
    format!(
        "defib: no playbook {name} in the recording, and no finding; there are {DISRUPTIVE} and the playbooks {}{hint}",
        names.join(", ")
    )
}

fn tell(recording: &Recording, changes: &[String], played: &Played) {
    let header = &recording.header;
    let time = |now: Now| wall::time(now.wall.0);
    let nodes = header.settings.0.nodes.len();
    if header.model {
        out(MODEL);
    }
    out(&format!(
        "{} of {}: {nodes} nodes, mode {}, recorded by defib {}",
        header.incident, header.cluster, header.mode, header.program
    ));
    let before = header.opened.mono.since(header.begins.mono);
    out(&format!(
        "begins {}, {} before the incident{}",
        wall::date_time(header.begins.wall.0),
        Human(before),
        if header.from_start { ", with the program" } else { "" }
    ));
    match changes {
        [] => out("nothing is changed"),
        changes => changes.iter().for_each(|change| out(&format!("changed: {change}"))),
    }
    for (at, act) in &played.same {
        out(&format!("  {} {}: then and now", time(*at), does(act)));
    }
    let length = played.until.mono.since(header.begins.mono);
    if let Some(Difference { at, then, now }) = &played.differs {
        out(&format!("  {} differs", time(*at)));
        let sides = [("then", side(then)), ("now", side(now))];
        let lines = if terminal_columns() >= 2 * COLUMN + 4 { beside(&sides) } else { beneath(&sides) };
        lines.iter().for_each(|line| out(line));
        out(&format!("played {} of it; from here on the recorded answers no longer fit", Human(length)));
        return;
    }
    let acts = match played.same.len() {
        0 => "nothing was done, then or now".to_owned(),
        1 => "the one action is the same".to_owned(),
        many => format!("all {many} actions are the same"),
    };
    out(&format!("played {}: {acts}", Human(length)));
    match &played.row_differs {
        Some(row) => out(&format!("the account differs from {} on, in what was held or found", time(row.at))),
        None => out(&format!("the account is the same, row by row ({} rows)", played.rows)),
    }
    match &recording.ended {
        Some(why) => out(&format!("the recording ends here: {why}")),
        None => out("the recording ends early: its defib died, or its disk was full"),
    }
}

fn does(act: &Intended) -> String {
    format!("{} {}: {}", act.playbook, act.node, act.action)
}

/// What was decided, and each check.
fn side(decision: &Decision) -> (String, Vec<String>) {
    match decision {
        Decision::Act(act, passed) => {
            (does(act), passed.iter().map(|(check, text)| format!("{check}: {text}")).collect())
        }
        Decision::Held(holds) if holds.is_empty() => ("nothing called for anything".to_owned(), Vec::new()),
        Decision::Held(holds) => {
            let hold = |(check, text, lifts): &(String, String, String)| format!("{check}: {text}; lifts {lifts}");
            ("held".to_owned(), holds.iter().map(hold).collect())
        }
        Decision::Absent(playbook) => (format!("there is no playbook {playbook}"), Vec::new()),
    }
}

type Sides = [(&'static str, (String, Vec<String>)); 2];

fn beneath(sides: &Sides) -> Vec<String> {
    let mut lines = Vec::new();
    for (word, (what, checks)) in sides {
        lines.push(format!("    {word:<5} {what}"));
        lines.extend(checks.iter().map(|check| format!("            {check}")));
    }
    lines
}

fn beside(sides: &Sides) -> Vec<String> {
    let [left, right] = sides.each_ref().map(|(word, (what, checks))| {
        let first = wrap(&format!("{word:<5} {what}"), 6, COLUMN);
        let rest = checks.iter().flat_map(|check| wrap(&format!("  {check}"), 4, COLUMN));
        first.into_iter().chain(rest).collect::<Vec<_>>()
    });
    let of = |lines: &[String], number: usize| lines.get(number).cloned().unwrap_or_default();
    let row = |number| format!("  {:<COLUMN$}  {}", of(&left, number), of(&right, number)).trim_end().to_owned();
    (0..left.len().max(right.len())).map(row).collect()
}

/// How wide the terminal is; none, where there is none.
fn terminal_columns() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_col))
}

fn document(recording: &Recording, changes: &[String], played: &Played) -> Value {
    let header = &recording.header;
    let act = |act: &Intended| json!({"run": act.run, "step": act.step, "playbook": act.playbook, "node": act.node, "action": act.action});
    let decision = |decision: &Decision| match decision {
        Decision::Act(one, passed) => {
            let passed = passed.iter().map(|(check, text)| json!({"check": check, "text": text}));
            json!({"act": act(one), "passed": passed.collect::<Vec<_>>()})
        }
        Decision::Held(holds) => {
            let one =
                |(check, text, lifts): &(String, String, String)| json!({"check": check, "text": text, "lifts": lifts});
            json!({"held": holds.iter().map(one).collect::<Vec<_>>()})
        }
        Decision::Absent(playbook) => json!({"held": [], "no_playbook": playbook}),
    };
    json!({
        "version": crate::api::VERSION, "model": header.model,
        "cluster": header.cluster, "incident": header.incident, "program": header.program,
        "mode": header.mode.to_string(), "from_start": header.from_start,
        "begins_at_ms": header.begins.wall.0, "opened_at_ms": header.opened.wall.0, "until_ms": played.until.wall.0,
        "ended": recording.ended, "turns": played.turns, "changes": changes,
        "same": played.same.iter().map(|(at, one)| json!({"at_ms": at.wall.0, "act": act(one)})).collect::<Vec<_>>(),
        "differs": played.differs.as_ref().map(|one| json!({
            "at_ms": one.at.wall.0, "then": decision(&one.then), "now": decision(&one.now),
        })),
        "rows_same": played.rows,
        "row_differs": played.row_differs.as_ref().map(|row| json!({
            "at_ms": row.at.wall.0,
            "then": row.then.as_ref().map(|told| json!({"kind": told.kind, "body": told.body})),
            "now": row.now.as_ref().map(|told| json!({"kind": told.kind, "body": told.body})),
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_decisions_stand_beside_one_another_where_there_is_room_and_beneath_where_not() {
        let hold = |text: &str| ("when".to_owned(), text.to_owned(), "in 19s".to_owned());
        let held = side(&Decision::Held(vec![hold("apiserver-down has been open for 1s, 20s are asked")]));
        let act = Intended {
            step: "prod/R-1/1".to_owned(),
            run: "R-1".to_owned(),
            playbook: "restart-kubelet".to_owned(),
            node: "cp1".to_owned(),
            action: "restart-service kubelet".to_owned(),
        };
        let done = side(&Decision::Act(act, vec![("authority".to_owned(), "mode act, armed".to_owned())]));
        let sides = [("then", held), ("now", done)];
        assert_eq!(
            beneath(&sides),
            [
                "    then  held",
                "            when: apiserver-down has been open for 1s, 20s are asked; lifts in 19s",
                "    now   restart-kubelet cp1: restart-service kubelet",
                "            authority: mode act, armed",
            ]
        );
        let beside = beside(&sides);
        assert_eq!(
            beside,
            [
                "  then  held                                        now   restart-kubelet cp1: restart-service",
                "    when: apiserver-down has been open for 1s, 20s        kubelet",
                "      are asked; lifts in 19s                         authority: mode act, armed",
            ]
        );
        assert!(beside.iter().all(|line| line.chars().count() <= 100), "{beside:#?}");
    }
}
