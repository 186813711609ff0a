//! How long until a fault is a confirmed finding: on three real etcds and three real API servers without kubelets.
//!
//! A round makes one fault, or two that have nothing to do with each other, waits for the findings, mends, waits until
//! nothing is open any more, and then for a random part of a second: faults fall anywhere between two probes. A finding
//! that does not come within [`FOUND_DEADLINE`] counts with that time. Left out: recovery, which the drills judge.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use defib_lab::layout::{DEVICE, Node, Part, Place, VIP};
use defib_lab::{Fault, Lab, UpOptions};

use crate::daemon::{Daemon, Event, Findings, now_ms, write_config};
use crate::figure::{Figure, Goal};
use crate::trouble::{Trouble, wait};

/// A fault that is not found by then counts as found then.
const FOUND_DEADLINE: Duration = Duration::from_secs(10);
/// For everything to be well again after a round.
const CLEAR_DEADLINE: Duration = Duration::from_secs(90);
/// At the start, and at least between two rounds: every probe has been asked again.
const SETTLE: Duration = Duration::from_millis(1_200);
/// Between two looks at the journal.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Between two kinds of faults, and between two deaths of an API server, which returns within six: a target is looked at
/// closely three times in ten seconds at most, and what the last faults took of that is no figure of the next ones.
const APART: Duration = Duration::from_secs(11);
/// Rounds of API servers' deaths, each about 14 s, between two that show the route.
const ROUTE_EVERY: usize = 3;
/// Who carries the virtual address: a node whose API server no round kills.
const HOLDER: Node = Node::Cp3;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    EtcdDeath(Node),
    ApiDeath(Node),
    EtcdSilence(Node),
    ApiSilence(Node),
    CutOff(Node),
    VipLoss,
}

impl Blow {
    /// Whose finding it must be, and which ones count.
    fn expected(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::EtcdDeath(node) => (node.name(), &["etcd-member-down"]),
            Self::ApiDeath(node) => (node.name(), &["apiserver-down"]),
            Self::EtcdSilence(node) => (node.name(), &["etcd-member-hung"]),
            Self::ApiSilence(node) => (node.name(), &["apiserver-hung", "apiserver-down", "apiserver-not-ready"]),
            Self::CutOff(node) => (node.name(), &["machine-unreachable"]),
            Self::VipLoss => ("cluster", &["vip-lost"]),
        }
    }

    fn matches(self, event: &Event) -> bool {
        let (scope, names) = self.expected();
        event.raised && event.scope == scope && names.contains(&event.name.as_str())
    }

    fn strike(self, lab: &Lab) -> Result<(), Trouble> {
        match self {
            Self::EtcdDeath(node) => lab.break_(Fault::Kill(node, Part::Etcd))?,
            Self::ApiDeath(node) => lab.break_(Fault::Kill(node, Part::KubeApiserver))?,
            Self::EtcdSilence(node) => lab.break_(Fault::Hang(node, Some(Part::Etcd)))?,
            Self::ApiSilence(node) => lab.break_(Fault::Hang(node, Some(Part::KubeApiserver)))?,
            Self::CutOff(node) => lab.break_(Fault::Freeze(node))?,
            Self::VipLoss => address(lab, "del")?,
        }
        Ok(())
    }

    fn mend(self, lab: &Lab) -> Result<(), Trouble> {
        match self {
            Self::EtcdDeath(node) => lab.start_bare(node, Part::Etcd)?,
            Self::ApiDeath(node) => lab.start_bare(node, Part::KubeApiserver)?,
            Self::EtcdSilence(node) => lab.mend(Fault::Hang(node, Some(Part::Etcd)))?,
            Self::ApiSilence(node) => lab.mend(Fault::Hang(node, Some(Part::KubeApiserver)))?,
            Self::CutOff(node) => lab.mend(Fault::Freeze(node))?,
            Self::VipLoss => address(lab, "replace")?,
        }
        Ok(())
    }
}

/// Puts the virtual address on its holder and tells the neighbours, or takes it away.
fn address(lab: &Lab, verb: &str) -> Result<(), Trouble> {
    let address = VIP.to_string();
    let prefix = format!("{address}/32");
    let run = |line: &[&str]| {
        let status = lab.command_in(Place::Node(HOLDER), &[]).args(line).stdout(std::process::Stdio::null()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Trouble::Program { program: line.join(" "), how: format!("ended with {status}") }),
            Err(source) => Err(Trouble::Program { program: line.join(" "), how: format!("did not run: {source}") }),
        }
    };
    run(&["ip", "address", verb, &prefix, "dev", DEVICE])?;
    if verb == "replace" {
        run(&["arping", "-q", "-U", "-c", "1", "-I", DEVICE, &address])?;
    }
    Ok(())
}

