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
//! | `/open?key=KEY` | lets a browser act, see `door` |
//! | `POST /clusters/NAME/{pause,resume,recover}` | a form of ours, see `act` |
//! | `/clusters/NAME/recover?waive_for=yes&pass_limits=yes` | what a recovery would do |
//!
//! Everything but the first line is served under our own names alone, see `guard`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use defib_engine::command::{Ask, Recover, Reply};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, SET_COOKIE};
use hyper::{Method, Request, Response, StatusCode};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;

use super::act::{self, Once, Wish};
use super::door::Door;
use super::events::{self, Beats};
use super::guard::{self, Form, Guard, Refusal, plain};
use super::html::in_address;
use super::page::{self, Age, Scene, Stamp, Tab};
use super::strip::{self, Window};
use super::{Answer, Health, api, for_programs, text};
use crate::hub::{Hub, Watched};
use crate::journal::{Reader, RecordRow, Wanted};

/// A form must have come within this time.
const FORM_WITHIN: Duration = Duration::from_secs(5);
/// A form's own number has at most so many bytes: 64 random ones and the form's place on the page.
const NUMBER_MAX: usize = 96;
/// Of a form whose answer is not known.
const FORGOTTEN: &str = "The form was taken; what it came to is among what happened, below.";

/// So many pages read the journal at the same time; others wait for them.
const READERS_MAX: usize = 2;
/// Lines of what happened.
const RECORDS_MAX: usize = 60;
/// Rows that strips are folded from: more than a day of changes every five seconds.
const ROWS_MAX: usize = 20_000;
/// The kinds of row that say what happened.
const TOLD: [&str; 11] =
    ["start", "stop", "finding", "incident", "hold", "announced", "decision", "outcome", "run", "command", "route"];

/// Everything that pages are made of.
#[derive(Debug)]
pub struct Site {
    hub: Arc<Hub>,
    health: Arc<Health>,
    metrics: PrometheusHandle,
    journal: PathBuf,
    guard: Guard,
    door: Arc<Door>,
    once: Once,
    /// Pages that read the journal at the same time.
    readers: Semaphore,
    /// Places for pages that listen.
    listeners: Arc<Semaphore>,
}

/// What was read of the journal: for the strips, and for the timeline.
type Rows = Result<(Vec<RecordRow>, Vec<RecordRow>), String>;

impl Site {
    /// Made once, before the listener serves. `journal` is the journal's folder.
    #[must_use]
    pub fn new(
        hub: Arc<Hub>,
        health: Arc<Health>,
        metrics: PrometheusHandle,
        (guard, door): (Guard, Arc<Door>),
        journal: PathBuf,
    ) -> Site {
        let listeners = Arc::new(Semaphore::new(events::LISTENERS_MAX));
        let readers = Semaphore::new(READERS_MAX);
        Site { hub, health, metrics, journal, guard, door, once: Once::default(), readers, listeners }
    }

