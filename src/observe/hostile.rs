//! Targets that answer garbage, drip, never stop, hang up, fall silent or show the wrong certificate: every protocol's
//! probe ends in a typed failure within its deadline, reads bounded bytes, and its neighbours notice nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use defib_engine::observation::Facts;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::client::exposition;
use crate::client::testing::{Authority, LOOPBACK, written};
use crate::config::{EtcdMetrics, Ports, Talos as TalosFile};

/// What two machines hold in their sockets' buffers beside what was read.
const BUFFERED_BYTES: u64 = 16 * 1024 * 1024;

/// A test on a busy machine wakes late; this much is no fault of a probe's.
const SLACK: Duration = Duration::from_secs(2);

/// On a busy machine a deadline passes before the other side shows its manner; then it is asked again.
const TRIES: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Takes no part in TLS.
    Mute,
    /// Hangs up at once.
    HangsUp,
    /// Bytes that are not TLS.
    Noise,
    /// A certificate of another authority.
    Stranger,
    /// A certificate whose time is over.
    Expired,
    /// Well-behaved TLS, and bytes within that are neither HTTP.
    Gibberish,
    /// A byte now and then, for ever.
    Drips,
    /// An HTTP answer without an end.
    Endless,
    /// Cuts its answer short.
    BreaksOff,
}

const ALL: [Manner; 9] = [
    Manner::Mute,
    Manner::HangsUp,
    Manner::Noise,
    Manner::Stranger,
    Manner::Expired,
    Manner::Gibberish,
    Manner::Drips,
    Manner::Endless,
    Manner::BreaksOff,
];

impl Manner {
    /// The failures that are true of it, whatever the protocol that meets it.
    fn shows_as(self) -> &'static [&'static str] {
        match self {
            Manner::Mute => &["handshake-timeout"],
            Manner::HangsUp => &["reset"],
            Manner::Noise => &["garbage"],
            Manner::Stranger | Manner::Expired => &["tls"],
            Manner::Gibberish => &["garbage", "protocol", "reset"],
            // HTTP/2 sees after a few bytes that this is none of it.
            Manner::Drips => &["response-timeout", "handshake-timeout", "protocol"],
            Manner::Endless => &["too-large", "protocol", "garbage", "reset"],
            Manner::BreaksOff => &["reset", "protocol", "garbage"],
        }
    }

    async fn serve(self, mut stream: TcpStream, acceptor: TlsAcceptor, sent: &AtomicU64) {
        match self {
            Manner::Mute => std::future::pending().await,
            Manner::HangsUp => {}
            Manner::Noise => {
                let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1 and more of that kind\r\n").await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
            _ => {
                if let Ok(stream) = acceptor.accept(stream).await {
                    self.answer(stream, sent).await;
                }
            }
        }
    }

    async fn answer(self, mut stream: impl AsyncRead + AsyncWrite + Unpin, sent: &AtomicU64) {
        let mut question = [0; 1024];
        let _ = stream.read(&mut question).await;
        match self {
            Manner::Gibberish => {
                let _ = stream.write_all(&[0xa5; 4096]).await;
            }
            Manner::BreaksOff => {
                let head = b"HTTP/1.1 200 OK\r\ncontent-length: 4096\r\n\r\nhalf";
                let _ = stream.write_all(head).await;
                let _ = stream.flush().await;
            }
            Manner::Drips => {
                while stream.write_all(b"H").await.is_ok() && stream.flush().await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            _ => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                let line = b"etcd_server_has_leader 1\n".repeat(1_000);
                while stream.write_all(&line).await.is_ok() {
                    sent.fetch_add(line.len() as u64, Ordering::Relaxed);
                }
            }
        }
    }
}

/// A hostile server, and the most that one of its connections took.
async fn hostile(manner: Manner, authority: &Authority, most: Arc<AtomicU64>) -> u16 {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = match manner {
        Manner::Stranger => {
            let stranger = Authority::new();
            stranger.server(LOOPBACK, 2100)
        }
        Manner::Expired => authority.server(LOOPBACK, 2021),
        _ => authority.server(LOOPBACK, 2100),
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, most) = (acceptor.clone(), Arc::clone(&most));
            tokio::spawn(async move {
                let sent = AtomicU64::new(0);
                manner.serve(stream, acceptor, &sent).await;
                most.fetch_max(sent.into_inner(), Ordering::Relaxed);
            });
        }
    });
    port
}

