//! Traffic as `kubectl` and controllers make it, through the lifeline and beside it: the same answers, every event, and
//! nothing breaks. How fast it is `make bench` says.

use std::net::SocketAddr;
use std::time::Duration;

use defib_lab::Node;
use defib_lab::layout::LIFELINE;
use defib_lab::traffic::{CONNECTIONS, Crowd, Stock};

use crate::daemon::fetch;
use crate::support::{Stage, await_that};

/// For the daemon to know who is ready.
const WITHIN: Duration = Duration::from_secs(60);
/// Passes each way.
const PASSES: usize = 2;

pub(crate) fn through_the_lifeline(stage: &Stage) {
    let config = stage.config("traffic", &[]);
    let mut daemon = stage.daemon(&config);
    await_that("the daemon knows that all is well", WITHIN, || {
        stage.run(&config, &["status"]).status.code() == Some(0)
    });
    stage.in_ops(async || {
        let stock = Stock::lay_in(stage.lab.layout(), Node::Cp1.api()).await.unwrap();
        let mut crowds = Vec::new();
        for address in [SocketAddr::from(LIFELINE), Node::Cp1.api()] {
            crowds.push(Crowd::connect(&stock, address).await.unwrap());
        }
        let (_, metrics) = fetch("http://127.0.0.1:9870/metrics").await.unwrap();
        let open = metrics.lines().find(|line| line.starts_with("defib_lifeline_connections{")).unwrap();
        assert!(open.ends_with(&format!(" {CONNECTIONS}")), "{open}");

        for pass in 0..PASSES {
            for (way, crowd) in crowds.iter_mut().enumerate() {
                // The event comes while the lists fill the way.
                let ring = 2 * pass + way + 1;
                let (rung, listed) = tokio::join!(stock.ring(ring), crowd.list(&stock));
                rung.unwrap();
                let passed = listed.unwrap();
                assert_eq!((passed.answers, passed.wrong), (CONNECTIONS, 0), "{passed:?}");
                assert!(passed.bytes > 200_000_000, "{passed:?}");
            }
        }
        for crowd in &crowds {
            crowd.hear(2 * PASSES).await.unwrap();
            assert_eq!(crowd.broken(), 0);
        }
        stock.sweep().await.unwrap();
    });
    assert!(daemon.terminate().success());
}