    /// Answers; where all places for pages are taken (`full`), only programs.
    pub(super) async fn respond(&self, request: Request<Incoming>, full: bool) -> Answer {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        if let Some(answer) = for_programs(&head.method, path, &self.health, || self.metrics.render()) {
            return answer;
        }
        if full {
            return text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "too many connections; close a page\n");
        }
        let mut answer = if head.method == Method::POST {
            self.posted(path, &head.headers, body).await
        } else {
            self.shown(&head.method, path, head.uri.query(), &head.headers).await
        };
        guard::protect(answer.headers_mut());
        answer
    }

    async fn shown(&self, method: &Method, path: &str, raw: Option<&str>, headers: &HeaderMap) -> Answer {
        let query = &Form::read(raw.unwrap_or_default());
        if let Err(refusal) = self.guard.named(headers) {
            return text(StatusCode::MISDIRECTED_REQUEST, "text/plain", format!("{refusal}\n"));
        }
        if *method != Method::GET {
            return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET and POST\n");
        }
        match path.split('/').collect::<Vec<_>>().as_slice() {
            ["", ""] => self.front(),
            ["", "open"] => self.opened(query.get("key")),
            ["", "events"] => self.events(query.get("cluster")),
            // Who follows without being a page does so over the socket.
            ["", "api", "v1", rest @ ..] if rest != ["events"] => {
                api::get(&self.hub, "dashboard".to_owned(), path, &api::query(raw)).await
            }
            ["", "assets", name] => asset(name).unwrap_or_else(|| self.missing()),
            ["", "clusters", name, "recover"] => self.review(&plain(name), query, headers).await,
            ["", "clusters", name] => self.cluster(&plain(name), query, headers).await,
            _ => self.missing(),
        }
    }

    fn front(&self) -> Answer {
        if let [only] = self.hub.settled().watched.as_slice() {
            return elsewhere(&format!("/clusters/{}", in_address(&only.name)));
        }
        html(StatusCode::OK, page::overview(&self.tabs(), self.age(), self.hub.revision("")))
    }

    fn tabs(&self) -> Vec<Tab> {
        let tab = |watched: &Watched| page::tab(watched, self.hub.latest(&watched.name).1.as_deref());
        self.hub.settled().watched.iter().map(tab).collect()
    }

    fn age(&self) -> Age {
        let (late, now) = (self.hub.late(), self.hub.clock().now());
        Age { as_of_ms: now.wall.before(late).0, late, tick: now.mono, model: self.hub.settled().model }
    }

    fn message(&self, title: &str, text: &str, back: &str) -> String {
        page::message(title, text, back, self.hub.settled().model)
    }

    fn missing(&self) -> Answer {
        html(StatusCode::NOT_FOUND, self.message("Not here", "There is no such page, or no such cluster.", "/"))
    }

    /// A link was followed.
    fn opened(&self, key: &str) -> Answer {
        let Some(cookie) = self.door.open(key).and_then(|cookie| HeaderValue::from_str(&cookie).ok()) else {
            let why =
                "This link was followed before, or is older than five minutes: `defib dashboard` prints a new one.";
            return html(StatusCode::FORBIDDEN, self.message("Nothing was opened", why, "/"));
        };
        let mut answer = elsewhere("/");
        answer.headers_mut().insert(SET_COOKIE, cookie);
        answer
    }

    async fn cluster(&self, name: &str, query: &Form, headers: &HeaderMap) -> Answer {
        let Some(watched) = self.hub.settled().watched.iter().find(|watched| watched.name == name) else {
            return self.missing();
        };
        let window = Window::named(query.get("window"));
        let rows = self.rows(name, window).await;
        let (revision, status) = self.hub.latest(name);
        let (strips, records) = match &rows {
            Ok((strips, records)) => (Ok(strips.as_slice()), records.as_slice()),
            Err(why) => (Err(why.as_str()), &[][..]),
        };
        let stamp = self.stamp(headers);
        let number = query.get("said");
        let said = (!number.is_empty()).then(|| self.once.said(number).unwrap_or_else(|| FORGOTTEN.to_owned()));
        let scene = Scene {
            watched,
            settled: self.hub.settled(),
            status: status.as_deref(),
            age: self.age(),
            revision,
            window,
            strips,
            records,
            tabs: &self.tabs(),
            stamp: stamp.as_ref(),
            said: said.as_deref(),
        };
        html(StatusCode::OK, page::cluster(&scene))
    }

    /// For the forms of one page; none for a browser that may only look.
    fn stamp(&self, headers: &HeaderMap) -> Option<Stamp> {
        self.door.visitor(headers)?;
        Some(Stamp { token: self.guard.token().to_owned(), number: guard::random()? })
    }

    /// What a recovery would do, asked of the loop as it would be asked for.
    async fn review(&self, name: &str, query: &Form, headers: &HeaderMap) -> Answer {
        let settled = self.hub.settled();
        let Some(watched) = settled.watched.iter().find(|watched| watched.name == name) else { return self.missing() };
        let stamp = self.stamp(headers);
        let wish = act::Wish::of(query);
        let Wish { waive_for, pass_limits } = wish;
        let wanted = Recover { cluster: name.to_owned(), waive_for, pass_limits, ..Recover::default() };
        let asked = self.hub.ask(act::BY.to_owned(), Ask::Preview(wanted)).await;
        let preview = match &asked {
            Ok(Reply::Preview(preview)) => Ok(preview),
            Ok(other) => Err(act::told(other)),
            Err(error) => Err(error.to_string()),
        };
        let (_, status) = self.hub.latest(name);
        let (tabs, age) = (self.tabs(), self.age());
        let preview = preview.as_ref().map(|preview| *preview).map_err(String::as_str);
        html(
            StatusCode::OK,
            page::review((watched, settled), (&tabs, age), status.as_deref(), (preview, wish), stamp.as_ref()),
        )
    }

    /// A form was sent.
    async fn posted(&self, path: &str, headers: &HeaderMap, body: Incoming) -> Answer {
        let parts = path.split('/').map(plain).collect::<Vec<_>>();
        let ["", "clusters", name, what] = parts.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
            return self.missing();
        };
        let back = format!("/clusters/{}", in_address(name));
        let refused = |status, why: String| html(status, self.message("Nothing was done", &why, &back));
        let read = tokio::time::timeout(FORM_WITHIN, Limited::new(body, guard::FORM_MAX).collect()).await;
        let Ok(Ok(bytes)) = read else {
            return refused(StatusCode::BAD_REQUEST, "the form is too large, or came too slowly".to_owned());
        };
        let form = Form::read(&String::from_utf8_lossy(&bytes.to_bytes()));
        let visitor = self.door.visitor(headers).ok_or(Refusal::Looks);
        let by = match self.guard.trusted(headers, &form).and(visitor) {
            Ok(by) => format!("{by} {}", act::BY),
            Err(refusal) => return refused(StatusCode::FORBIDDEN, refusal.to_string()),
        };
        if !self.hub.settled().watched.iter().any(|watched| watched.name == name) {
            return self.missing();
        }
        let ask = match act::meant(what, name, &form) {
            Ok(ask) => ask,
            Err(why) => return refused(StatusCode::UNPROCESSABLE_ENTITY, why),
        };
        let number = form.get("number");
        if number.is_empty() || number.len() > NUMBER_MAX {
            return refused(StatusCode::UNPROCESSABLE_ENTITY, "the form has no number: reload the page".to_owned());
        }
        if self.once.take(number) {
            let said = match self.hub.ask(by, ask).await {
                Ok(reply) => act::told(&reply),
                Err(error) => error.to_string(),
            };
            self.once.answer(number, &said);
        }
        elsewhere(&format!("{back}?said={}", in_address(number)))
    }

    /// Reads the journal on a thread that may wait for the disk: what the strips and the timeline show, and no more.
    async fn rows(&self, cluster: &str, window: Window) -> Rows {
        let Ok(_place) = self.readers.acquire().await else { return Err("the daemon is ending".to_owned()) };
        let (journal, cluster) = (self.journal.clone(), cluster.to_owned());
        let since_ms = self.hub.clock().now().wall.0.saturating_sub(window.millis());
        let read = move || {
            let reader = Reader::open(&journal).map_err(|error| error.to_string())?;
            let wanted = Wanted { cluster: Some(&cluster), own_life: true, ..Wanted::default() };
            let read = |limit, wanted| reader.recent(limit, &wanted).map_err(|error| error.to_string());
            let since = Some((since_ms, strip::STATES));
            let strips = read(ROWS_MAX, Wanted { kinds: &strip::KINDS, since, ..wanted })?.rows;
            let records = read(RECORDS_MAX, Wanted { kinds: &TOLD, ..wanted })?.rows;
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

/// To another page, by GET.
fn elsewhere(address: &str) -> Answer {
    let mut answer = text(StatusCode::SEE_OTHER, "text/plain", "");
    if let Ok(address) = HeaderValue::from_str(address) {
        answer.headers_mut().insert(LOCATION, address);
    }
    answer
}

fn html(status: StatusCode, body: String) -> Answer {
    text(status, "text/html; charset=utf-8", body)
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
