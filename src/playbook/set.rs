//! What is wrong with playbooks that are right each by itself: ladders that lead nowhere or in a circle, and two that
//! answer one finding without an order.
//!
//! One finding has one ladder: which of two playbooks runs first must be written down, not follow from their names. What
//! erases is on no ladder, for only a person begins it.

use defib_engine::playbook::Playbook;

use super::Sheet;
use super::read::NOTIFY;
use crate::yaml::{Place, Problem, quoted, suggestion};

/// Everything that is wrong with the set, in its order. Where it is not `whole`, a name that is not in it may still be right.
pub(super) fn problems(sheets: &[Sheet], whole: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut problem = |sheet: &Sheet, place: Place, text: String| {
        problems.push(Problem::at(&sheet.file, &sheet.playbook.text, place, text));
    };
    let named = |name: &str| sheets.iter().find(|sheet| sheet.playbook.name == name);
    for sheet in sheets {
        let Some(otherwise) = &sheet.playbook.otherwise else { continue };
        let Some(next) = named(otherwise) else {
            let names: Vec<&str> = sheets.iter().map(|sheet| sheet.playbook.name.as_str()).chain([NOTIFY]).collect();
            let hint = suggestion(otherwise, names.iter().copied());
            let text = format!("otherwise {} is not one of {}{hint}", quoted(otherwise), names.join(", "));
            if whole {
                problem(sheet, sheet.otherwise, text);
            }
            continue;
        };
        if let Some(text) = impossible(&sheet.playbook, &next.playbook) {
            problem(sheet, sheet.otherwise, text);
        }
    }
    for (index, sheet) in sheets.iter().enumerate() {
        let ladder = ladder(sheets, sheet);
        if ladder.first().is_some_and(|first| first == ladder.last().unwrap_or(first)) && ladder.len() > 1 {
            problem(sheet, sheet.otherwise, format!("a ladder in a circle: {}", ladder.join(" → ")));
            continue;
        }
        let rival = sheets.iter().take(index).find(|other| {
            let same = other.playbook.when.finding.name == sheet.playbook.when.finding.name;
            let climbs = |from: &Sheet, to: &Sheet| self::ladder(sheets, from).contains(&to.playbook.name.as_str());
            let by_hand = |one: &Sheet| one.playbook.only_by_hand();
            same && !by_hand(sheet) && !by_hand(other) && !climbs(sheet, other) && !climbs(other, sheet)
        });
        if let Some(rival) = rival {
            let (own, other) = (&sheet.playbook.name, &rival.playbook.name);
            let text = format!(
                "{own} and {other} both answer {}, and nothing says which comes first; make one the other's `otherwise`, or \
                 name this one {other} to replace it",
                sheet.playbook.when.finding.name
            );
            problem(sheet, sheet.finding, text);
        }
    }
    problems
}

/// Why the next rung could never be reached, or should not be.
fn impossible(playbook: &Playbook, next: &Playbook) -> Option<String> {
    if next.only_by_hand() {
        return Some(format!("an impossible ladder: {} erases, and only a person begins it", next.name));
    }
    let answers = next.when.finding.name;
    let left: Vec<&str> = playbook.verify.cleared.iter().map(|rule| rule.name).collect();
    if !left.contains(&answers) {
        let left = left.join(" or ");
        return Some(format!(
            "an impossible ladder: where {} fails, {left} is still open, and {} answers {answers}",
            playbook.name, next.name
        ));
    }
    (next.class() < playbook.class()).then(|| {
        format!(
            "an impossible ladder: {} is {}, {} only {}; the gentler comes first",
            playbook.name,
            playbook.class(),
            next.name,
            next.class()
        )
    })
}

/// The names from this playbook upwards; the last is a repeated one where it goes in a circle.
fn ladder<'a>(sheets: &'a [Sheet], from: &'a Sheet) -> Vec<&'a str> {
    let mut names = vec![from.playbook.name.as_str()];
    let mut at = from;
    while let Some(next) = at.playbook.otherwise.as_deref()
        && let Some(sheet) = sheets.iter().find(|sheet| sheet.playbook.name == next)
    {
        let again = names.contains(&next);
        names.push(next);
        if again {
            break;
        }
        at = sheet;
    }
    names
}
