//! The one listener: `/metrics`, `/healthz`, `/readyz`, on the loopback.
//!
//! `/healthz` is 200 while the loop goes round; `/readyz` is 200 once every cluster has been judged and while the journal
//! answers. Bounded: [`CONNECTIONS_MAX`] connections, [`HEADER_WITHIN`] for a request's head, bodies are not read.

pub mod api;
pub mod socket;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::clock::Clock;

const CONNECTIONS_MAX: usize = 16;
const HEADER_WITHIN: Duration = Duration::from_secs(5);
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

    fn missing(&self) -> Vec<String> {
        self.not_ready.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Binds the listener.
///
/// # Errors
/// What the system says.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, health: Arc<Health>, metrics: PrometheusHandle) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Out of file descriptors, most likely: others must end first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (health, metrics) = (Arc::clone(&health), metrics.clone());
        tokio::spawn(async move {
            let answer = hyper::service::service_fn(move |request: Request<Incoming>| {
                let response = respond(request.method(), request.uri().path(), &health, &metrics);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_WITHIN)
                .serve_connection(TokioIo::new(stream), answer);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the listener ended badly");
            }
            drop(place);
        });
    }
}

fn respond(method: &Method, path: &str, health: &Health, metrics: &PrometheusHandle) -> Response<Full<Bytes>> {
    let (status, kind, body) = match (method, path) {
        (&Method::GET, "/metrics") => (StatusCode::OK, "text/plain; version=0.0.4", metrics.render()),
        (&Method::GET, "/healthz") => match health.stuck_for() {
            None => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
            Some(still) => {
                let text = format!("the loop has not gone round for {} s\n", still.as_secs());
                (StatusCode::SERVICE_UNAVAILABLE, "text/plain", text)
            }
        },
        (&Method::GET, "/readyz") => match health.missing().as_slice() {
            [] => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
            missing => {
                let why = health.cannot_act.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let text = match why {
                    Some(why) => format!("observing only: {why}\n"),
                    None => format!("not judged yet, or without a journal: {}\n", missing.join(", ")),
                };
                (StatusCode::SERVICE_UNAVAILABLE, "text/plain", text)
            }
        },
        (&Method::GET, _) => (StatusCode::NOT_FOUND, "text/plain", "try /metrics, /healthz or /readyz\n".to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
