//! How much of a direct way's throughput comes through the lifeline, under traffic as `kubectl` and controllers make it.
//!
//! A child on the ops host holds two crowds of 200 connections, half of them watches: one through the lifeline of a
//! `defib run`, one directly to the API server to which it leads. They list by turns, first one and then the other, so that
//! whatever else the machine does hurts both. Left out: whether the answers are right, which the end-to-end tests judge.

use std::net::SocketAddr;

use defib_lab::Layout;
use defib_lab::layout::{LIFELINE, Node};
use defib_lab::traffic::{CONNECTIONS, Crowd, Stock, TrafficError};
use serde::{Deserialize, Serialize};

use crate::figure::{Figure, Goal};
use crate::trouble::Trouble;

/// What the child prints: a pair of passes each.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shares {
    /// Throughput through the lifeline, in percent of that of the direct pass beside it.
    percent: Vec<f64>,
    /// MB a second, directly.
    direct_mb_s: Vec<f64>,
}

impl Shares {
    /// The figure for the table.
    pub(crate) fn figure(self) -> Figure {
        let direct = Figure::of("", "MB/s", self.direct_mb_s, None);
        let note = format!("{CONNECTIONS} connections each way; direct {:.0} MB/s", direct.p50);
        Figure::of("lifeline throughput, share of direct", "%", self.percent, Some(Goal::AtLeast(80.0))).noted(note)
    }
}

/// The child: compares so many pairs of passes.
pub(crate) fn child(pairs: usize) -> Result<Shares, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(Trouble::file("an event loop"))?.block_on(compare(pairs))?)
}

async fn compare(pairs: usize) -> Result<Shares, TrafficError> {
    let lifeline = SocketAddr::from(LIFELINE);
    let stock = Stock::lay_in(&Layout::default(), Node::Cp1.api()).await?;
    let own = stock.served_by(lifeline).await?;
    let mut direct = Node::Cp1.api();
    for node in Node::ALL {
        if stock.served_by(node.api()).await? == own {
            direct = node.api();
        }
    }
    let mut through = Crowd::connect(&stock, lifeline).await?;
    let mut beside = Crowd::connect(&stock, direct).await?;
    // Unmeasured: buffers grow, caches fill.
    through.list(&stock).await?;
    beside.list(&stock).await?;
    let mut shares = Shares::default();
    for pair in 0..pairs {
        stock.ring(pair + 1).await?;
        let (line, plain) = if pair % 2 == 0 {
            let line = through.list(&stock).await?;
            (line, beside.list(&stock).await?)
        } else {
            let plain = beside.list(&stock).await?;
            (through.list(&stock).await?, plain)
        };
        shares.percent.push(100.0 * line.mb_per_s() / plain.mb_per_s());
        shares.direct_mb_s.push(plain.mb_per_s());
    }
    stock.sweep().await?;
    Ok(shares)
}
