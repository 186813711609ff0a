//! The walls of the house as a test: which part may know which, what must have a scenario and a line in the reference.
//!
//! `tests/tidy/walls.rs` has the walls, `tests/tidy/said.rs` what the scenarios must show, `tests/tidy/reference.rs` the page. Every wall is broken here once on purpose:
//! one that cannot fail guards nothing.

#[path = "tidy/reference.rs"]
mod reference;
#[path = "tidy/said.rs"]
mod said;
#[path = "tidy/walls.rs"]
mod walls;

use std::path::{Path, PathBuf};

use defib_engine::diagnosis;
use walls::Source;

/// A wall, a source that breaks it, and one that does not.
type Wall = (fn(&[Source]) -> Vec<String>, (&'static str, &'static str), (&'static str, &'static str));

const WALLS: &[Wall] = &[
    (
        walls::engine_is_pure,
        ("src/engine/x.rs", "//! X.\nuse std::time::Instant;\n"),
        ("src/engine/x.rs", "//! X.\n// No Instant here.\n"),
    ),
    (walls::engine_is_pure, ("src/engine/x.rs", "use std::{fmt, fs};"), ("src/driver.rs", "use std::fs;")),
    (
        walls::observers_only_observe,
        ("src/observe/x.rs", "use crate::{api, web};"),
        ("src/observe/x.rs", "use crate::client;"),
    ),
    (
        walls::observers_only_observe,
        ("src/client/etcd.rs", "crate::execute::x()"),
        ("src/cli/x.rs", "use crate::execute;"),
    ),
    (
        walls::shows_read_no_machine,
        ("src/metrics.rs", "use defib_engine::fleet::Fleet;"),
        ("src/metrics.rs", "use defib_engine::status::Status;"),
    ),
    (
        walls::only_daemon_and_cli_compose,
        ("src/web/mod.rs", "use crate::driver::Driver;"),
        ("src/daemon.rs", "use crate::driver::Driver;"),
    ),
    (
        walls::every_guard_is_in_force,
        ("src/compose.rs", "guards: Guards::all_but(\"quorum\"),"),
        ("tests/simulation/main.rs", "Guards::all_but(name)"),
    ),
    (walls::modules_say_why, ("src/x.rs", "use std::fmt;\n"), ("src/x.rs", "//! Why.\n")),
    (
        walls::only_the_command_line_prints,
        ("src/daemon.rs", "    println!(\"x\");"),
        ("src/cli/x.rs", "    println!(\"x\");"),
    ),
];

#[test]
fn every_wall_stands() -> Result<(), String> {
    let sources = sources()?;
    assert!(sources.len() > 50, "only {} sources were found", sources.len());
    let mut broken: Vec<String> = WALLS.iter().flat_map(|(wall, _, _)| wall(&sources)).collect();
    broken.extend(walls::files_are_short(&sources));
    broken.extend(walls::engine_depends_on_nothing(&read(&root().join("src/engine/Cargo.toml"))?));
    broken.sort();
    broken.dedup();
    assert!(broken.is_empty(), "walls are broken:\n{}", broken.join("\n"));
    Ok(())
}

#[test]
fn every_wall_can_break() {
    let one = |(path, text): (&str, &str)| [Source { path: path.to_owned(), text: text.to_owned() }];
    for (index, (wall, bad, good)) in WALLS.iter().enumerate() {
        assert_eq!(wall(&one(*bad)).len(), 1, "wall {index} lets {bad:?} through");
        assert_eq!(wall(&one(*good)), Vec::<String>::new(), "wall {index}");
    }
    let long = "x\n".repeat(601);
    assert_eq!(walls::files_are_short(&one(("src/x.rs", &long))).len(), 1);
    assert!(walls::files_are_short(&one(("src/x/tests.rs", &long))).is_empty());
    assert!(walls::files_are_short(&one(("src/x.rs", &format!("#[cfg(test)]\n{long}")))).is_empty());
    assert_eq!(walls::engine_depends_on_nothing("[dependencies]\nrand = \"1\"\n").len(), 1);
}

