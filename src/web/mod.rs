//! The one TCP listener, on the loopback: `/metrics`, `/healthz`, `/readyz`, and the dashboard (`site`).
//!
//! `/healthz` is 200 while the loop goes round; `/readyz` is 200 once every cluster has been judged and while the journal
//! answers. Bounded: [`CONNECTIONS_MAX`] connections and [`PROGRAMS_MAX`] more that only `/metrics`, `/healthz` and `/readyz`
//! are answered on, [`HEADER_WITHIN`] for a request's head, [`CONNECTED_FOR`] for all of it, what is not taken (`stall`), a
//! form's size (`guard`), pages that listen (`events`).

mod act;
pub mod api;
mod door;
mod events;
mod guard;
mod html;
mod page;
mod site;
pub mod socket;
mod stall;
mod strip;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub use door::Door;
pub use guard::Guard;
pub use site::Site;

use crate::clock::Clock;

/// The pages that listen, and room for scrapes, probes and people beside them.
const CONNECTIONS_MAX: usize = 3 * events::LISTENERS_MAX;
/// Places that people cannot fill: a scrape or a health check finds one while pages hold all others.
const PROGRAMS_MAX: usize = 8;
const HEADER_WITHIN: Duration = Duration::from_secs(5);
/// A connection ends by then, whatever it is doing; a page that listens comes back by itself.
const CONNECTED_FOR: Duration = Duration::from_secs(10 * 60);
/// The loop goes round at least every second; after this long it is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// How the daemon is, for whoever asks.
#[derive(Debug)]
pub struct Health {
    clock: Clock,
    turned_at_ms: AtomicU64,
    /// Clusters that were never judged, or whose journal does not answer.
    not_ready: Mutex<BTreeSet<String>>,
    /// Why nothing is ever started, if so.
    cannot_act: Mutex<Option<String>>,
}

impl Health {
    /// Starts with every cluster not judged yet.
    #[must_use]
    pub fn new(clock: Clock, clusters: impl IntoIterator<Item = String>) -> Health {
        Health {
            clock,
            turned_at_ms: AtomicU64::new(clock.tick().0),
            not_ready: Mutex::new(clusters.into_iter().collect()),
            cannot_act: Mutex::default(),
        }
    }

    /// The loop went round.
    pub fn turned(&self) {
        self.turned_at_ms.store(self.clock.tick().0, Ordering::Relaxed);
    }

    /// Nothing is ever started, for this reason.
    pub fn cannot_act(&self, why: &str) {
        *self.cannot_act.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }

    /// A cluster was judged.
    pub fn judged(&self, cluster: &str, store_answers: bool) {
        let mut not_ready = self.not_ready.lock().unwrap_or_else(PoisonError::into_inner);
        if store_answers {
            not_ready.remove(cluster);
        } else {
            not_ready.insert(cluster.to_owned());
        }
    }

    fn stuck_for(&self) -> Option<Duration> {
        let turned = Duration::from_millis(self.turned_at_ms.load(Ordering::Relaxed));
        let still = Duration::from_millis(self.clock.tick().0).saturating_sub(turned);
        (still > STUCK_AFTER).then_some(still)
    }

    /// Why defib would not act where it should; none: it would.
    fn not_ready(&self) -> Option<String> {
        if let Some(why) = &*self.cannot_act.lock().unwrap_or_else(PoisonError::into_inner) {
            return Some(format!("observing only: {why}"));
        }
        let missing = self.not_ready.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<_> = missing.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("not judged yet, or without a journal: {}", names.join(", ")))
    }
}

/// What the dashboard and the metrics are served with.
#[derive(Debug)]
pub struct Listening {
    /// Where.
    pub listener: TcpListener,
    /// What was counted.
    pub metrics: PrometheusHandle,
    /// Who may ask for what.
    pub guard: Guard,
    /// Who may act.
    pub door: Arc<Door>,
}

impl Listening {
    /// With a token of its own. `names` are those under which the dashboard is reached besides the loopback's own.
    ///
    /// # Errors
    /// Where the system does not say where it listens, or gives no randomness for the token.
    pub fn new(listener: TcpListener, metrics: PrometheusHandle, names: &[String]) -> std::io::Result<Listening> {
        let address = listener.local_addr()?;
        let guard = Guard::new(address.ip(), names);
        let guard = guard.ok_or_else(|| std::io::Error::other("the system gives no randomness"))?;
        Ok(Listening { listener, metrics, guard, door: Arc::new(Door::new(address)) })
    }
}

/// Binds the listener.
///
/// # Errors
/// What the system says.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// An answer: at once, or beat by beat.
type Answer = api::Reply;

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, site: Arc<Site>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let programs = Arc::new(Semaphore::new(PROGRAMS_MAX));
    loop {
        let (place, full) = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => (place, false),
            Err(_) => {
                let Ok(place) = Arc::clone(&programs).acquire_owned().await else { return };
                (place, true)
            }
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Out of file descriptors, most likely: others must end first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            let answer = hyper::service::service_fn(move |request: Request<Incoming>| {
                let site = Arc::clone(&site);
                async move { Ok::<_, Infallible>(site.respond(request, full).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_WITHIN)
                // Whoever asks again for one of the reserved places shares it with the others.
                .keep_alive(!full)
                .serve_connection(TokioIo::new(stall::Stall::new(stream)), answer);
            if let Ok(Err(error)) = tokio::time::timeout(CONNECTED_FOR, connection).await {
                tracing::debug!(%error, "a connection to the listener ended badly");
            }
            drop(place);
        });
    }
}

/// `/metrics`, `/healthz` and `/readyz`, for programs, under whatever name they ask; none for any other path.
fn for_programs(method: &Method, path: &str, health: &Health, metrics: impl FnOnce() -> String) -> Option<Answer> {
    let answer = match (method, path) {
        (_, path) if !matches!(path, "/metrics" | "/healthz" | "/readyz") => return None,
        (&Method::GET, "/metrics") => text(StatusCode::OK, "text/plain; version=0.0.4", metrics()),
        (&Method::GET, "/healthz") => match health.stuck_for() {
            None => text(StatusCode::OK, "text/plain", "ok\n".to_owned()),
            Some(still) => {
                let said = format!("the loop has not gone round for {} s\n", still.as_secs());
                text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", said)
            }
        },
        (&Method::GET, _) => match health.not_ready() {
            None => text(StatusCode::OK, "text/plain", "ok\n".to_owned()),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", format!("{why}\n")),
        },
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n".to_owned()),
    };
    Some(answer)
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
