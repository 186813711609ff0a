//! What a kubelet's log says about the back-off of the API server's container.
//!
//! The kubelet keeps its back-off in memory and shows it nowhere but here, at every sync for which it does not start the
//! container. Both of its formats are read: klog's text and JSON, a line each. Lines that are anything else are passed
//! over, whatever they hold, so a log can make this neither fail nor grow. Left out: what remains of a wait, which is
//! the engine's to judge.
//!
//! What was said before the kubelet's own start does not count, for a kubelet that restarts forgets. A wait cannot be
//! spoken of for longer than it lasts: a line that comes later begins the next wait, though its length be the same.

use std::time::Duration;

use defib_engine::observation::{BackOff, KubeletLog};
use serde::Deserialize;

/// Longer lines are not looked at; the kubelet's own on this matter have some 400 bytes.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// Longer waits are no back-off: Kubernetes caps it at 300 s.
const LENGTH_MAX: Duration = Duration::from_secs(24 * 3600);

/// A line may lie this far in our future: clocks differ a little.
const AHEAD_MS_MAX: i64 = 5_000;

/// What a kubelet says once, when it begins to look after pods.
const START: &str = "Starting kubelet main sync loop";

/// The newest back-off of the container `kube-apiserver` in `kube-system` that `text` names. Ages count from
/// `now_unix_ms`, milliseconds since 1970; what the node's clock puts into our future is of age 0.
#[must_use]
pub fn back_off(text: &str, now_unix_ms: i64) -> KubeletLog {
    let mut wait: Option<Wait> = None;
    for line in text.lines().filter(|line| line.len() <= LINE_BYTES_MAX) {
        let Some(line) = Line::read(line.trim(), now_unix_ms) else { continue };
        if line.says_start {
            wait = None;
        }
        let Some(length) = line.back_off else { continue };
        match &mut wait {
            Some(wait) if wait.goes_on(length, line.at_ms) => wait.last_ms = line.at_ms,
            _ => wait = Some(Wait { length, first_ms: line.at_ms, last_ms: line.at_ms }),
        }
    }
    // A node whose clock runs ahead would begin its wait anew at every look.
    let wait = wait.filter(|wait| wait.last_ms <= now_unix_ms.saturating_add(AHEAD_MS_MAX));
    let ago = |at: i64| Duration::from_millis(u64::try_from(now_unix_ms.saturating_sub(at)).unwrap_or(0));
    KubeletLog {
        back_off: wait.map(|wait| BackOff {
            length: wait.length,
            first_said_ago: ago(wait.first_ms),
            last_said_ago: ago(wait.last_ms),
        }),
    }
}

/// The lines that speak of one wait.
struct Wait {
    length: Duration,
    first_ms: i64,
    last_ms: i64,
}

impl Wait {
    fn goes_on(&self, length: Duration, at_ms: i64) -> bool {
        self.length == length && u128::from(at_ms.abs_diff(self.first_ms)) <= length.as_millis()
    }
}

/// What is read of one line.
struct Line {
    at_ms: i64,
    says_start: bool,
    back_off: Option<Duration>,
}

/// The fields of a JSON line that are read; `ts` is in milliseconds since 1970.
#[derive(Deserialize)]
struct Json {
    ts: f64,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    err: String,
}

impl Line {
    fn read(line: &str, now_unix_ms: i64) -> Option<Line> {
        if line.starts_with('{') {
            let Json { ts, msg, err } = serde_json::from_str(line).ok()?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a cast from a float saturates, and any time is as good"
            )]
            return Some(Line { at_ms: ts as i64, says_start: msg == START, back_off: api_server(&err) });
        }
        let at_ms = header(line, now_unix_ms)?;
        // After the header the message is quoted, and nobody but the kubelet writes here.
        let (_, said) = line.split_once("] ")?;
        let says_start = said.strip_prefix('"').is_some_and(|said| said.starts_with(START));
        Some(Line { at_ms, says_start, back_off: api_server(said) })
    }
}

