//! The client against small servers on loopback that fail in every way.

use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;
use crate::client::tls::Files;
use crate::config::Credential;
use crate::observe::patience::Deadlines;
use crate::observe::poll;
use defib_engine::observation::{Facts, ProbeKind, Seen};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(5);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// An authority, and our credential by it on disk.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    authority: Issuer<'static, KeyPair>,
    root: rcgen::Certificate,
}

impl World {
    pub(crate) fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        let world = World { folder, authority: Issuer::new(params, key), root };
        let (certificate, key) = world.signed(CertificateParams::new(Vec::new()).unwrap());
        let write = |name, text: String| std::fs::write(world.folder.path().join(name), text).unwrap();
        write("ca.pem", world.root.pem());
        write("certificate.pem", certificate.pem());
        write("key.pem", key.serialize_pem());
        world
    }

    fn signed(&self, params: CertificateParams) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.authority).unwrap(), key)
    }

    pub(crate) fn credential(&self) -> Credential {
        let file = |name| self.folder.path().join(name);
        Credential { ca: file("ca.pem"), certificate: file("certificate.pem"), key: file("key.pem") }
    }

    fn client(&self, address: SocketAddr) -> Kubernetes {
        Kubernetes::new(address, Arc::new(Kept::new(Files::new(&self.credential()))))
    }

    fn acceptor(&self, params: CertificateParams, asks_for_ours: Option<&World>) -> TlsAcceptor {
        let (certificate, key) = self.signed(params);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = match asks_for_ours {
            None => builder.unwrap().with_no_client_auth(),
            Some(world) => {
                let mut roots = RootCertStore::empty();
                roots.add(world.root.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.unwrap().with_client_cert_verifier(verifier)
            }
        };
        TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()))
    }

    /// A server with a good certificate that does `then` with every connection, and counts them.
    async fn serve<F: Future<Output = ()> + Send>(
        &self,
        then: impl Fn(TlsStream<TcpStream>) -> F + Send + Copy + 'static,
    ) -> (SocketAddr, Arc<AtomicUsize>) {
        serve(self.acceptor(local(), None), then).await
    }
}

fn local() -> CertificateParams {
    CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap()
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn serve<F: Future<Output = ()> + Send>(
    acceptor: TlsAcceptor,
    then: impl Fn(TlsStream<TcpStream>) -> F + Send + Copy + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let (listener, address) = listen().await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    then(stream).await;
                }
            });
        }
    });
    (address, count)
}

