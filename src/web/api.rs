//! `/api/v1`: the same handlers for the TCP listener and for the Unix socket.
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/v1/status[?cluster=NAME]` | what is known: a list of `api::State` |
//! | `GET /api/v1/clusters/NAME/plans[?playbook=P&node=N]` | what would be done, or why not: an `api::Answer` |
//! | `GET /api/v1/history[?after=REVISION]` | what was told lately: a list of `api::Told`, 500 at most |
//! | `GET /api/v1/events[?after=REVISION]` | the same as it happens: server-sent events `status`, `record`, `beat` |
//! | `POST /api/v1/{recover,pause,resume,ack}` | a command as JSON; answered by an `api::Answer` once it is durable |
//! | `POST /api/v1/dashboard` | a link through which a browser may act, in the text of an `api::Answer`; over the socket alone |
//!
//! Left out: who may ask. The socket is trusted by its file's mode; the TCP listener's own guard stands before [`get`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use defib_engine::command::{Ask, Recover};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::api::{self, Answer, Said, State};
use crate::hub::{Hub, HubError, Watched};

/// Where all of it lies.
pub const ROOT: &str = "/api/v1/";
/// A command may have so many bytes.
pub const COMMAND_BYTES_MAX: usize = 16 * 1024;
/// Those who follow hear something at least this often.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// One who follows comes back after this long at the latest, so that a place is never held for ever.
const FOLLOW_FOR: Duration = Duration::from_secs(10 * 60);

/// An answer: whole, or event by event.
pub type Reply = Response<BoxBody<Bytes, Infallible>>;

/// A command as it comes in. Every field that a kind of command does not have is none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    /// Which cluster; none: all (pause, resume), or the only one.
    pub cluster: Option<String>,
    /// Which run (approve).
    pub run: Option<String>,
    /// Why (pause).
    pub reason: Option<String>,
    /// For how long, in milliseconds (pause).
    pub for_ms: Option<u64>,
    /// Which playbook (ack, recover).
    pub playbook: Option<String>,
    /// On which node (ack, recover).
    pub node: Option<String>,
    /// The fingerprint of the plan that was seen (recover).
    pub plan: Option<String>,
    /// Do not wait for the playbook's `for` (recover).
    pub waive_for: bool,
    /// Pass the budget's windows (recover).
    pub pass_limits: bool,
    /// Only say what would be done (recover).
    pub preview: bool,
}

/// Why a cluster that somebody knows is not known to the process that answers.
pub const OTHERWISE: &str = "it runs with another configuration";

/// Answers a GET below [`ROOT`]. `by` is who asks.
pub async fn get(hub: &Arc<Hub>, by: String, path: &str, query: &BTreeMap<String, String>) -> Reply {
    let Some(rest) = path.strip_prefix(ROOT) else { return missing() };
    let after = || query.get("after").and_then(|text| text.parse().ok());
    match rest.split('/').collect::<Vec<_>>().as_slice() {
        ["status"] => match query.get("cluster") {
            None => json(&states(hub)),
            Some(name) => {
                let unwatched = || refused(StatusCode::NOT_FOUND, format!("it does not watch {name}: {OTHERWISE}"));
                state_of(hub, name).map_or_else(unwatched, |state| json(&[state]))
            }
        },
        ["clusters", name, "plans"] => {
            let recover = Recover {
                cluster: (*name).to_owned(),
                playbook: query.get("playbook").cloned(),
                node: query.get("node").cloned(),
                ..Recover::default()
            };
            answer(hub, by, Ask::Preview(recover)).await
        }
        ["history"] => {
            let told = hub.told_after(after().unwrap_or(0));
            json(&told.iter().map(|(revision, record)| api::told(*revision, record)).collect::<Vec<_>>())
        }
        ["events"] => follow(hub, after().unwrap_or_else(|| hub.revision(""))),
        _ => missing(),
    }
}

/// Carries out a command that was posted below [`ROOT`]. `by` is who asks, and is written down.
pub async fn post(hub: &Arc<Hub>, by: String, path: &str, body: &[u8]) -> Reply {
    let asked: Asked = match serde_json::from_slice(body) {
        Ok(asked) => asked,
        Err(error) => return refused(StatusCode::BAD_REQUEST, format!("not a command: {error}")),
    };
    match meant(hub, path.strip_prefix(ROOT).unwrap_or_default(), asked) {
        Ok(Some(ask)) => answer(hub, by, ask).await,
        Ok(None) => missing(),
        Err(text) => refused(StatusCode::BAD_REQUEST, text),
    }
}

/// What a command means; none where there is no such command.
fn meant(hub: &Hub, name: &str, asked: Asked) -> Result<Option<Ask>, String> {
    let watched = &hub.settled().watched;
    if let Some(cluster) = &asked.cluster
        && !watched.iter().any(|one| one.name == *cluster)
    {
        return Err(format!("there is no cluster {cluster}"));
    }
    let one = |cluster: Option<String>| match (cluster, watched.as_slice()) {
        (Some(cluster), _) => Ok(cluster),
        (None, [only]) => Ok(only.name.clone()),
        (None, _) => Err("which cluster? name one".to_owned()),
    };
    let given = |what: &str, value: Option<String>| value.ok_or_else(|| format!("{what} is missing"));
    Ok(Some(match name {
        "pause" => Ask::Pause {
            cluster: asked.cluster,
            reason: given("a reason", asked.reason)?,
            for_: Duration::from_millis(asked.for_ms.ok_or("for how long is missing")?),
        },
        "resume" => Ask::Resume { cluster: asked.cluster },
        "ack" => Ask::Ack {
            cluster: one(asked.cluster)?,
            playbook: given("the playbook", asked.playbook)?,
            node: given("the node", asked.node)?,
        },
        "approve" => Ask::Approve { cluster: one(asked.cluster)?, run: given("the run", asked.run)? },
        "recover" => {
            let recover = Recover {
                cluster: one(asked.cluster)?,
                playbook: asked.playbook,
                node: asked.node,
                plan: asked.plan,
                waive_for: asked.waive_for,
                pass_limits: asked.pass_limits,
            };
            if asked.preview { Ask::Preview(recover) } else { Ask::Recover(recover) }
        }
        _ => return Ok(None),
    }))
}

async fn answer(hub: &Arc<Hub>, by: String, ask: Ask) -> Reply {
    match hub.ask(by, ask).await {
        Ok(reply) => json(&Answer { model: hub.settled().model, ..Answer::of(&reply, hub.clock().tick()) }),
        Err(error @ (HubError::Silent | HubError::Cut)) => {
            bare(StatusCode::GATEWAY_TIMEOUT, Said::Unknown, error.to_string())
        }
        Err(error) => refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

/// What is known of every cluster.
#[must_use]
pub fn states(hub: &Hub) -> Vec<State> {
    hub.settled().watched.iter().map(|watched| made(hub, watched)).collect()
}

/// What is known of one cluster; none where there is no such cluster.
#[must_use]
pub fn state_of(hub: &Hub, name: &str) -> Option<State> {
    hub.settled().watched.iter().find(|watched| watched.name == name).map(|watched| made(hub, watched))
}

fn made(hub: &Hub, watched: &Watched) -> State {
    let (now, late) = (hub.clock().now(), hub.late());
    let age_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
    let frame = api::Frame {
        process: hub.process().to_owned(),
        cluster: watched.name.clone(),
        model: hub.settled().model,
        nodes: watched.nodes.clone(),
        addresses: watched.addresses.clone(),
        armed: watched.armed.clone(),
        mode: hub.settled().mode.to_string(),
        without_journal: hub.settled().without_journal.clone(),
        as_of_ms: now.wall.0.saturating_sub(i64::try_from(age_ms).unwrap_or(i64::MAX)),
        age_ms,
        now: now.mono,
    };
    api::state(frame, hub.latest(&watched.name).1.as_deref())
}

fn json(value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => whole(StatusCode::OK, "application/json", body),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

pub(super) fn refused(status: StatusCode, text: String) -> Reply {
    bare(status, Said::Refused, text)
}

fn bare(status: StatusCode, answer: Said, text: String) -> Reply {
    let answer = Answer { version: api::VERSION, answer, text, model: false, run: None, plans: Vec::new() };
    whole(status, "application/json", serde_json::to_vec(&answer).unwrap_or_default())
}

/// A link, or why there is none.
pub(super) fn linked(link: Result<Option<String>, &str>) -> Reply {
    match link {
        Ok(Some(link)) => bare(StatusCode::OK, Said::Done, link),
        Ok(None) => refused(StatusCode::INTERNAL_SERVER_ERROR, "the system gives no randomness".to_owned()),
        Err(why) => refused(StatusCode::NOT_FOUND, why.to_owned()),
    }
}

fn missing() -> Reply {
    refused(StatusCode::NOT_FOUND, "there is no such thing, or no such cluster".to_owned())
}

fn whole(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Reply {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Events on their way to one who follows: one waits at most, and whoever does not take it is dropped and comes back.
struct Events(mpsc::Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

fn follow(hub: &Arc<Hub>, mut after: u64) -> Reply {
    let (sender, events) = mpsc::channel(1);
    let hub = Arc::clone(hub);
    tokio::spawn(async move {
        let mut changes = hub.changes();
        let until = tokio::time::Instant::now() + FOLLOW_FOR;
        let mut shown: BTreeMap<String, u64> = BTreeMap::new();
        while tokio::time::Instant::now() < until {
            let text = news(&hub, &mut after, &mut shown);
            if sender.send_timeout(Bytes::from(text), 2 * BEAT_EVERY).await.is_err() {
                return;
            }
            let _ = tokio::time::timeout(BEAT_EVERY, changes.changed()).await;
        }
    });
    let mut response = Response::new(Events(events).boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// Everything since the last time as events, closed by a beat.
fn news(hub: &Hub, after: &mut u64, shown: &mut BTreeMap<String, u64>) -> String {
    let mut text = String::new();
    let mut event = |name: &str, id: u64, value: serde_json::Result<String>| {
        text.push_str(&format!("event: {name}\nid: {id}\ndata: {}\n\n", value.unwrap_or_default()));
    };
    for (revision, record) in hub.told_after(*after) {
        event("record", revision, serde_json::to_string(&api::told(revision, &record)));
        *after = revision;
    }
    for watched in &hub.settled().watched {
        let (revision, _) = hub.latest(&watched.name);
        if shown.insert(watched.name.clone(), revision) != Some(revision) {
            event("status", revision, serde_json::to_string(&made(hub, watched)));
        }
    }
    let late_ms = u64::try_from(hub.late().as_millis()).unwrap_or(u64::MAX);
    let beat = serde_json::json!({"at_ms": hub.clock().now().wall.0, "late_ms": late_ms});
    event("beat", *after, Ok(beat.to_string()));
    text
}

/// The fields behind a `?`. Of a name that comes twice the first counts; what is not escaped rightly stays as it is.
#[must_use]
pub fn query(text: Option<&str>) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    fields
}
