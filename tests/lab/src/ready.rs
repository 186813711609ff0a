//! Waiting until a lab serves: asked from the ops host, as a user would.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hyper::Method;

use crate::https::{HttpsClient, HttpsError};
use crate::layout::{API_PORT, Layout, Node, Place, VIP};
use crate::system::namespace::{self, NamespaceError};

/// From start to service: about 30 s on two cores, and kube-vip's lease on top.
const DEADLINE: Duration = Duration::from_secs(180);
/// For one answer; a busy API server takes a second.
const ANSWER: Duration = Duration::from_secs(3);
/// For one answer while everything starts.
const FIRST_ANSWER: Duration = Duration::from_secs(1);
/// Between two questions.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// A kubelet's own health, on the loopback device of its node.
const KUBELET: ([u8; 4], u16) = ([127, 0, 0, 1], 10248);

/// Why a lab does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ReadyError {
    /// Something did not become ready.
    #[error("{} not ready after {} s; the logs are in {}", missing.join(", "), DEADLINE.as_secs(), logs.display())]
    Late {
        /// What is not.
        missing: Vec<String>,
        /// Where to look.
        logs: std::path::PathBuf,
    },
    /// The client could not be made.
    #[error(transparent)]
    Client(#[from] HttpsError),
    /// The namespace is gone.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// No event loop.
    #[error("cannot start an event loop")]
    Runtime(#[source] std::io::Error),
}

/// Waits for every kubelet, every API server and the VIP, all at once; tells `say` of each as it comes.
pub(crate) fn wait(layout: &Layout, say: &dyn Fn(&str)) -> Result<(), ReadyError> {
    let began = Instant::now();
    let late = |missing: Vec<String>| ReadyError::Late { missing, logs: layout.run().to_owned() };
    let mut waiting: BTreeSet<Node> = Node::ALL.into();
    while !waiting.is_empty() {
        for node in waiting.clone() {
            if kubelet_is_healthy(layout, node)? {
                waiting.remove(&node);
            }
        }
        if began.elapsed() > DEADLINE {
            return Err(late(waiting.iter().map(|node| format!("the kubelet of {node} is")).collect()));
        }
        std::thread::sleep(if waiting.is_empty() { Duration::ZERO } else { ASK_EVERY });
    }
    let mut targets: BTreeMap<String, SocketAddr> =
        Node::ALL.iter().map(|node| (format!("the API server of {node}"), node.api())).collect();
    targets.insert("the VIP".to_owned(), (VIP, API_PORT).into());
    let client = client(layout)?;
    let (told, heard) = mpsc::channel::<String>();
    let waiting = targets.clone();
    let asking = move || -> Result<(), ReadyError> {
        in_runtime(async {
            let asked: Vec<_> = waiting
                .into_iter()
                .map(|(name, address)| {
                    let (client, told) = (client.clone(), told.clone());
                    tokio::spawn(async move {
                        while !is_ready(&client, address).await {
                            tokio::time::sleep(ASK_EVERY).await;
                        }
                        // Who listened has given up.
                        let _ = told.send(name);
                    })
                })
                .collect();
            let all = async {
                for one in asked {
                    // A task that broke off never told, so its target counts as missing.
                    let _ = one.await;
                }
            };
            let _ = tokio::time::timeout(DEADLINE.saturating_sub(began.elapsed()), all).await;
        })
    };
    let ops = layout.namespace(Place::Ops);
    std::thread::scope(|scope| {
        let asking = scope.spawn(move || namespace::inside(&ops, asking));
        for name in heard {
            say(&format!("{name} is ready after {:.1} s", began.elapsed().as_secs_f64()));
            targets.remove(&name);
        }
        asking.join().unwrap_or_else(|_| Err(NamespaceError::Thread(layout.namespace(Place::Ops))))?
    })?;
    let missing: Vec<String> = targets.into_keys().map(|name| format!("{name} is")).collect();
    if missing.is_empty() { Ok(()) } else { Err(late(missing)) }
}

async fn is_ready(client: &HttpsClient, address: SocketAddr) -> bool {
    // A VIP that nobody carries yet swallows connections for seconds; a fresh try finds it sooner.
    let answer = client.ask(address, (Method::GET, "/readyz", Vec::new()), FIRST_ANSWER).await;
    answer.is_ok_and(|answer| answer.status == 200)
}

fn client(layout: &Layout) -> Result<HttpsClient, HttpsError> {
    HttpsClient::new(&layout.certificate("kubernetes-ca"), &layout.certificate("admin"), &layout.key("admin"))
}

fn in_runtime<T>(work: impl Future<Output = T>) -> Result<T, ReadyError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ReadyError::Runtime)?;
    Ok(runtime.block_on(work))
}

/// Whether a node's kubelet calls itself healthy.
pub(crate) fn kubelet_is_healthy(layout: &Layout, node: Node) -> Result<bool, NamespaceError> {
    use std::io::{Read, Write};
    let ask = || -> std::io::Result<bool> {
        let mut stream = std::net::TcpStream::connect_timeout(&KUBELET.into(), ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer.ends_with(b" 200"))
    };
    namespace::inside(&layout.namespace(Place::Node(node)), || ask().unwrap_or(false))
}

/// What `/readyz` answers at each address, asked at once as an administrator from the ops host: a status, or why none.
pub(crate) fn readiness(layout: &Layout, addresses: &[SocketAddr]) -> Result<Vec<Result<u16, String>>, ReadyError> {
    let client = client(layout)?;
    let asking = || {
        in_runtime(async {
            let asked: Vec<_> = addresses
                .iter()
                .map(|address| {
                    let (client, address) = (client.clone(), *address);
                    tokio::spawn(async move { client.ask(address, (Method::GET, "/readyz", Vec::new()), ANSWER).await })
                })
                .collect();
            let mut answers = Vec::new();
            for one in asked {
                answers.push(match one.await {
                    Ok(Ok(answer)) => Ok(answer.status),
                    Ok(Err(e)) => Err(e.to_string()),
                    Err(e) => Err(e.to_string()),
                });
            }
            answers
        })
    };
    namespace::inside(&layout.namespace(Place::Ops), asking)?
}