#[test]
fn everything_that_can_be_said_has_a_scenario() -> Result<(), String> {
    let scenarios = scenarios()?;
    let missing = said::missing(&scenarios)?;
    assert!(missing.is_empty(), "no scenario shows\n{}", missing.join("\n"));
    let all = said::wanted()?;
    assert!(all.len() > 2 * (diagnosis::ALL.len() + defib::playbook::SHIPPED.len()), "only {} are wanted", all.len());
    assert_eq!(said::missing("")?.len(), all.len(), "without scenarios all of them are missed");
    // What is only asked for, or only said of another, is not shown.
    let asked = scenarios.lines().filter(|line| line.starts_with("> ")).collect::<Vec<_>>().join("\n");
    assert_eq!(said::missing(&asked)?.len(), all.len(), "input shows nothing");
    Ok(())
}

#[test]
fn the_reference_says_what_the_tables_say() -> Result<(), String> {
    let folder = root().join("docs/reference");
    let pages = reference::pages()?;
    for (name, page) in &pages {
        let file = folder.join(name);
        if std::env::var_os("UPDATE_REFERENCE").is_some_and(|value| value == "1") {
            assert!(std::env::var_os("CI").is_none(), "the reference is not rewritten in CI");
            std::fs::write(&file, page).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        let written = read(&file)?;
        let differs = written.lines().zip(page.lines()).position(|(written, page)| written != page);
        assert!(written == *page, "{} differs near line {}", file.display(), differs.unwrap_or_default() + 1);
    }
    assert_eq!(files(folder, "md")?.len(), pages.len(), "docs/reference holds only what is made here");
    Ok(())
}

#[test]
fn every_claim_of_safety_names_a_defender_that_exists() -> Result<(), String> {
    let page = read(&root().join("docs/safety.md"))?;
    let claims = page.split("\n### ").skip(1).map(|claim| claim.split("\n## ").next().unwrap_or_default());
    let claims: Vec<&str> = claims.collect();
    assert!(claims.len() >= 9, "only {} claims were found", claims.len());
    let wrong: Vec<String> = claims.iter().flat_map(|claim| undefended(claim)).collect();
    assert!(wrong.is_empty(), "docs/safety.md:\n{}", wrong.join("\n"));
    for bad in ["1. Bold", "1. Gone\n[x](../tests/gone.txt)", "1. Renamed\n[`no_such_test_name`](../tests/crash.rs)"] {
        assert_eq!(undefended(bad).len(), 1, "{bad:?} passes");
    }
    Ok(())
}

/// What is wrong with a claim's links: none at all, a file that does not exist, a name in backticks that its file lacks.
fn undefended(claim: &str) -> Vec<String> {
    let title = claim.lines().next().unwrap_or_default();
    let links: Vec<(&str, &str)> = claim
        .split("](../")
        .zip(claim.split("](../").skip(1))
        .map(|(before, after)| {
            let name = before.rsplit('[').next().unwrap_or_default();
            (name, after.split(')').next().unwrap_or_default())
        })
        .collect();
    if links.is_empty() {
        return vec![format!("{title}: nothing defends it")];
    }
    let wrong = |(name, path): &(&str, &str)| match read(&root().join(path)) {
        Err(error) => Some(format!("{title}: {error}")),
        Ok(text) => {
            let code = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
            let absent = code.is_some_and(|code| !text.contains(code));
            absent.then(|| format!("{title}: {path} has no {name}"))
        }
    };
    links.iter().filter_map(wrong).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Every file below a folder whose name ends in `.EXTENSION`, in order.
fn files(folder: PathBuf, extension: &str) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let (within, here): (Vec<_>, Vec<_>) =
            entries.flatten().map(|entry| entry.path()).partition(|path| path.is_dir());
        folders.extend(within);
        files.extend(here.into_iter().filter(|path| path.extension().is_some_and(|end| end == extension)));
    }
    files.sort();
    Ok(files)
}

/// All scenarios, one after the other.
fn scenarios() -> Result<String, String> {
    files(root().join("tests/scenarios"), "txt")?.iter().map(|path| read(path)).collect()
}

/// Every Rust file of the workspace.
fn sources() -> Result<Vec<Source>, String> {
    let mut paths = files(root().join("src"), "rs")?;
    paths.extend(files(root().join("tests"), "rs")?);
    let source = |path: &PathBuf| {
        let shown = path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned();
        Ok(Source { path: shown, text: read(path)? })
    };
    paths.iter().map(source).collect()
}