/// One blow of a round, and when it was found, in milliseconds after it.
struct Found {
    blow: Blow,
    after_ms: f64,
    name: Option<String>,
    /// For a lost VIP: when the route led around it.
    route_ms: Option<f64>,
}

/// Whether a blow belongs to a figure.
type OfBlow = fn(&Blow) -> bool;

/// A figure's samples, and the names of what was found.
#[derive(Default)]
struct Series {
    samples: Vec<f64>,
    names: BTreeSet<String>,
    missed: usize,
}

/// The kinds of fault, each of which can be measured alone.
pub(crate) const KINDS: [&str; 4] = ["etcd-death", "apiserver-death", "silence", "cut-off"];

/// Everything that is measured on a bare lab, or one of [`KINDS`]; `rounds` samples of each. Tells `say` how it goes.
pub(crate) fn measure(rounds: usize, only: Option<&str>, say: fn(&str)) -> Result<Vec<Figure>, Trouble> {
    say("raises three etcds and three API servers, without kubelets");
    let lab = Lab::up_bare(&UpOptions { say: |_| {} })?;
    let measured = on(&lab, rounds, only, say);
    let down = lab.down();
    let figures = measured?;
    down?;
    Ok(figures)
}

fn on(lab: &Lab, rounds: usize, only: Option<&str>, say: fn(&str)) -> Result<Vec<Figure>, Trouble> {
    let layout = lab.layout();
    address(lab, "replace")?;
    let config = write_config(layout)?;
    let mut daemon = Daemon::start(lab, &config, &layout.run().join("bench-defib.log"))?;
    let journal = layout.run().join("bench-journal");
    let findings = Findings::await_journal(&journal, &mut daemon)?;
    let mut bench = Bench { lab, daemon, findings, journal, found: Vec::new(), dice: now_ms().unsigned_abs() };
    std::thread::sleep(SETTLE * 4);
    bench.await_clear()?;

    let node = |round: usize| Node::ALL[round % Node::ALL.len()];
    let mut first = true;
    for kind in KINDS.into_iter().filter(|kind| only.is_none_or(|only| only == *kind)) {
        if !std::mem::take(&mut first) {
            std::thread::sleep(APART);
        }
        match kind {
            "etcd-death" => {
                say(&format!("{rounds} deaths of an etcd, and with each a loss of the VIP"));
                for round in 0..rounds {
                    bench.round(&[Blow::EtcdDeath(node(round)), Blow::VipLoss])?;
                }
            }
            "apiserver-death" => {
                say(&format!("{rounds} deaths of an API server, two at a time"));
                for round in 0..rounds.div_ceil(2) {
                    let began = std::time::Instant::now();
                    let mut blows = vec![Blow::ApiDeath(Node::Cp1), Blow::ApiDeath(Node::Cp2)];
                    // The route goes back when the address has been well for 30 s, so only a loss now and then shows it.
                    if round % ROUTE_EVERY == ROUTE_EVERY - 1 {
                        blows.push(Blow::VipLoss);
                    }
                    bench.round(&blows)?;
                    std::thread::sleep(APART.saturating_sub(began.elapsed()));
                }
            }
            "silence" => {
                say(&format!("{rounds} silences of an etcd, and of another node's API server"));
                for round in 0..rounds {
                    bench.round(&[Blow::EtcdSilence(node(round)), Blow::ApiSilence(node(round + 1))])?;
                }
            }
            _ => {
                say(&format!("{rounds} machines frozen and cut off"));
                for round in 0..rounds {
                    bench.round(&[Blow::CutOff([Node::Cp1, Node::Cp2][round % 2])])?;
                }
            }
        }
    }
    Ok(bench.figures())
}

struct Bench<'a> {
    lab: &'a Lab,
    daemon: Daemon,
    findings: Findings,
    journal: PathBuf,
    found: Vec<Found>,
    dice: u64,
}

