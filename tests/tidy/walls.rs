//! The walls between the parts, each a function from the sources to what breaks it.
//!
//! They read text, not meaning: a name in a comment does not count, a name in a string does.

/// One file of the repository.
pub(crate) struct Source {
    /// Its path from the root, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

impl Source {
    /// It lies in one of these folders, or is the file of that name beside one: `src/web` is also `src/web.rs`.
    fn of(&self, places: &[&str]) -> bool {
        let within = |place: &str| self.path.strip_prefix(place).is_some_and(|rest| rest.starts_with(['/', '.']));
        places.iter().any(|place| within(place))
    }

    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let stem = name.trim_end_matches(".rs");
        stem == "tests" || stem.ends_with("_tests") || self.path.contains("/tests/")
    }

    /// The numbered lines before the tests at the end of the file, without what stands behind `//`.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().take_while(|line| *line != "#[cfg(test)]").enumerate();
        lines.map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
    }

    /// The lines on which one of these names stands.
    fn naming(&self, names: &[&str]) -> Vec<String> {
        let hit = |(number, line): (usize, &str)| {
            let name = names.iter().find(|name| has_word(line, name))?;
            Some(format!("{}:{number}: {name}", self.path))
        };
        self.code().filter_map(hit).collect()
    }

    /// The lines on which one of these modules of a crate is named: `crate::web`, `defib::web`, `crate::{api, web}`.
    fn naming_modules(&self, krate: &str, modules: &[&str]) -> Vec<String> {
        let hit = |(number, line): (usize, &str)| {
            let (_, behind) = line.split_once(&format!("{krate}::"))?;
            let first = behind.split(|letter: char| !is_word(letter)).next().unwrap_or_default();
            let grouped = behind.starts_with('{');
            let named = |module: &&&str| first == **module || grouped && has_word(behind, module);
            modules.iter().find(named).map(|module| format!("{}:{number}: {krate}::{module}", self.path))
        };
        self.code().filter_map(hit).collect()
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The name stands alone, not as a part of a longer one.
fn has_word(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(is_word);
        let after = line[at + name.len()..].chars().next().is_some_and(is_word);
        !before && !after
    })
}

/// The engine's manifest has no dependencies.
pub(crate) fn engine_depends_on_nothing(manifest: &str) -> Vec<String> {
    manifest.lines().filter(|line| line.starts_with('[') && line.contains("dependencies")).map(str::to_owned).collect()
}

/// No clock, no input or output, no threads in the engine.
pub(crate) fn engine_is_pure(sources: &[Source]) -> Vec<String> {
    let engine = || sources.iter().filter(|source| source.of(&["src/engine"]));
    let names = engine().flat_map(|source| source.naming(&["Instant", "SystemTime", "tokio"]));
    let modules = ["fs", "net", "io", "thread", "process", "env"];
    names.chain(engine().flat_map(|source| source.naming_modules("std", &modules))).collect()
}

/// What observes knows nothing of what decides, shows or acts.
pub(crate) fn observers_only_observe(sources: &[Source]) -> Vec<String> {
    let modules = ["daemon", "cli", "web", "report", "execute", "driver", "journal"];
    let observers = sources.iter().filter(|source| source.of(&["src/observe", "src/client"]));
    observers.flat_map(|source| source.naming_modules("crate", &modules)).collect()
}

/// What shows reads the status and the records, never the machines.
pub(crate) fn shows_read_no_machine(sources: &[Source]) -> Vec<String> {
    let shows = sources.iter().filter(|source| source.of(&["src/metrics", "src/web", "src/report", "src/api"]));
    shows.flat_map(|source| source.naming_modules("defib_engine", &["fleet", "cluster"])).collect()
}

/// Only the daemon and the command line put the parts together.
pub(crate) fn only_daemon_and_cli_compose(sources: &[Source]) -> Vec<String> {
    let others = sources.iter().filter(|source| source.of(&["src"]) && !source.is_test());
    let others = others.filter(|source| !source.of(&["src/daemon", "src/cli", "src/main"]));
    others.flat_map(|source| source.naming_modules("crate", &["daemon", "driver", "cli"])).collect()
}

/// Only a proof leaves a guard out: nothing that ships does.
pub(crate) fn every_guard_is_in_force(sources: &[Source]) -> Vec<String> {
    let ships = sources.iter().filter(|source| source.of(&["src"]) && !source.of(&["src/engine/check"]));
    ships.flat_map(|source| source.naming(&["all_but"])).collect()
}

/// No file outgrows a reader; tests aside.
pub(crate) fn files_are_short(sources: &[Source]) -> Vec<String> {
    const LINES_MAX: usize = 600;
    let long = sources.iter().filter(|source| !source.is_test()).map(|source| (source, source.code().count()));
    long.filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(source, lines)| format!("{}: {lines} lines", source.path))
        .collect()
}

/// A module opens by saying why it exists.
pub(crate) fn modules_say_why(sources: &[Source]) -> Vec<String> {
    let mute = sources.iter().filter(|source| !source.text.starts_with("//! "));
    mute.map(|source| format!("{}: does not open with `//! `", source.path)).collect()
}

/// Only the command line prints; tests aside.
pub(crate) fn only_the_command_line_prints(sources: &[Source]) -> Vec<String> {
    let others = sources.iter().filter(|source| !source.of(&["src/cli", "src/main", "tests"]));
    others.flat_map(|source| source.naming(&["println!", "eprintln!", "print!", "eprint!", "dbg!"])).collect()
}
