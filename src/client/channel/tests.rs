//! The held channel against loopback servers that refuse, fall silent, or close.

use std::net::{IpAddr, Ipv4Addr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::client::etcd::Member;
use crate::client::kept::Kept;
use crate::client::testing::{Authority, LOOPBACK, Server};
use crate::client::tls::Files;

const DEADLINE: Duration = Duration::from_millis(600);

/// A test's authority, its folder, and a member that is asked with its credential.
struct Bench {
    authority: Authority,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench { authority: Authority::new(), folder: tempfile::tempdir().unwrap() }
    }

    fn acceptor(&self) -> TlsAcceptor {
        self.authority.server(LOOPBACK, 2100)
    }

    fn member(&self, address: SocketAddr) -> Member {
        Member::new(Arc::new(Kept::new(Files::new(&self.authority.credential(self.folder.path())))), address)
    }

    async fn trouble(&self, server: &Server) -> Trouble {
        self.member(server.address).status(DEADLINE).await.unwrap_err()
    }
}

async fn forever<T>(_stream: T) {
    pending::<()>().await;
}

fn tls_text(trouble: Trouble) -> String {
    match trouble {
        Trouble::Failed(Failure::Tls(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let bench = Bench::new();
    let address = std::net::TcpListener::bind((LOOPBACK, 0)).unwrap().local_addr().unwrap();
    assert_eq!(bench.member(address).status(DEADLINE).await, Err(Failure::Refused.into()));
}

#[tokio::test]
async fn silence_before_tls_is_a_handshake_that_timed_out() {
    let bench = Bench::new();
    let server = Server::tcp(forever).await;
    assert_eq!(bench.trouble(&server).await, Failure::Timeout(Stage::Handshake).into());
}

#[tokio::test]
async fn silence_after_tls_is_a_response_that_timed_out() {
    let bench = Bench::new();
    let server = Server::tls(bench.acceptor(), forever).await;
    assert_eq!(bench.trouble(&server).await, Failure::Timeout(Stage::Response).into());
}

#[tokio::test]
async fn a_connection_that_is_cut_is_a_reset() {
    let bench = Bench::new();
    let server = Server::tcp(async |stream| drop(stream)).await;
    assert_eq!(bench.trouble(&server).await, Failure::Reset.into());
    let server = Server::tls(bench.acceptor(), async |mut stream| {
        let _ = stream.read(&mut [0; 24]).await;
    })
    .await;
    assert_eq!(bench.trouble(&server).await, Failure::Reset.into());
}

#[tokio::test]
async fn garbage_is_named_by_its_layer() {
    let bench = Bench::new();
    let server = Server::tcp(async |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        forever(stream).await;
    })
    .await;
    assert_eq!(bench.trouble(&server).await, Failure::Garbage("not TLS".to_owned()).into());
    let server = Server::tls(bench.acceptor(), async |mut stream| {
        let _ = stream.write_all(&[b'x'; 4096]).await;
        forever(stream).await;
    })
    .await;
    let trouble = bench.trouble(&server).await;
    assert!(matches!(trouble, Trouble::Failed(Failure::Protocol(_) | Failure::Garbage(_))), "{trouble:?}");
}

#[tokio::test]
async fn endless_bytes_end_at_the_deadline_or_before() {
    let bench = Bench::new();
    // Frames of HTTP/2 that are allowed without end: PING acknowledgements that nobody asked for.
    let server = Server::tls(bench.acceptor(), async |mut stream| {
        let _ = stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
        while stream.write_all(&[0, 0, 8, 6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let begun = Instant::now();
    assert!(bench.member(server.address).status(DEADLINE).await.is_err());
    assert!(begun.elapsed() < DEADLINE + Duration::from_millis(400));
}

#[tokio::test]
async fn a_slow_drip_is_cut_off_at_the_deadline() {
    let bench = Bench::new();
    let server = Server::tls(bench.acceptor(), async |mut stream| {
        for byte in [0, 0, 0, 4, 0, 0, 0, 0, 0].iter().cycle() {
            let _ = stream.write_all(&[*byte]).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(bench.trouble(&server).await, Failure::Timeout(Stage::Response).into());
}

#[tokio::test]
async fn certificates_that_are_not_the_members_are_told_apart() {
    let bench = Bench::new();
    let server = Server::tls(bench.authority.server(LOOPBACK, 2021), forever).await;
    let said = tls_text(bench.trouble(&server).await);
    assert_eq!(said, "its certificate expired at 2021-12-31T00:00:00Z");

    let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let server = Server::tls(bench.authority.server(elsewhere, 2100), forever).await;
    assert_eq!(tls_text(bench.trouble(&server).await), "its certificate is for another address");

    let server = Server::tls(Authority::new().server(LOOPBACK, 2100), forever).await;
    assert_eq!(tls_text(bench.trouble(&server).await), "its certificate comes from an unknown authority");
}

#[tokio::test]
async fn a_server_that_does_not_know_us_says_nothing_of_itself() {
    let bench = Bench::new();
    let server = Server::tls(bench.acceptor(), forever).await;
    let stranger = Authority::new();
    let credential = stranger.credential(bench.folder.path());
    // The server's authority is right, our certificate comes from another one.
    std::fs::write(&credential.ca, &bench.authority.pem).unwrap();
    let member = Member::new(Arc::new(Kept::new(Files::new(&credential))), server.address);
    let trouble = member.status(DEADLINE).await.unwrap_err();
    assert!(matches!(trouble, Trouble::Unknown(Why::Unauthorized(_))), "{trouble:?}");
}

#[tokio::test]
async fn a_credential_that_cannot_be_read_is_our_own_side() {
    let bench = Bench::new();
    let credential = bench.authority.credential(bench.folder.path());
    std::fs::remove_file(&credential.key).unwrap();
    let member = Member::new(Arc::new(Kept::new(Files::new(&credential))), (LOOPBACK, 9).into());
    let trouble = member.status(DEADLINE).await.unwrap_err();
    assert!(matches!(&trouble, Trouble::Unknown(Why::OwnSide(text)) if text.contains("client.key")), "{trouble:?}");
}

#[tokio::test]
async fn a_held_connection_that_was_closed_is_dialled_anew() {
    let bench = Bench::new();
    let server = Server::tls(bench.acceptor(), async |stream| drop(stream)).await;
    let config = Files::new(&bench.authority.credential(bench.folder.path())).client_config().unwrap();
    let held = Held::new(server.address);
    held.connect(Arc::clone(&config), Instant::now() + DEADLINE).await.unwrap();
    drop(server);
    let asked = held.ask(|_| ready(Ok(Arc::clone(&config))), DEADLINE, |channel| async { maintenance(channel).await });
    assert_eq!(asked.await, Err(Failure::Refused.into()));
}

#[tokio::test]
async fn silence_on_a_held_connection_does_not_hide_that_nobody_listens() {
    let bench = Bench::new();
    let listener = tokio::net::TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = bench.acceptor();
    let serve = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        drop(listener);
        forever(acceptor.accept(stream).await).await;
    });
    let config = Files::new(&bench.authority.credential(bench.folder.path())).client_config().unwrap();
    let held = Held::new(address);
    held.connect(Arc::clone(&config), Instant::now() + DEADLINE).await.unwrap();
    let asked = held.ask(|_| ready(Ok(Arc::clone(&config))), DEADLINE, |channel| async { maintenance(channel).await });
    assert_eq!(asked.await, Err(Failure::Refused.into()));
    serve.abort();
}

async fn maintenance(channel: Channel) -> Result<(), Status> {
    let client = etcd_client::Client::from_channel(etcd_client::Channel::Tonic(channel), None);
    let status = client.await.unwrap().maintenance_client().status().await;
    match status {
        Ok(_) => Ok(()),
        Err(etcd_client::Error::GRpcStatus(status)) => Err(status),
        Err(other) => panic!("{other}"),
    }
}

/// A channel whose bell is heard.
fn belled(address: SocketAddr) -> (Held, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let (ring, rung) = tokio::sync::mpsc::unbounded_channel();
    (Held::new(address).with_bell(Bell::new(move || ring.send(()).unwrap_or_default())), rung)
}

#[tokio::test]
async fn the_end_of_an_idle_connection_is_told_at_once_and_once() {
    let bench = Bench::new();
    let (end, ended) = tokio::sync::watch::channel(false);
    let server = Server::tls(bench.acceptor(), move |stream| {
        let mut ended = ended.clone();
        async move {
            let _ = ended.wait_for(|ended| *ended).await;
            drop(stream);
        }
    })
    .await;
    let config = Files::new(&bench.authority.credential(bench.folder.path())).client_config().unwrap();
    let (held, mut rung) = belled(server.address);
    held.connect(config, Instant::now() + Duration::from_secs(5)).await.unwrap();
    assert!(rung.try_recv().is_err());
    end.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(5), rung.recv()).await.unwrap().unwrap();
    drop(held);
    assert!(rung.recv().await.is_none(), "told twice");
}

#[tokio::test]
async fn a_connection_that_we_let_go_of_is_no_news() {
    let bench = Bench::new();
    let server = Server::tls(bench.acceptor(), async |mut stream| {
        // Until our own end closes it.
        while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let config = Files::new(&bench.authority.credential(bench.folder.path())).client_config().unwrap();
    let (held, mut rung) = belled(server.address);
    held.connect(config, Instant::now() + Duration::from_secs(5)).await.unwrap();
    drop(held);
    let rung = tokio::time::timeout(Duration::from_secs(5), rung.recv()).await;
    assert!(rung.unwrap().is_none(), "the bell goes with the connection, unrung");
}
