//! What the listener serves to whom.
//!
//! | path | what |
//! |---|---|
//! | `/metrics`, `/healthz`, `/readyz` | for programs, under any name |
//! | `/` | all clusters; the only one where there is one |
//! | `/clusters/NAME?window=15m` | one cluster |
//! | `/api/v1/…` | the API's GETs, see `api`; its events and commands are the socket's |
//! | `/events?cluster=NAME` | beats for open pages |
//! | `/assets/…` | the style sheet, the script, the signs |
//!
//! Everything but the first line is served under our own names alone, see `guard`.

use std::path::PathBuf;
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;

use super::events::{self, Beats};
use super::guard::{self, Form, Guard, plain};
use super::html::in_address;
use super::page::{self, Age, Scene, Tab};
use super::strip::{self, Window};
use super::{Answer, Health, api, for_programs, text};
use crate::hub::{Hub, Watched};
use crate::journal::{Reader, RecordRow};

/// Lines of what happened.
const RECORDS_MAX: usize = 60;
/// Rows of other clusters may stand between them.
const RECORDS_READ: usize = 600;
/// Rows that strips are folded from: more than a day of changes every five seconds.
const ROWS_MAX: usize = 20_000;
/// The kinds of row that say what happened.
const TOLD: [&str; 10] =
    ["start", "stop", "finding", "incident", "hold", "decision", "outcome", "run", "command", "route"];

/// Everything that pages are made of.
#[derive(Debug)]
pub struct Site {
    hub: Arc<Hub>,
    health: Arc<Health>,
    metrics: PrometheusHandle,
    journal: PathBuf,
    guard: Guard,
    /// Places for pages that listen.
    listeners: Arc<Semaphore>,
}

/// What was read of the journal: for the strips, and for the timeline.
type Rows = Result<(Vec<RecordRow>, Vec<RecordRow>), String>;

impl Site {
    /// Made once, before the listener serves. `journal` is the journal's folder.
    #[must_use]
    pub fn new(hub: Arc<Hub>, health: Arc<Health>, metrics: PrometheusHandle, guard: Guard, journal: PathBuf) -> Site {
        let listeners = Arc::new(Semaphore::new(events::LISTENERS_MAX));
        Site { hub, health, metrics, journal, guard, listeners }
    }

    pub(super) async fn respond(&self, request: Request<Incoming>) -> Answer {
        let (head, _body) = request.into_parts();
        let path = head.uri.path();
        if let Some(answer) = for_programs(&head.method, path, &self.health, || self.metrics.render()) {
            return answer;
        }
        let mut answer = self.shown(&head.method, path, head.uri.query(), &head.headers).await;
        guard::protect(answer.headers_mut());
        answer
    }

    async fn shown(&self, method: &Method, path: &str, raw: Option<&str>, headers: &HeaderMap) -> Answer {
        let query = &Form::read(raw.unwrap_or_default());
        if let Err(refusal) = self.guard.named(headers) {
            return text(StatusCode::MISDIRECTED_REQUEST, "text/plain", format!("{refusal}\n"));
        }
        if *method != Method::GET {
            return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n");
        }
        match path.split('/').collect::<Vec<_>>().as_slice() {
            ["", ""] => self.front(),
            ["", "events"] => self.events(query.get("cluster")),
            // Who follows without being a page does so over the socket.
            ["", "api", "v1", rest @ ..] if rest != ["events"] => {
                api::get(&self.hub, "dashboard".to_owned(), path, &api::query(raw)).await
            }
            ["", "assets", name] => asset(name).unwrap_or_else(missing),
            ["", "clusters", name] => self.cluster(&plain(name), query).await,
            _ => missing(),
        }
    }

    fn front(&self) -> Answer {
        if let [only] = self.hub.settled().watched.as_slice() {
            let mut answer = text(StatusCode::SEE_OTHER, "text/plain", "");
            if let Ok(address) = HeaderValue::from_str(&format!("/clusters/{}", in_address(&only.name))) {
                answer.headers_mut().insert(LOCATION, address);
            }
            return answer;
        }
        html(StatusCode::OK, page::overview(&self.tabs(), self.age(), self.hub.revision("")))
    }

    fn tabs(&self) -> Vec<Tab> {
        let tab = |watched: &Watched| page::tab(watched, self.hub.latest(&watched.name).1.as_deref());
        self.hub.settled().watched.iter().map(tab).collect()
    }

    fn age(&self) -> Age {
        let (late, now) = (self.hub.late(), self.hub.clock().now());
        Age { as_of_ms: now.wall.before(late).0, late, tick: now.mono }
    }

    async fn cluster(&self, name: &str, query: &Form) -> Answer {
        let Some(watched) = self.hub.settled().watched.iter().find(|watched| watched.name == name) else {
            return missing();
        };
        let rows = self.rows(name).await;
        let (revision, status) = self.hub.latest(name);
        let (strips, records) = match &rows {
            Ok((strips, records)) => (Ok(strips.as_slice()), records.as_slice()),
            Err(why) => (Err(why.as_str()), &[][..]),
        };
        let scene = Scene {
            watched,
            settled: self.hub.settled(),
            status: status.as_deref(),
            age: self.age(),
            revision,
            window: Window::named(query.get("window")),
            strips,
            records,
            tabs: &self.tabs(),
        };
        html(StatusCode::OK, page::cluster(&scene))
    }

    /// Reads the journal on a thread that may wait for the disk.
    async fn rows(&self, cluster: &str) -> Rows {
        let (journal, cluster) = (self.journal.clone(), cluster.to_owned());
        let read = move || {
            let reader = Reader::open(&journal).map_err(|error| error.to_string())?;
            let ours = |rows: Vec<RecordRow>| {
                rows.into_iter().filter(|row| row.cluster == cluster || row.cluster.is_empty()).collect::<Vec<_>>()
            };
            let read = |limit, kinds| reader.recent_records(limit, None, kinds).map_err(|error| error.to_string());
            let strips = ours(read(ROWS_MAX, &strip::KINDS)?.rows);
            let mut records = ours(read(RECORDS_READ, &TOLD)?.rows);
            records.truncate(RECORDS_MAX);
            Ok((strips, records))
        };
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(error.to_string()))
    }

    fn events(&self, cluster: &str) -> Answer {
        let Ok(place) = Arc::clone(&self.listeners).try_acquire_owned() else {
            let said = format!("{} pages listen already; close one\n", events::LISTENERS_MAX);
            return text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", said);
        };
        let beats = Beats::start(cluster.to_owned(), Arc::clone(&self.hub), place);
        let mut answer = Response::new(beats.boxed());
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        answer
    }
}

fn html(status: StatusCode, body: String) -> Answer {
    text(status, "text/html; charset=utf-8", body)
}

fn missing() -> Answer {
    let body = page::message("Not here", "There is no such page, or no such cluster.", "/");
    html(StatusCode::NOT_FOUND, body)
}

/// The files that pages name, embedded in the program.
fn asset(name: &str) -> Option<Answer> {
    const SVG: &str = "image/svg+xml";
    let (kind, body) = match name {
        "page.css" => ("text/css; charset=utf-8", include_str!("assets/page.css")),
        "page.js" => ("text/javascript; charset=utf-8", include_str!("assets/page.js")),
        "well.svg" => (SVG, include_str!("assets/well.svg")),
        "unknown.svg" => (SVG, include_str!("assets/unknown.svg")),
        "risk.svg" => (SVG, include_str!("assets/risk.svg")),
        "outage.svg" => (SVG, include_str!("assets/outage.svg")),
        _ => return None,
    };
    Some(text(StatusCode::OK, kind, body))
}
