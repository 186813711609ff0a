//! Real connections on the loopback: every way in which one can go, and in which its API server can fail it.
//!
//! A node is an address of 127.0.0.0/8; all of them share a port, as API servers do.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::config::{Lifeline, Node, Ports};

/// Far beyond what anything here takes; nothing is measured by it.
const SOON: Duration = Duration::from_secs(20);

/// A port that nobody has at these addresses, and the listeners that hold it.
async fn listeners(addresses: &[[u8; 4]]) -> (u16, Vec<TcpListener>) {
    'again: loop {
        let first = TcpListener::bind(SocketAddr::from((addresses[0], 0))).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let mut all = vec![first];
        for &address in &addresses[1..] {
            match TcpListener::bind(SocketAddr::from((address, port))).await {
                Ok(listener) => all.push(listener),
                Err(_) => continue 'again,
            }
        }
        return (port, all);
    }
}

/// Nodes `n1`, `n2`, … with their listeners, and a lifeline before them.
struct Scene {
    nodes: Vec<Option<TcpListener>>,
    lifelines: Lifelines,
    address: SocketAddr,
}

impl Scene {
    async fn new(nodes: usize, connections: usize, route: Route) -> Scene {
        static LAST: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
        let number = LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let addresses: Vec<[u8; 4]> =
            (0..=nodes).map(|node| [127, 16, number, u8::try_from(node).unwrap() + 1]).collect();
        let (port, mut all) = listeners(&addresses).await;
        // The lifeline's own: free again in a moment, and nobody else comes to this address.
        let address = all.remove(0).local_addr().unwrap();
        let cluster = Cluster {
            name: "prod".to_owned(),
            vip: None,
            nodes: addresses[1..]
                .iter()
                .enumerate()
                .map(|(number, address)| Node { name: format!("n{}", number + 1), address: (*address).into() })
                .collect(),
            ports: Ports { apiserver: port, etcd: 1, talos: 2 },
            kubernetes: None,
            etcd: None,
            etcd_metrics: None,
            talos: None,
            arm: Vec::new(),
            snapshots: None,
            maintenance: Vec::new(),
            thresholds: defib_engine::threshold::Thresholds::default(),
            lifeline: Some(Lifeline { listen: Some(address), connections, kubeconfig: None }),
        };
        let saved = BTreeMap::from([("prod".to_owned(), route)]);
        let lifelines = Lifelines::start(&[cluster], &saved).unwrap();
        Scene { nodes: all.into_iter().map(Some).collect(), lifelines, address }
    }

