//! Lines as etcd writes them, cut anywhere; and lines as nobody should write them.

use proptest::prelude::*;

use super::*;

const TEXT: &str = r#"# HELP etcd_disk_wal_fsync_duration_seconds The latency distributions of fsync called by WAL.
# TYPE etcd_disk_wal_fsync_duration_seconds histogram
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 12
etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 40
etcd_disk_wal_fsync_duration_seconds_sum 0.0816
etcd_disk_wal_fsync_duration_seconds_count 40
etcd_disk_wal_fsync_duration_seconds_countess 41
# TYPE etcd_network_peer_sent_failures_total counter
etcd_network_peer_sent_failures_total{To="8e9e05c52164694d"} 3
etcd_network_peer_sent_failures_total{To="91bc3c398fb3c146",} 1.5e+01 1395066363000

etcd_server_has_leader 1
go_goroutines 99
process_start_time_seconds 1.79539e+09"#;

const NAMES: [&str; 6] = [
    "etcd_disk_wal_fsync_duration_seconds_bucket",
    "etcd_disk_wal_fsync_duration_seconds_sum",
    "etcd_disk_wal_fsync_duration_seconds_count",
    "etcd_network_peer_sent_failures_total",
    "etcd_server_has_leader",
    "process_start_time_seconds",
];

/// Every sample as `name{le or To} value`.
fn scan(names: &[&str], chunks: &[&[u8]]) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |sample: Sample<'_>| {
        let label = sample.label("le").or_else(|| sample.label("To"));
        let label = label.map_or(String::new(), |label| format!("{{{label}}}"));
        found.push(format!("{}{label} {}", sample.name, sample.value));
    };
    let mut scanner = Scanner::new(names);
    for chunk in chunks {
        scanner.feed(chunk, &mut note);
        assert!(scanner.begun.capacity() <= 2 * LINE_BYTES_MAX, "memory is constant");
    }
    scanner.end(&mut note);
    found
}

fn one(line: &str) -> Option<(f64, Option<String>)> {
    let mut found = None;
    let mut scanner = Scanner::new(&["a"]);
    scanner.feed(line.as_bytes(), |_| {});
    scanner.end(|sample| found = Some((sample.value, sample.label("l").map(std::borrow::Cow::into_owned))));
    found
}

#[test]
fn finds_what_was_asked_for_however_the_stream_is_cut() {
    let whole = scan(&NAMES, &[TEXT.as_bytes()]);
    assert_eq!(
        whole,
        [
            "etcd_disk_wal_fsync_duration_seconds_bucket{0.001} 12",
            "etcd_disk_wal_fsync_duration_seconds_bucket{+Inf} 40",
            "etcd_disk_wal_fsync_duration_seconds_sum 0.0816",
            "etcd_disk_wal_fsync_duration_seconds_count 40",
            "etcd_network_peer_sent_failures_total{8e9e05c52164694d} 3",
            "etcd_network_peer_sent_failures_total{91bc3c398fb3c146} 15",
            "etcd_server_has_leader 1",
            "process_start_time_seconds 1795390000",
        ]
    );
    for size in 1..TEXT.len() {
        let chunks: Vec<_> = TEXT.as_bytes().chunks(size).collect();
        assert_eq!(scan(&NAMES, &chunks), whole, "in chunks of {size}");
    }
    assert!(scan(&["etcd_server_has", "has_leader", "", "#"], &[TEXT.as_bytes()]).is_empty());
}

#[test]
fn reads_values_labels_and_escapes() {
    let label = |text: &str| Some(text.to_owned());
    assert_eq!(one("a 1"), Some((1.0, None)));
    assert_eq!(one("a\t-1.5e-3\r"), Some((-0.0015, None)));
    assert_eq!(one("a +Inf 7"), Some((f64::INFINITY, None)));
    assert!(one("a NaN").unwrap().0.is_nan());
    assert_eq!(one(r#"a{k="v",l="x"} 2"#), Some((2.0, label("x"))));
    assert_eq!(one(r#"a { k = "}" , l = "\"}\\\n\t" , } 2"#), Some((2.0, label("\"}\\\n\\t"))));
    assert_eq!(one(r#"a{kl="no"} 2"#), Some((2.0, None)));
    assert_eq!(one(r#"a{l="é"} 2"#), Some((2.0, label("é"))));
}

#[test]
fn what_is_no_line_is_passed_over() {
    for bad in [
        "",
        "a",
        "a ",
        "a{",
        "a{}",
        "a{} x",
        "a 1 2 3",
        "a 1 x",
        r#"a{l="} 1"#,
        r#"a{l="\"#,
        "a} 1",
        "aa 1",
        "A 1",
        "#a 1",
        " a 1",
        "a 0x10",
        "a 1,5",
    ] {
        assert_eq!(one(bad), None, "{bad:?}");
    }
    // Labels that are none: the value counts, the label is not there.
    assert_eq!(one("a{l} 1"), Some((1.0, None)));
    assert_eq!(one("a{l=x} 1"), Some((1.0, None)));
    assert!(scan(&["a"], &[b"a{l=\"\xff\"} 1\n"]).is_empty());
}

#[test]
fn a_line_without_end_takes_no_more_than_its_room() {
    let long = [b"a{le=\"".as_slice(), &vec![b'x'; 10 * LINE_BYTES_MAX], b"\"} 1"].concat();
    let mut stream = long.clone();
    stream.extend(b"\na 2\n");
    stream.extend(&long);
    for size in [1_000, LINE_BYTES_MAX, 2 * LINE_BYTES_MAX, stream.len()] {
        let chunks: Vec<_> = stream.chunks(size).collect();
        assert_eq!(scan(&["a"], &chunks), ["a 2"], "in chunks of {size}");
    }
}

proptest! {
    #[test]
    fn garbage_is_survived_and_cuts_do_not_matter(
        bytes in proptest::collection::vec(prop_oneof![
            any::<u8>(), Just(b'\n'), Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\\'), Just(b'a'), Just(b'='), Just(b' '),
            Just(b'1'),
        ], 0..300),
        size in 1_usize..50,
    ) {
        let chunks: Vec<_> = bytes.chunks(size).collect();
        prop_assert_eq!(scan(&["a", "aa"], &chunks), scan(&["a", "aa"], &[&bytes]));
    }
}
