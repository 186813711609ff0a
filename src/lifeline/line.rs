//! One cluster's listener, and one connection from beginning to end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use defib_engine::observation::NodeName;
use defib_engine::route::Route;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::dial::{self, Candidate};
use super::{ended, relay};
use crate::config::Cluster;
use crate::metrics::Lifeline as Figures;

/// Between two attempts to listen, or to accept where descriptors have run out.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// A side whose machine vanished is noticed after about two minutes: without it, it would keep its place for good.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// What forwards one cluster's connections.
#[derive(Debug)]
pub(super) struct Line {
    cluster: String,
    listen: SocketAddr,
    connections: usize,
    /// In the configuration's order.
    nodes: Vec<(NodeName, SocketAddr)>,
    figures: Figures,
}

/// How a connection ended.
enum End {
    /// Both sides said their last.
    Closed,
    /// One side failed.
    Broken,
    /// Its API server was given up, or the program ends.
    Cut,
}

impl Line {
    /// None where the cluster has no listener.
    pub(super) fn new(cluster: &Cluster) -> Option<Line> {
        let lifeline = cluster.lifeline.as_ref()?;
        let address = |node: &crate::config::Node| SocketAddr::new(node.address, cluster.ports.apiserver);
        Some(Line {
            cluster: cluster.name.clone(),
            listen: lifeline.listen?,
            connections: lifeline.connections,
            nodes: cluster.nodes.iter().map(|node| (node.name.clone(), address(node))).collect(),
            figures: Figures::of(&cluster.name),
        })
    }

    /// Those that are ready, then those that failed once, then everybody else.
    fn candidates(&self, route: &Route) -> Vec<Candidate> {
        let rank = |name: &NodeName| route.ready.iter().chain(&route.suspect).position(|other| other == name);
        let mut candidates: Vec<_> = self.nodes.iter().enumerate().collect();
        candidates.sort_by_key(|(number, (name, _))| (rank(name).unwrap_or(usize::MAX), *number));
        candidates.into_iter().map(|(number, (_, address))| (number, *address)).collect()
    }

    fn name(&self, number: usize) -> &str {
        self.nodes.get(number).map_or("", |(name, _)| name)
    }
}

/// Takes connections until the program ends.
pub(super) async fn serve(line: Arc<Line>, mut routes: watch::Receiver<Route>) {
    let (connections, mut ends) = (routes.clone(), routes.clone());
    tokio::select! {
        () = ended(&mut ends) => {}
        () = accept(&line, &connections) => {}
    }
    // The connections have receivers of their own, and end with the senders.
    ended(&mut routes).await;
}

async fn accept(line: &Arc<Line>, routes: &watch::Receiver<Route>) {
    let listener = listen(line).await;
    let places = Arc::new(Semaphore::new(line.connections));
    let (mut failing, mut full) = (false, false);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(cluster = line.cluster, %error, "the lifeline cannot accept a connection");
                }
                tokio::time::sleep(AGAIN_AFTER).await;
                continue;
            }
        };
        failing = false;
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            if !std::mem::replace(&mut full, true) {
                let most = line.connections;
                tracing::warn!(cluster = line.cluster, most, "the lifeline is full; further connections are reset");
            }
            line.figures.ended("full");
            reset(&stream);
            continue;
        };
        full = false;
        let (line, routes) = (Arc::clone(line), routes.clone());
        tokio::spawn(async move {
            carry(&line, stream, routes).await;
            drop(place);
        });
    }
}

/// Tries until it may listen: an address that comes later, or is still taken by the process before, is no reason to give up.
async fn listen(line: &Line) -> TcpListener {
    let mut said = false;
    loop {
        match TcpListener::bind(line.listen).await {
            Ok(listener) => {
                if !line.listen.ip().is_loopback() {
                    tracing::warn!(
                        cluster = line.cluster, listen = %line.listen,
                        "the lifeline is reachable from outside; TLS goes through to the API servers untouched"
                    );
                }
                line.figures.listening(true);
                return listener;
            }
            Err(error) => {
                line.figures.listening(false);
                if !std::mem::replace(&mut said, true) {
                    tracing::error!(cluster = line.cluster, listen = %line.listen, %error, "the lifeline cannot listen");
                }
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
}

/// One connection.
async fn carry(line: &Line, mut client: TcpStream, mut routes: watch::Receiver<Route>) {
    let candidates = line.candidates(&routes.borrow_and_update());
    let failed = |number: usize| line.figures.not_taken(line.name(number));
    let Some((number, mut server)) = dial::dial(&candidates, failed).await else {
        tracing::warn!(cluster = line.cluster, "no API server takes a connection; a client of the lifeline is reset");
        line.figures.ended("nobody");
        return reset(&client);
    };
    prepare(&client);
    prepare(&server);
    let (figures, node) = (&line.figures, line.name(number));
    figures.open.increment(1);
    let end = tokio::select! {
        biased;
        () = given_up(&mut routes, node) => End::Cut,
        end = relay::relay(&mut client, &mut server, &figures.sent, &figures.received) => match end {
            Ok(()) => End::Closed,
            Err(_) => End::Broken,
        },
    };
    figures.open.decrement(1);
    figures.ended(match end {
        End::Closed => "closed",
        End::Broken => "broken",
        End::Cut => "cut",
    });
    if !matches!(end, End::Closed) {
        // What is not whole must not look as if it were.
        reset(&client);
        reset(&server);
    }
}

/// Waits until the node was given up while another is ready, or until the program ends.
async fn given_up(routes: &mut watch::Receiver<Route>, node: &str) {
    let gone =
        |route: &Route| !route.ready.is_empty() && !route.ready.iter().chain(&route.suspect).any(|one| one == node);
    // An error: nobody leads any more.
    let _ = routes.wait_for(gone).await;
}

fn prepare(stream: &TcpStream) {
    let (time, interval, retries) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(retries);
    // Without either it works as well, only later.
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
    let _ = stream.set_nodelay(true);
}

/// The stream, when it is dropped, ends by a reset.
fn reset(stream: &TcpStream) {
    // A connection that is gone already needs none.
    let _ = stream.set_zero_linger();
}