    async fn client(&self) -> TcpStream {
        let until = Instant::now() + SOON;
        loop {
            match TcpStream::connect(self.address).await {
                Ok(stream) => return stream,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn taken_by(&self, node: usize) -> TcpStream {
        let listener = self.nodes[node - 1].as_ref().unwrap();
        timeout(SOON, listener.accept()).await.expect("a connection comes here").unwrap().0
    }

    /// A client whose connection was taken by this node, both ends.
    async fn pair(&self, node: usize) -> (TcpStream, TcpStream) {
        tokio::join!(self.client(), self.taken_by(node))
    }

    fn lead(&self, ready: &[&str], suspect: &[&str]) {
        self.lifelines.lead("prod", route(ready, suspect));
    }

    fn dies(&mut self, node: usize) {
        self.nodes[node - 1] = None;
    }
}

fn route(ready: &[&str], suspect: &[&str]) -> Route {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    Route { ready: names(ready), suspect: names(suspect), ..Route::default() }
}

/// How reading ended: `Ok` with everything up to the end, or the kind of error.
async fn rest(stream: &mut TcpStream) -> Result<Vec<u8>, ErrorKind> {
    let mut bytes = Vec::new();
    let read = timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("it ends");
    read.map(|_| bytes).map_err(|error| error.kind())
}

async fn speaks(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    timeout(SOON, to.read_exact(&mut heard)).await.expect("it is heard").unwrap();
    assert_eq!(&heard, b"hello");
}

async fn is_reset(stream: &mut TcpStream) {
    assert_eq!(rest(stream).await, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn each_side_may_say_its_last_by_itself() {
    let scene = Scene::new(1, 8, route(&["n1"], &[])).await;
    let (mut client, mut server) = scene.pair(1).await;
    speaks(&mut client, &mut server).await;
    speaks(&mut server, &mut client).await;
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut server).await.as_deref(), Ok(&b""[..]));
    let long = vec![7; 3 * relay::CHUNK + 1];
    server.write_all(&long).await.unwrap();
    drop(server);
    assert!(rest(&mut client).await.as_deref() == Ok(&long), "all of it, after we said our last");
}

#[tokio::test]
async fn a_reset_is_passed_on_as_one() {
    let scene = Scene::new(1, 8, route(&["n1"], &[])).await;
    let (mut client, mut server) = scene.pair(1).await;
    speaks(&mut client, &mut server).await;
    server.set_zero_linger().unwrap();
    drop(server);
    is_reset(&mut client).await;
    let (client, mut server) = scene.pair(1).await;
    client.set_zero_linger().unwrap();
    drop(client);
    is_reset(&mut server).await;
}

#[tokio::test]
async fn a_slow_reader_holds_up_its_own_server_alone() {
    let scene = Scene::new(1, 8, route(&["n1"], &[])).await;
    let (mut slow, mut server) = scene.pair(1).await;
    let long = 64 * 1024 * 1024;
    let sends = tokio::spawn(async move {
        server.write_all(&vec![1; long]).await.unwrap();
        server
    });
    let (mut client, mut other) = scene.pair(1).await;
    for _ in 0..20 {
        speaks(&mut client, &mut other).await;
        speaks(&mut other, &mut client).await;
        sleep(Duration::from_millis(5)).await;
    }
    assert!(!sends.is_finished(), "nothing keeps 64 MiB for a client that does not read");
    let mut bytes = vec![0; long];
    timeout(SOON, slow.read_exact(&mut bytes)).await.expect("all of it comes").unwrap();
    assert!(bytes.iter().all(|&byte| byte == 1));
    drop(sends.await.unwrap());
    assert_eq!(rest(&mut slow).await.as_deref(), Ok(&b""[..]));
}

#[tokio::test]
async fn when_the_server_dies_the_next_connection_goes_to_another() {
    let mut scene = Scene::new(3, 8, route(&["n2", "n3", "n1"], &[])).await;
    let (mut client, mut server) = scene.pair(2).await;
    speaks(&mut server, &mut client).await;
    scene.dies(2);
    server.set_zero_linger().unwrap();
    drop(server);
    is_reset(&mut client).await;
    let (mut client, mut server) = scene.pair(3).await;
    speaks(&mut client, &mut server).await;
}

#[tokio::test]
async fn where_nobody_takes_it_a_connection_is_reset() {
    let mut scene = Scene::new(2, 8, route(&["n1"], &["n2"])).await;
    scene.dies(1);
    scene.dies(2);
    let mut client = scene.client().await;
    client.write_all(b"a greeting that nobody reads").await.unwrap();
    is_reset(&mut client).await;
}

#[tokio::test]
async fn one_that_is_silent_does_not_hold_up_those_that_answer() {
    let mut scene = Scene::new(2, 8, route(&["n1", "n2"], &[])).await;
    let address = scene.nodes[0].as_ref().unwrap().local_addr().unwrap();
    scene.dies(1);
    // A queue of connections that nobody accepts, full: further attempts are dropped without a word.
    let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    silent.set_reuse_address(true).unwrap();
    silent.bind(&address.into()).unwrap();
    silent.listen(0).unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(stream);
        assert!(waiting.len() < 64, "the queue has no end");
    }
    let (mut client, mut server) = scene.pair(2).await;
    speaks(&mut client, &mut server).await;
}

#[tokio::test]
async fn one_connection_too_many_is_reset_and_the_others_live_on() {
    let scene = Scene::new(1, 2, route(&["n1"], &[])).await;
    let (mut first, mut one) = scene.pair(1).await;
    let (mut second, mut two) = scene.pair(1).await;
    is_reset(&mut scene.client().await).await;
    speaks(&mut first, &mut one).await;
    speaks(&mut second, &mut two).await;
    first.shutdown().await.unwrap();
    drop(one);
    assert_eq!(rest(&mut first).await.as_deref(), Ok(&b""[..]));
    let until = Instant::now() + SOON;
    loop {
        // The place is free a moment after the connection's end was seen.
        let mut client = scene.client().await;
        let taken = timeout(Duration::from_millis(500), scene.nodes[0].as_ref().unwrap().accept()).await;
        if let Ok(Ok((mut server, _))) = taken {
            speaks(&mut client, &mut server).await;
            break;
        }
        assert!(Instant::now() < until, "the place never becomes free");
    }
}

#[tokio::test]
async fn a_connection_is_cut_only_when_its_server_was_given_up_while_another_is_ready() {
    let scene = Scene::new(3, 8, route(&["n1", "n2"], &[])).await;
    let (mut client, mut server) = scene.pair(1).await;
    for (ready, suspect) in [(&["n2", "n1"][..], &[][..]), (&["n2"], &["n1"]), (&[], &["n1"]), (&[], &[])] {
        scene.lead(ready, suspect);
        speaks(&mut client, &mut server).await;
        sleep(Duration::from_millis(30)).await;
        speaks(&mut server, &mut client).await;
    }
    scene.lead(&["n2"], &["n3"]);
    is_reset(&mut client).await;
    is_reset(&mut server).await;
    let (mut client, mut server) = scene.pair(2).await;
    speaks(&mut client, &mut server).await;
}

#[tokio::test]
async fn before_the_first_look_it_leads_where_it_led_or_to_anybody() {
    let scene = Scene::new(3, 8, route(&["n3"], &[])).await;
    drop(scene.pair(3).await);
    let mut scene = Scene::new(3, 8, Route::default()).await;
    scene.dies(1);
    let (mut client, mut server) = scene.pair(2).await;
    speaks(&mut client, &mut server).await;
}

#[tokio::test]
async fn hundreds_wait_and_each_is_heard() {
    let scene = Scene::new(1, 200, route(&["n1"], &[])).await;
    let mut pairs = Vec::new();
    for _ in 0..200 {
        pairs.push(scene.pair(1).await);
    }
    for (client, server) in pairs.iter_mut().rev() {
        speaks(client, server).await;
        speaks(server, client).await;
    }
}

#[tokio::test]
async fn it_ends_with_whoever_leads_it() {
    let scene = Scene::new(1, 8, route(&["n1"], &[])).await;
    let (mut client, mut server) = scene.pair(1).await;
    speaks(&mut client, &mut server).await;
    drop(scene.lifelines);
    // Whether the program's end comes to a connection as a reset or as an end is the kernel's affair.
    let end = rest(&mut client).await;
    assert!(end == Ok(Vec::new()) || end == Err(ErrorKind::ConnectionReset), "{end:?}");
    let until = Instant::now() + SOON;
    while TcpStream::connect(scene.address).await.is_ok() {
        assert!(Instant::now() < until, "it still listens");
        sleep(Duration::from_millis(5)).await;
    }
}