impl Bench<'_> {
    fn round(&mut self, blows: &[Blow]) -> Result<(), Trouble> {
        std::thread::sleep(SETTLE + self.phase());
        self.findings.look()?;
        let mut struck = Vec::new();
        for blow in blows {
            let at_ms = now_ms();
            blow.strike(self.lab)?;
            struck.push((*blow, at_ms));
        }
        let mut found: Vec<Found> = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        let all = wait("a finding", FOUND_DEADLINE, LOOK_EVERY, || {
            self.daemon.check()?;
            events.extend(self.findings.look()?);
            let seen = |(blow, _): &(Blow, i64)| events.iter().any(|event| blow.matches(event));
            Ok(struck.iter().all(seen).then_some(()))
        });
        match all {
            Ok(()) | Err(Trouble::Late { .. }) => {}
            Err(trouble) => return Err(trouble),
        }
        for (blow, at_ms) in struck {
            let event = events.iter().find(|event| blow.matches(event) && event.at_ms >= at_ms);
            let after_ms = event.map_or(FOUND_DEADLINE.as_secs_f64() * 1_000.0, |event| since(event, at_ms));
            let route = events.iter().find(|event| event.name == "route" && event.raised && event.at_ms >= at_ms);
            let route_ms = route.filter(|_| blow == Blow::VipLoss).map(|event| since(event, at_ms));
            found.push(Found { blow, after_ms, name: event.map(|event| event.name.clone()), route_ms });
        }
        self.found.extend(found);
        for blow in blows {
            blow.mend(self.lab)?;
        }
        if blows.iter().any(|blow| matches!(blow, Blow::ApiDeath(_))) {
            self.lab.await_ready(&Node::ALL)?;
        }
        self.await_clear()
    }

    /// Waits until no finding is open that a fault may have raised.
    fn await_clear(&mut self) -> Result<(), Trouble> {
        let clear = wait("every finding to be cleared", CLEAR_DEADLINE, LOOK_EVERY, || {
            self.daemon.check()?;
            self.findings.look()?;
            Ok(self.findings.open().is_empty().then_some(()))
        });
        clear.map_err(|trouble| match trouble {
            Trouble::Late { what, waited } => {
                let what =
                    format!("{what}; open are {}, by {}", self.findings.open().join(", "), self.journal.display());
                Trouble::Late { what, waited }
            }
            other => other,
        })
    }

    /// Up to a second, another one each time: xorshift.
    fn phase(&mut self) -> Duration {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        Duration::from_millis(self.dice % 1_000)
    }

    fn figures(&self) -> Vec<Figure> {
        let death = Some(Goal::P99(500.0));
        let silence = Some(Goal::P99(3_000.0));
        let series: [(&str, Option<Goal>, OfBlow); 6] = [
            ("death of an etcd -> finding", death, |blow| matches!(blow, Blow::EtcdDeath(_))),
            ("death of an API server -> finding", death, |blow| matches!(blow, Blow::ApiDeath(_))),
            ("silence of an etcd -> finding", silence, |blow| matches!(blow, Blow::EtcdSilence(_))),
            ("silence of an API server -> finding", silence, |blow| matches!(blow, Blow::ApiSilence(_))),
            ("machine frozen and cut off -> finding", silence, |blow| matches!(blow, Blow::CutOff(_))),
            ("VIP lost -> finding", silence, |blow| *blow == Blow::VipLoss),
        ];
        let mut figures = Vec::new();
        for (name, goal, of) in series {
            let mut sum = Series::default();
            for found in self.found.iter().filter(|found| of(&found.blow)) {
                sum.samples.push(found.after_ms);
                match &found.name {
                    Some(name) => drop(sum.names.insert(name.clone())),
                    None => sum.missed += 1,
                }
            }
            let mut notes: Vec<String> = sum.names.into_iter().collect();
            if sum.missed > 0 {
                notes.push(format!("{} not found within {} s", sum.missed, FOUND_DEADLINE.as_secs()));
            }
            let note = notes.join(", ");
            figures.push(Figure::of(name, "ms", sum.samples, goal).noted(note));
        }
        let lost = self.found.iter().filter(|found| found.blow == Blow::VipLoss);
        let routes: Vec<f64> = lost.filter_map(|found| Some(found.route_ms? - found.after_ms)).collect();
        if !routes.is_empty() {
            figures.push(Figure::of("VIP finding -> direct route", "ms", routes, Some(Goal::P99(1_000.0))));
        }
        figures
    }
}

fn since(event: &Event, at_ms: i64) -> f64 {
    let ms = event.at_ms.saturating_sub(at_ms).max(0);
    // Below an hour: exact.
    ms as f64
}