/// Everything that can be asked of this port.
fn cluster(
    manner: Manner,
    port: u16,
    credential: &crate::config::Credential,
    talosconfig: std::path::PathBuf,
) -> Cluster {
    Cluster {
        name: format!("{manner:?}"),
        vip: Some(SocketAddr::new(LOOPBACK, port)),
        nodes: vec![Node { name: "cp1".to_owned(), address: LOOPBACK }],
        ports: Ports { apiserver: port, etcd: port, talos: port },
        kubernetes: Some(credential.clone()),
        etcd: Some(credential.clone()),
        etcd_metrics: Some(EtcdMetrics { tls: true, port }),
        talos: Some(TalosFile { talosconfig, context: None }),
        arm: Vec::new(),
        snapshots: None,
        maintenance: Vec::new(),
        thresholds: defib_engine::threshold::Thresholds::default(),
        lifeline: None,
    }
}

/// A neighbour that is well: its figures, in the clear.
async fn neighbour() -> u16 {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut question = [0; 1024];
            let _ = stream.read(&mut question).await;
            let body = "etcd_server_has_leader 1\n";
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

fn talosconfig(folder: &std::path::Path, credential: &crate::config::Credential) -> std::path::PathBuf {
    let packed = |file: &std::path::Path| STANDARD.encode(std::fs::read(file).unwrap());
    let text = format!(
        "context: a\ncontexts:\n  a:\n    ca: {}\n    crt: {}\n    key: {}\n",
        packed(&credential.ca),
        packed(&credential.certificate),
        packed(&credential.key),
    );
    written(folder, "talosconfig", &text)
}

#[tokio::test]
async fn every_protocol_ends_in_a_typed_failure_in_time_and_the_neighbour_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let credential = authority.credential(folder.path());
    let talosconfig = talosconfig(folder.path(), &credential);
    let most = Arc::new(AtomicU64::new(0));
    let mut clusters = Vec::new();
    for manner in ALL {
        let port = hostile(manner, &authority, Arc::clone(&most)).await;
        clusters.push(cluster(manner, port, &credential, talosconfig.clone()));
    }
    let mut well = cluster(Manner::Mute, 1, &credential, talosconfig);
    well.name = "well".to_owned();
    well.etcd_metrics = Some(EtcdMetrics { tls: false, port: neighbour().await });
    clusters.push(well);
    let observer = Arc::new(Observer::new(&clusters, &[], Clock::start()));

    let well = Target::Node("well".to_owned(), "cp1".to_owned());
    let mut wrong = Vec::new();
    // The slow ones at once; of the others one after the other, for each is eleven handshakes.
    let (slow, swift): (Vec<_>, Vec<_>) =
        ALL.into_iter().partition(|manner| matches!(manner, Manner::Mute | Manner::Drips));
    for manners in std::iter::once(slow.as_slice()).chain(swift.chunks(1)) {
        let mut probes = JoinSet::new();
        for manner in manners {
            let name = format!("{manner:?}");
            let mine = |target: &Target| target.cluster() == Some(&name);
            for (target, path, kind) in observer.wishes() {
                if mine(&target) && path != Path::Own {
                    probes.spawn(ask(Arc::clone(&observer), *manner, target, kind));
                }
            }
        }
        assert_eq!(probes.len(), manners.len() * 12, "every kind of every protocol");
        while !probes.is_empty() {
            let healthy = observer.probe(&well, ProbeKind::EtcdMetrics).await;
            assert!(matches!(healthy.seen, Seen::Healthy(Facts::EtcdMetrics(_))), "{healthy:?}");
            let next = tokio::time::timeout(Duration::from_millis(100), probes.join_next()).await;
            if let Ok(Some(ended)) = next {
                wrong.extend(ended.unwrap().err());
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let most = most.load(Ordering::Relaxed);
    let bound = exposition::BODY_BYTES_MAX as u64 + BUFFERED_BYTES;
    assert!(most > 0 && most <= bound, "{most} bytes of one endless answer");
}

/// Asks one thing until the other side's manner shows; says what was seen instead.
async fn ask(observer: Arc<Observer>, manner: Manner, target: Target, kind: ProbeKind) -> Result<(), String> {
    let mut said = String::new();
    for _ in 0..TRIES {
        let began = Instant::now();
        let seen = observer.probe(&target, kind).await.seen;
        let took = began.elapsed();
        said = format!("{manner:?} {}: {seen:?} after {took:?}", kind.name());
        match seen {
            _ if took > kind.deadline() + GRACE + SLACK => break,
            Seen::Unhealthy(failure) if manner.shows_as().contains(&failure.name()) => return Ok(()),
            Seen::Unhealthy(Failure::Timeout(_)) => {}
            _ => break,
        }
    }
    Err(said)
}