/// `back-off 2m40s restarting failed container=kube-apiserver pod=kube-apiserver-cp1_kube-system(UID)`; one error may
/// name several containers.
fn api_server(text: &str) -> Option<Duration> {
    text.split("back-off ").skip(1).find_map(|told| {
        let (length, told) = told.split_once(" restarting failed container=")?;
        let pod = told.strip_prefix("kube-apiserver pod=")?;
        let (_, namespace) = pod.split_once('_')?;
        if !namespace.starts_with("kube-system(") {
            return None;
        }
        go_duration(length)
    })
}

/// Go's way to write a duration of whole seconds or milliseconds: `2m40s`, `10s`, `1h0m0s`, `1.5s`, `500ms`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    let mut rest = text;
    if rest.is_empty() || rest.len() > 32 {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = after;
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|length| *length <= LENGTH_MAX)
}

/// The time in klog's header, `E1123 01:02:03.123456`, in UTC as milliseconds since 1970. It names no year: the one that
/// brings it nearest to `now_unix_ms` is meant.
fn header(line: &str, now_unix_ms: i64) -> Option<i64> {
    let line = line.as_bytes();
    let two = |at: usize| match line.get(at..at + 2)? {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0')),
        _ => None,
    };
    let separators = [(5, b' '), (8, b':'), (11, b':'), (14, b'.')];
    let in_place = separators.iter().all(|(at, separator)| line.get(*at) == Some(separator));
    if !in_place || !matches!(line.first()?, b'I' | b'W' | b'E' | b'F') {
        return None;
    }
    let (month, day, hour, minute, second) = (two(1)?, two(3)?, two(6)?, two(9)?, two(12)?);
    let (hundredths, thousandth) = (two(15)?, two(16)? % 10);
    let plausible = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !plausible {
        return None;
    }
    let in_day_ms = ((hour * 60 + minute) * 60 + second) * 1000 + hundredths * 10 + thousandth;
    let year = 1970 + now_unix_ms.div_euclid(31_556_952_000);
    let at = |year| days(year, month, day).saturating_mul(86_400_000).saturating_add(in_day_ms);
    (year - 1..=year + 1).map(at).min_by_key(|at| at.abs_diff(now_unix_ms))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, by counting years from March so that a leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T00:05:00Z.
    const NOW: i64 = 1_795_392_300_000;

    fn line(time: &str, length: &str) -> String {
        format!(
            r#"E1123 {time}.123456    4242 pod_workers.go:1324] "Error syncing pod, skipping" err="failed to \"StartContainer\" for \"kube-apiserver\" with CrashLoopBackOff: \"back-off {length} restarting failed container=kube-apiserver pod=kube-apiserver-cp1_kube-system(0123abcd)\"" pod="kube-system/kube-apiserver-cp1" podUID="0123abcd""#
        )
    }

    fn read(lines: &[String], now: i64) -> Option<(u64, u64, u64)> {
        let found = back_off(&lines.join("\n"), now).back_off?;
        Some((found.length.as_secs(), found.first_said_ago.as_secs(), found.last_said_ago.as_secs()))
    }

    #[test]
    fn tells_the_newest_wait_and_when_it_was_said() {
        let lines = [
            line("00:01:00", "1m20s"),
            line("00:03:00", "2m40s"),
            line("00:03:12", "2m40s"),
            line("00:04:50", "2m40s"),
            "noise".to_owned(),
        ];
        assert_eq!(read(&lines, NOW), Some((160, 119, 9)));
        assert_eq!(read(&[], NOW), None);
    }

    #[test]
    fn reads_json() {
        let at = NOW - 20_000;
        let text = format!(
            r#"{{"ts":{at}.25,"caller":"kubelet/pod_workers.go:1324","msg":"Error syncing pod, skipping","pod":{{"name":"kube-apiserver-cp1","namespace":"kube-system"}},"podUID":"0123abcd","err":"failed to \"StartContainer\" for \"kube-apiserver\" with CrashLoopBackOff: \"back-off 5m0s restarting failed container=kube-apiserver pod=kube-apiserver-cp1_kube-system(0123abcd)\""}}"#
        );
        assert_eq!(read(&[text], NOW), Some((300, 20, 20)));
    }

    #[test]
    fn a_wait_ends_when_its_length_has_passed_though_the_next_has_the_same() {
        let lines =
            [line("00:04:00", "10s"), line("00:04:09", "10s"), line("00:04:20", "10s"), line("00:04:25", "10s")];
        assert_eq!(read(&lines, NOW), Some((10, 39, 34)));
    }

    #[test]
    fn what_was_said_before_the_kubelet_started_is_forgotten() {
        let start = r#"I1123 00:04:01.000001 99 kubelet.go:2427] "Starting kubelet main sync loop""#.to_owned();
        let json = format!(r#"{{"ts":{NOW},"msg":"Starting kubelet main sync loop"}}"#);
        assert_eq!(read(&[line("00:04:00", "2m40s"), start.clone()], NOW), None);
        assert_eq!(read(&[line("00:04:00", "2m40s"), json], NOW), None);
        assert_eq!(read(&[line("00:04:00", "2m40s"), start, line("00:04:30", "10s")], NOW), Some((10, 29, 29)));
    }

    #[test]
    fn other_containers_and_other_namespaces_do_not_count() {
        let mine = line("00:04:00", "2m40s");
        assert_eq!(read(&[mine.replace("container=kube-apiserver", "container=kube-scheduler")], NOW), None);
        assert_eq!(read(&[mine.replace("cp1_kube-system(", "cp1_default(")], NOW), None);
        assert_eq!(read(&[mine.replace("container=kube-apiserver", "container=kube-apiserver-proxy")], NOW), None);
    }

    #[test]
    fn one_error_may_name_several_containers() {
        let two = line("00:04:00", "2m40s").replace(
            "err=\"",
            r#"err="[failed: back-off 10s restarting failed container=konnectivity pod=a_kube-system(1), "#,
        );
        assert_eq!(read(&[two], NOW), Some((160, 59, 59)));
    }

    #[test]
    fn the_year_turns() {
        // 2027-01-01T00:00:10Z; the line is from the last second of the year before, and the reverse.
        let new_year = 1_798_761_610_000;
        let old = line("23:59:59", "2m40s").replace("E1123", "E1231");
        assert_eq!(read(&[old], new_year), Some((160, 10, 10)));
        let ahead = line("00:00:05", "2m40s").replace("E1123", "E0101");
        assert_eq!(read(&[ahead], new_year - 8_000), Some((160, 0, 0)));
        let leap = line("00:00:00", "10s").replace("E1123", "E0229");
        // 2028-02-29T00:00:01Z.
        assert_eq!(read(&[leap], 1_835_395_201_000), Some((10, 0, 0)));
    }

    #[test]
    fn a_clock_a_little_ahead_of_ours_gives_no_negative_age_and_one_far_ahead_no_wait() {
        assert_eq!(read(&[line("00:05:03", "2m40s")], NOW), Some((160, 0, 0)));
        assert_eq!(read(&[line("00:09:00", "2m40s")], NOW), None);
    }

    #[test]
    fn hostile_lines_are_passed_over() {
        let good = line("00:04:00", "2m40s");
        let mut lines = vec![good.clone()];
        lines.extend(
            ["", "E", "E11", "{", "{}", r#"{"ts":"x"}"#, r#"{"ts":1e999,"err":""}"#, "\u{0}\u{fffd}]"]
                .map(str::to_owned),
        );
        lines.push("[".repeat(100_000));
        lines.push("{\"ts\":".repeat(2_000));
        lines.push(format!("{}{}", "x".repeat(LINE_BYTES_MAX), good));
        for bad in ["", "s", ".s", "-5s", "9e9s", "99999999h", "5", "5d", "1m1", "é", "1.2.3s"] {
            lines.push(line("00:04:30", bad));
        }
        lines.push(good.replace("E1123", "E1399"));
        lines.push(good.replace("E1123", "Eé23"));
        lines.push(good.replace("00:04:00", "24:61:99"));
        assert_eq!(read(&lines, NOW), Some((160, 59, 59)));
        for now in [i64::MIN, -1, 0, i64::MAX] {
            let _ = read(&lines, now);
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}", now: i64) {
            let _ = back_off(&text, now);
            let _ = back_off(&format!("E1123 01:02:03.12{text}] back-off {text} restarting failed container=kube-apiserver"), now);
        }
    }
}