/// Reads until the end of a request's head.
async fn request(stream: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

async fn answer_all(mut stream: TlsStream<TcpStream>, with: &[u8]) {
    while request(&mut stream).await.is_some() {
        if stream.write_all(with).await.is_err() {
            return;
        }
    }
}

async fn failure(client: &Kubernetes, within: Duration) -> Failure {
    match client.get("/readyz", Instant::now() + within).await {
        Err(Trouble::Failed(failure)) => failure,
        other => panic!("not a failure: {other:?}"),
    }
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let (listener, address) = listen().await;
    drop(listener);
    assert_eq!(failure(&World::new().client(address), LONG).await, Failure::Refused);
}

#[tokio::test]
async fn silence_is_told_by_its_stage() {
    let world = World::new();
    let (_listener, address) = listen().await;
    assert_eq!(failure(&world.client(address), SHORT).await, Failure::Timeout(Stage::Handshake));

    let (address, _) = world.serve(async |mut stream| while stream.read_u8().await.is_ok() {}).await;
    assert_eq!(failure(&world.client(address), SHORT).await, Failure::Timeout(Stage::Response));
}

#[tokio::test]
async fn a_slow_drip_ends_at_the_deadline() {
    let drip = async |mut stream: TlsStream<TcpStream>| {
        request(&mut stream).await;
        while stream.write_all(b"H").await.is_ok() && stream.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if stream.write_all(b"TTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n").await.is_err() {
                return;
            }
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    let world = World::new();
    let (address, _) = world.serve(drip).await;
    let began = Instant::now();
    assert_eq!(failure(&world.client(address), SHORT).await, Failure::Timeout(Stage::Response));
    assert!(began.elapsed() < SHORT * 3);
}

#[tokio::test]
async fn a_cut_connection_is_reset() {
    let world = World::new();
    let (listener, address) = listen().await;
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    assert_eq!(failure(&world.client(address), LONG).await, Failure::Reset);

    let (address, _) = world.serve(async |mut stream| drop(request(&mut stream).await)).await;
    assert_eq!(failure(&world.client(address), LONG).await, Failure::Reset);

    let half = async |mut stream: TlsStream<TcpStream>| {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok").await;
        let _ = stream.flush().await;
    };
    let (address, _) = world.serve(half).await;
    assert_eq!(failure(&world.client(address), LONG).await, Failure::Reset);
}

#[tokio::test]
async fn what_is_not_the_protocol_is_garbage() {
    let world = World::new();
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    assert!(matches!(failure(&world.client(address), LONG).await, Failure::Garbage(_)));

    let (address, _) = world.serve(async |stream| answer_all(stream, b"\x00\x01\x02 what\r\n\r\n").await).await;
    assert!(matches!(failure(&world.client(address), LONG).await, Failure::Garbage(_)));
}

#[tokio::test]
async fn endless_answers_are_too_large() {
    let world = World::new();
    let body = async |mut stream: TlsStream<TcpStream>| {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    };
    let (address, _) = world.serve(body).await;
    assert_eq!(failure(&world.client(address), LONG).await, Failure::TooLarge);

    let head = async |mut stream: TlsStream<TcpStream>| {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\na: ").await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    };
    let (address, _) = world.serve(head).await;
    assert_eq!(failure(&world.client(address), LONG).await, Failure::TooLarge);
}

#[tokio::test]
async fn bad_certificates_are_told_apart() {
    let world = World::new();
    let mut expired = local();
    expired.not_after = rcgen::date_time_ymd(2020, 2, 29);
    let elsewhere = CertificateParams::new(vec!["127.0.0.9".to_owned()]).unwrap();
    let cases = [
        (world.acceptor(expired, None), "its certificate expired"),
        (world.acceptor(elsewhere, None), "its certificate is for another address"),
        (World::new().acceptor(local(), None), "its certificate comes from an unknown authority"),
    ];
    for (acceptor, expected) in cases {
        let (address, _) = serve(acceptor, async |stream| answer_all(stream, OK).await).await;
        match failure(&world.client(address), LONG).await {
            Failure::Tls(text) => assert!(text.starts_with(expected), "{text}"),
            other => panic!("{expected}: {other}"),
        }
    }
}

#[tokio::test]
async fn a_refused_credential_leaves_the_server_unknown() {
    let world = World::new();
    let refused = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno";
    let (address, _) = world.serve(async |stream| answer_all(stream, refused).await).await;
    let unauthorized = |trouble| matches!(trouble, Err(Trouble::Unknown(Why::Unauthorized(_))));
    assert!(unauthorized(world.client(address).get("/livez", Instant::now() + LONG).await));

    // Another authority's clients only: with TLS 1.3 that is said after the handshake.
    let (address, _) =
        serve(world.acceptor(local(), Some(&World::new())), async |stream| answer_all(stream, OK).await).await;
    let answer = world.client(address).get("/livez", Instant::now() + LONG).await;
    assert!(unauthorized(answer.clone()), "{answer:?}");
}

#[tokio::test]
async fn a_credential_that_cannot_be_read_is_our_own_side_until_it_can() {
    let world = World::new();
    let (address, _) = world.serve(async |stream| answer_all(stream, OK).await).await;
    let client = world.client(address);
    let (key, away) = (world.folder.path().join("key.pem"), world.folder.path().join("away.pem"));
    std::fs::rename(&key, &away).unwrap();
    let answer = client.get("/livez", Instant::now() + LONG).await;
    assert!(matches!(&answer, Err(Trouble::Unknown(Why::OwnSide(text))) if text.contains("key.pem")), "{answer:?}");
    std::fs::rename(&away, &key).unwrap();
    // What was seen of the disk serves for a moment.
    tokio::time::sleep(crate::client::kept::KEPT_BROKEN).await;
    assert_eq!(client.get("/livez", Instant::now() + LONG).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_connection_is_held_and_dialled_anew_when_it_was_closed() {
    let world = World::new();
    let (address, count) = world.serve(async |stream| answer_all(stream, OK).await).await;
    let client = world.client(address);
    for _ in 0..3 {
        let answer = client.get("/livez", Instant::now() + LONG).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);

    let one_each = async |mut stream: TlsStream<TcpStream>| {
        request(&mut stream).await;
        let _ = stream.write_all(OK).await;
        let _ = stream.shutdown().await;
    };
    let (address, count) = world.serve(one_each).await;
    let client = world.client(address);
    for asked in 1..=3 {
        assert_eq!(client.get("/livez", Instant::now() + LONG).await.unwrap().status, 200);
        assert_eq!(count.load(Ordering::SeqCst), asked);
        let closed = async {
            while client.held().as_ref().is_some_and(Connection::is_open) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, closed).await.unwrap();
    }
}

#[tokio::test]
async fn a_held_connection_does_not_hide_that_nobody_listens_any_more() {
    let world = World::new();
    let acceptor = world.acceptor(local(), None);
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut stream = acceptor.accept(stream).await.unwrap();
        request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        while stream.read_u8().await.is_ok() {}
    });
    let client = world.client(address);
    assert_eq!(client.get("/livez", Instant::now() + LONG).await.unwrap().status, 200);
    assert_eq!(failure(&client, CONNECT_WITHIN + Duration::from_millis(500)).await, Failure::Refused);
}

#[tokio::test]
async fn an_api_server_that_lives_and_is_not_ready() {
    let world = World::new();
    let sick = async |mut stream: TlsStream<TcpStream>| {
        while let Some(head) = request(&mut stream).await {
            let answer: &[u8] = if head.starts_with("GET /livez?exclude=etcd HTTP/1.1\r\n") {
                OK
            } else {
                b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 33\r\n\r\n[+]ping ok\n[-]etcd failed: reason"
            };
            stream.write_all(answer).await.unwrap();
        }
    };
    let (address, count) = world.serve(sick).await;
    let client = world.client(address);
    for _ in 0..2 {
        let facts = match poll::apiserver::poll(&client, ProbeKind::Apiserver, Deadlines::only(LONG)).await {
            Seen::Healthy(Facts::Apiserver(facts)) => facts,
            other => panic!("{other:?}"),
        };
        assert_eq!((facts.ready, facts.live, facts.failing), (false, true, vec!["etcd".to_owned()]));
        assert!(facts.took > Duration::ZERO && facts.took < LONG);
        assert_eq!(facts.certificate_sha256.len(), 64);
        assert!(facts.certificate_not_after.is_some());
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_vip_is_asked_over_a_fresh_connection_and_tells_who_answers() {
    let world = World::new();
    let (address, count) = world.serve(async |stream| answer_all(stream, OK).await).await;
    let client = world.client(address);
    let mut shown = Vec::new();
    for _ in 0..2 {
        match poll::vip::poll(&client, ProbeKind::Vip, Deadlines::only(LONG)).await {
            Seen::Healthy(Facts::Vip(vip)) if vip.ready => shown.push(vip.certificate_sha256),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(count.load(Ordering::SeqCst), 2);
    assert_eq!(shown[0].len(), 64);
    assert_eq!(shown[0], shown[1]);
}

#[tokio::test]
async fn a_vip_that_is_lost_while_its_answer_is_waited_for_is_told_before_the_wait_ends() {
    let world = World::new();
    let acceptor = world.acceptor(local(), None);
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut stream = acceptor.accept(stream).await.unwrap();
        while stream.read_u8().await.is_ok() {}
    });
    let began = Instant::now();
    let deadlines = Deadlines { sign: LONG, whole: LONG * 10 };
    let seen = poll::vip::poll(&world.client(address), ProbeKind::Vip, deadlines).await;
    assert_eq!(seen, Seen::Unhealthy(Failure::Refused));
    assert!(began.elapsed() < LONG * 5);
}

/// A client whose bell is counted.
fn belled(world: &World, address: SocketAddr) -> (Kubernetes, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let bell = Bell::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    (world.client(address).with_bell(bell), count)
}

async fn rings(count: &AtomicUsize) {
    let rung = async {
        while count.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LONG, rung).await.unwrap();
}

#[tokio::test]
async fn the_end_of_a_held_connection_is_told_though_nothing_is_asked() {
    let world = World::new();
    let one_each = async |mut stream: TlsStream<TcpStream>| {
        request(&mut stream).await;
        let _ = stream.write_all(OK).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let (address, _) = world.serve(one_each).await;
    let (client, count) = belled(&world, address);
    assert_eq!(client.get("/readyz", Instant::now() + LONG).await.unwrap().status, 200);
    rings(&count).await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_end_that_was_announced_or_is_ours_is_no_news() {
    let world = World::new();
    let announced = async |mut stream: TlsStream<TcpStream>| {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
    };
    let (address, _) = world.serve(announced).await;
    let (client, count) = belled(&world, address);
    for _ in 0..3 {
        assert_eq!(client.get("/readyz", Instant::now() + LONG).await.unwrap().status, 200);
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);

    let (address, served) = world.serve(async |stream| answer_all(stream, OK).await).await;
    let (client, count) = belled(&world, address);
    assert_eq!(client.get("/readyz", Instant::now() + LONG).await.unwrap().status, 200);
    drop(client);
    // What was aborted has gone by the time that another one is served.
    assert_eq!(world.client(address).get("/readyz", Instant::now() + LONG).await.unwrap().status, 200);
    assert_eq!((served.load(Ordering::SeqCst), count.load(Ordering::SeqCst)), (2, 0));
}

#[tokio::test]
async fn too_many_requests_tell_how_long_to_rest() {
    let world = World::new();
    let busy = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\ncontent-length: 2\r\n\r\nno";
    let (address, _) = world.serve(async |stream| answer_all(stream, busy).await).await;
    let client = world.client(address);
    assert_eq!(client.asked_for_rest(), None);
    assert_eq!(client.get("/readyz", Instant::now() + LONG).await.unwrap().status, 429);
    assert_eq!(client.asked_for_rest(), Some(Duration::from_secs(3)));
}

/// Answers `/livez` and says nothing to anything else.
async fn lives_only(mut stream: TlsStream<TcpStream>) {
    while let Some(head) = request(&mut stream).await {
        if head.starts_with("GET /livez?exclude=etcd ") && stream.write_all(OK).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn one_that_waits_for_its_store_lives_and_one_that_is_silent_is_told_by_its_first_deadline() {
    let world = World::new();
    let deadlines = Deadlines { sign: Duration::from_millis(900), whole: Duration::from_millis(1_200) };
    let (address, _) = world.serve(lives_only).await;
    match poll::apiserver::poll(&world.client(address), ProbeKind::Apiserver, deadlines).await {
        Seen::Healthy(Facts::Apiserver(facts)) => assert!(facts.live && !facts.ready, "{facts:?}"),
        other => panic!("{other:?}"),
    }

    let (address, _) = world.serve(async |mut stream| while stream.read_u8().await.is_ok() {}).await;
    let deadlines = Deadlines { sign: Duration::from_millis(600), whole: LONG };
    let began = Instant::now();
    let seen = poll::apiserver::poll(&world.client(address), ProbeKind::Apiserver, deadlines).await;
    assert_eq!(seen, Seen::Unhealthy(Failure::Timeout(Stage::Response)));
    assert!(began.elapsed() < LONG / 2);
}

/// Answers `/livez` once among all its connections, and says nothing ever after.
async fn lives_once(mut stream: TlsStream<TcpStream>) {
    static SPOKE: AtomicUsize = AtomicUsize::new(0);
    while let Some(head) = request(&mut stream).await {
        if head.starts_with("GET /livez?exclude=etcd ") && SPOKE.fetch_add(1, Ordering::SeqCst) == 0 {
            let _ = stream.write_all(OK).await;
        }
    }
}

#[tokio::test]
async fn one_that_falls_silent_while_its_store_is_waited_for_is_told_before_the_wait_ends() {
    let world = World::new();
    let sign = Duration::from_millis(600);
    let (address, _) = world.serve(lives_once).await;
    let began = Instant::now();
    let deadlines = Deadlines { sign, whole: LONG * 10 };
    let seen = poll::apiserver::poll(&world.client(address), ProbeKind::Apiserver, deadlines).await;
    assert_eq!(seen, Seen::Unhealthy(Failure::Timeout(Stage::Response)));
    assert!(began.elapsed() < LONG * 5);

    let (address, _) = world.serve(lives_on).await;
    let deadlines = Deadlines { sign, whole: sign * 5 };
    match poll::apiserver::poll(&world.client(address), ProbeKind::Apiserver, deadlines).await {
        Seen::Healthy(Facts::Apiserver(facts)) => assert!(facts.live && !facts.ready, "{facts:?}"),
        other => panic!("{other:?}"),
    }
    assert!(SIGNS.load(Ordering::SeqCst) > 2, "it was asked on and on");
    assert_eq!(HANDSHAKES.load(Ordering::SeqCst), 2, "over one connection beside the one that waits");
}

/// How many connections [`lives_on`] served, and how often it gave a sign of life.
static HANDSHAKES: AtomicUsize = AtomicUsize::new(0);
static SIGNS: AtomicUsize = AtomicUsize::new(0);

/// As [`lives_only`], counted.
async fn lives_on(mut stream: TlsStream<TcpStream>) {
    HANDSHAKES.fetch_add(1, Ordering::SeqCst);
    while let Some(head) = request(&mut stream).await {
        if head.starts_with("GET /livez?exclude=etcd ") {
            SIGNS.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(OK).await;
        }
    }
}

/// Answers each connection's first question and closes without a word when the second one comes.
async fn closes_at_the_second(mut stream: TlsStream<TcpStream>) {
    request(&mut stream).await;
    let _ = stream.write_all(OK).await;
    request(&mut stream).await;
}

#[tokio::test]
async fn a_kept_connection_that_turns_out_to_be_closed_is_no_news_and_silence_on_it_is() {
    let world = World::new();
    let (address, connections) = world.serve(closes_at_the_second).await;
    let client = world.client(address);
    let mut kept = None;
    for _ in 0..2 {
        assert_eq!(client.get_over(&mut kept, "/livez", Instant::now() + LONG).await.unwrap().status, 200);
    }
    assert!(kept.is_some());
    assert_eq!(connections.load(Ordering::SeqCst), 2);

    let (address, _) = world.serve(async |mut stream| while stream.read_u8().await.is_ok() {}).await;
    let mut kept = None;
    let answer = world.client(address).get_over(&mut kept, "/livez", Instant::now() + SHORT).await;
    assert_eq!(answer, Err(Failure::Timeout(Stage::Response).into()));
    assert!(kept.is_none());
}
