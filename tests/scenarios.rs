//! Plain text in, decisions out: every file of `tests/scenarios` gives the engine a world and shows what it made of it.
//!
//! The files are compared byte for byte; `UPDATE_SCENARIOS=1` writes what came out instead. `tests/scenarios/README.md`
//! tells the words. Left out: whether what came out is right, which is for whoever reads the file.

#[path = "scenarios/play.rs"]
mod play;

use std::path::{Path, PathBuf};

use play::play;

/// So many lines around a difference are shown.
const CONTEXT: usize = 3;

#[test]
fn every_scenario_comes_out_as_written() -> Result<(), String> {
    let update = std::env::var_os("UPDATE_SCENARIOS").is_some_and(|value| value == "1");
    assert!(!(update && std::env::var_os("CI").is_some()), "scenarios are not rewritten in CI");
    let files = files()?;
    assert!(!files.is_empty(), "there is no scenario");
    // One difference is enough for `make mutants`, which plays all of them hundreds of times.
    let fail_fast = std::env::var_os("FAIL_FAST").is_some();
    let mut wrong = Vec::new();
    for file in &files {
        if fail_fast && !wrong.is_empty() {
            break;
        }
        let text = read(file)?;
        match play(&text) {
            Err(why) => wrong.push(format!("{}: {why}", file.display())),
            Ok(out) if out == text => {}
            Ok(out) if update => std::fs::write(file, out).map_err(|error| format!("{}: {error}", file.display()))?,
            Ok(out) => wrong.push(format!("{}: differs\n{}", file.display(), difference(&text, &out))),
        }
    }
    assert!(wrong.is_empty(), "{} of {} scenarios\n\n{}", wrong.len(), files.len(), wrong.join("\n"));
    Ok(())
}

#[test]
fn unknown_words_are_an_error_with_their_line() {
    let text = "# A mistake.\n\n> cluster prod: cp1\n> cp1 etcd: asleep\n";
    assert_eq!(play(text), Err("line 4: nothing answers with the words `asleep`".to_owned()));
}

#[test]
fn a_scenario_says_what_it_is_for() {
    assert!(play("> cluster prod: cp1\n").is_err_and(|why| why.contains("sentence of purpose")));
}

#[test]
fn what_is_missing_at_the_end_has_the_last_line_as_its_place() {
    let without = "line 3: it ends without an input line: one begins with `> `";
    assert_eq!(play("# A purpose.\n\n# And no more.\n"), Err(without.to_owned()));
    let text = "# A mistake.\n\n> cluster prod: cp1\n> next step: never reports\n> run 1s\n";
    assert_eq!(play(text), Err("line 5: it ends here, and no step came after `next step`".to_owned()));
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn files() -> Result<Vec<PathBuf>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    Ok(files)
}

/// The lines around the first difference: `-` as written, `+` as it came out.
fn difference(written: &str, out: &str) -> String {
    let (written, out): (Vec<_>, Vec<_>) = (written.lines().collect(), out.lines().collect());
    let same = written.iter().zip(&out).take_while(|(a, b)| a == b).count();
    let tail = written.iter().rev().zip(out.iter().rev()).take_while(|(a, b)| a == b).count();
    let tail = tail.min(written.len() - same).min(out.len() - same);
    let mut text = format!("  line {}:\n", same + 1);
    let mut show = |sign: char, lines: &[&str]| {
        for line in lines {
            text.push_str(&format!("  {sign} {line}\n"));
        }
    };
    show(' ', &written[same.saturating_sub(CONTEXT)..same]);
    show('-', &written[same..written.len() - tail]);
    show('+', &out[same..out.len() - tail]);
    text
}
