//! `maintenance:` of a cluster: weekly windows.
//!
//! ```yaml
//! maintenance:
//!   - { days: [sat, sun], from: 02:00, to: 04:30, offset: "+01:00", hold: everything }
//!   - { days: [mon], from: 22:00, to: 01:00, hold: disruptive }      # until Tuesday; UTC where no offset is written
//! ```

use std::time::Duration;

use defib_engine::maintenance::Maintenance;
use defib_engine::playbook::ActionClass;

use crate::yaml::{Node, Walk, quoted};

const WINDOWS_MAX: usize = 16;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const HOLDS: [(&str, ActionClass); 2] = [("everything", ActionClass::Service), ("disruptive", ActionClass::Disruptive)];
const DAY_MINUTES: u16 = 24 * 60;
/// No place on earth is further from UTC.
const OFFSET_MINUTES_MAX: i32 = 14 * 60;

/// Reads the list. What could not be read is left out, and is a problem in `walk`.
pub(super) fn read(walk: &Walk<'_>, node: &Node) -> Vec<Maintenance> {
    let items = walk.list(node, "maintenance").unwrap_or_default();
    if items.len() > WINDOWS_MAX {
        walk.problem(node.place, format!("{} windows are more than {WINDOWS_MAX}", items.len()));
        return Vec::new();
    }
    items.iter().filter_map(|item| window(walk, item)).collect()
}

fn window(walk: &Walk<'_>, node: &Node) -> Option<Maintenance> {
    let map = walk.map(node, "a maintenance window", &["days", "from", "to", "offset", "hold"])?;
    let days = walk.required(&map, "days").and_then(|node| days(walk, node));
    let from = walk.required(&map, "from").and_then(|node| minute(walk, node, "from", DAY_MINUTES - 1));
    let to = walk.required(&map, "to").and_then(|node| Some((minute(walk, node, "to", DAY_MINUTES)?, node.place)));
    let offset = map.get("offset").map_or(Some(0), |node| offset(walk, node));
    let holds = walk.required(&map, "hold").and_then(|node| {
        let find = |text: &str| HOLDS.iter().find(|(word, _)| *word == text).map(|(_, class)| *class);
        walk.word(node.place, walk.text(node, "hold")?, "hold", find, HOLDS.iter().map(|(word, _)| *word))
    });
    let (from, (to, place), offset) = (from?, to?, offset?);
    if from == to {
        walk.problem(place, "from and to are the same; a whole day is 00:00 to 24:00".to_owned());
        return None;
    }
    let days = days?;
    let minutes = if to > from { to - from } else { DAY_MINUTES - from + to };
    let named: Vec<&str> = DAYS.into_iter().zip(days).filter(|(_, on)| *on).map(|(day, _)| day).collect();
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let zone = match offset {
        0 => "UTC".to_owned(),
        _ => format!("{}{:02}:{:02}", if offset < 0 { '-' } else { '+' }, offset.abs() / 60, offset.abs() % 60),
    };
    Some(Maintenance {
        days,
        from: Duration::from_secs(u64::from(from) * 60),
        length: Duration::from_secs(u64::from(minutes) * 60),
        offset_minutes: offset,
        holds: holds?,
        words: format!("{} {} to {} {zone}", named.join(", "), clock(from), clock(to)),
    })
}

/// On which days it begins, from Monday.
fn days(walk: &Walk<'_>, node: &Node) -> Option<[bool; 7]> {
    let items = walk.list(node, "days")?;
    if items.is_empty() {
        walk.problem(node.place, format!("days is empty; it lists some of {}", DAYS.join(", ")));
        return None;
    }
    let mut days = [false; 7];
    let mut read = Vec::new();
    for item in items {
        let Some(text) = walk.text(item, "a day") else { continue };
        let find = |text: &str| DAYS.iter().position(|day| *day == text);
        let Some(index) = walk.word(item.place, text, "day", find, DAYS.into_iter()) else { continue };
        if let Some(day) = days.get_mut(index) {
            *day = true;
        }
        read.push((text, item.place));
    }
    walk.unique("day", read);
    Some(days)
}

/// `02:30` as minutes after midnight.
fn minute(walk: &Walk<'_>, node: &Node, what: &str, last: u16) -> Option<u16> {
    let text = walk.text(node, what)?;
    let minute = clock(text).filter(|minute| *minute <= last);
    if minute.is_none() {
        walk.problem(node.place, format!("{what} {} is not a time of the day such as 02:30", quoted(text)));
    }
    minute
}

/// `+01:00`, `-05:30`, `UTC`, in minutes.
fn offset(walk: &Walk<'_>, node: &Node) -> Option<i32> {
    let text = walk.text(node, "offset")?;
    let signed = |sign: i32, rest: &str| Some(sign * i32::from(clock(rest)?));
    let minutes = match text.split_at_checked(1) {
        _ if text == "UTC" || text == "Z" => Some(0),
        Some(("+", rest)) => signed(1, rest),
        Some(("-", rest)) => signed(-1, rest),
        _ => None,
    };
    let minutes = minutes.filter(|minutes| minutes.abs() <= OFFSET_MINUTES_MAX);
    if minutes.is_none() {
        walk.problem(node.place, format!("offset {} is not one from UTC such as +01:00", quoted(text)));
    }
    minutes
}

fn clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |digits: &str| digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !two(hours) || !two(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60 && hours * 60 + minutes <= DAY_MINUTES).then_some(hours * 60 + minutes)
}
