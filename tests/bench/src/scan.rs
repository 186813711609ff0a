//! How fast the scanner of Prometheus text is, on what a real etcd exposes at that moment.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use defib::observe::poll::etcd_metrics::NAMES;
use defib::promtext::Scanner;
use defib_lab::layout::Node;
use serde::{Deserialize, Serialize};

use crate::http;
use crate::trouble::Trouble;

/// Where the lab's etcds expose their metrics.
const METRICS_PORT: u16 = 2381;
/// For the answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes come from a connection in pieces of about this size.
const CHUNK: usize = 16 * 1024;
/// How long one batch scans.
const BATCH: Duration = Duration::from_millis(200);
/// What the child prints.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Scan {
    /// The size of the exposition.
    pub(crate) bytes: usize,
    /// The samples that were wanted in it.
    pub(crate) samples: usize,
    /// Of each batch, in GB (1e9 bytes) a second.
    pub(crate) batches: Vec<f64>,
}

/// The child on the ops host: asks one etcd once, and scans what it said again and again.
pub(crate) fn child() -> Result<Scan, Trouble> {
    let address = SocketAddr::from((Node::Cp1.address(), METRICS_PORT));
    let answer = http::get(address, "/metrics", DEADLINE);
    let (_, text) = answer.map_err(|source| Trouble::Ask { who: format!("etcd's metrics at {address}"), source })?;
    let samples = scan(&text);
    let mut batches = Vec::new();
    for _ in 0..10 {
        let (began, mut scanned) = (Instant::now(), 0_usize);
        while began.elapsed() < BATCH {
            std::hint::black_box(scan(std::hint::black_box(&text)));
            scanned += text.len();
        }
        batches.push(scanned as f64 / began.elapsed().as_secs_f64() / 1e9);
    }
    Ok(Scan { bytes: text.len(), samples, batches })
}

/// One whole scan: how many wanted samples there are.
fn scan(text: &[u8]) -> usize {
    let mut scanner = Scanner::new(&NAMES);
    let (mut samples, mut sum) = (0, 0.0);
    let mut take = |sample: defib::promtext::Sample<'_>| {
        samples += 1;
        sum += sample.value;
    };
    for chunk in text.chunks(CHUNK) {
        scanner.feed(chunk, &mut take);
    }
    scanner.end(&mut take);
    std::hint::black_box(sum);
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_samples_are_counted_however_the_text_is_cut() {
        let line = "etcd_server_has_leader 1\ngo_goroutines 100\n# HELP etcd_server_is_leader x\n";
        assert_eq!(scan(line.repeat(1_000).as_bytes()), 1_000);
    }
}
