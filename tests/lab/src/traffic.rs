//! Traffic as `kubectl` and controllers make it, over one way to an API server: watches, and lists of many objects and of
//! large ones, over connections that are held.
//!
//! A [`Stock`] is what is asked for: objects made for it, and taken away with it. A [`Crowd`] holds [`CONNECTIONS`]
//! connections to one address, half of them watches. Every answer is compared with what the first one said, every watch
//! is to tell of every [`Stock::ring`]. Left out: HTTP/2, which whoever forwards bytes does not see; judging speed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hyper::Method;
use hyper::body::Bytes;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::https::{Held, HttpsClient, HttpsError};
use crate::layout::Layout;

/// How many connections a crowd holds.
pub const CONNECTIONS: usize = 2 * HALF;
/// So many of them watch; as many list.
const HALF: usize = 100;
/// The many objects, below the 500 that `kubectl` takes at once, and the bytes of text in each.
const MANY: (usize, usize) = (400, 100);
/// The large objects; etcd takes 1.5 MB at most.
const LARGE: (usize, usize) = (16, 128 << 10);
/// The most bytes of a list: the large ones have 2.1 MB.
const LIST_BYTES_MAX: usize = 16 << 20;
/// For one object to be made, and for all to be taken away.
const CHANGE_DEADLINE: Duration = Duration::from_secs(30);
/// For an event to come to all who watch, on a busy machine.
const HEARD_DEADLINE: Duration = Duration::from_secs(60);
/// Where the objects are.
const OBJECTS: &str = "/api/v1/namespaces/default/configmaps";
/// What both lists ask for: `kubectl` says how many it takes at once.
const LISTS: [&str; 2] = [
    "/api/v1/namespaces/default/configmaps?labelSelector=traffic%3Dmany&limit=500",
    "/api/v1/namespaces/default/configmaps?labelSelector=traffic%3Dlarge&limit=500",
];
const WATCH: &str = "/api/v1/namespaces/default/configmaps?watch=true&labelSelector=traffic%3Dbell";
/// How an event names the object that is made by a ring.
const BELL: &[u8] = b"\"name\":\"traffic-bell-";

/// Why there is no traffic.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// Nobody was to be asked.
    #[error(transparent)]
    Https(#[from] HttpsError),
    /// An object was refused.
    #[error("{address} answers {status} to {what}")]
    Refused {
        /// Who was asked.
        address: SocketAddr,
        /// The HTTP status.
        status: u16,
        /// What was asked.
        what: String,
    },
    /// A list holds no items.
    #[error("{address} answers no list to {what}")]
    NoList {
        /// Who was asked.
        address: SocketAddr,
        /// What was asked.
        what: &'static str,
    },
    /// Watches did not tell of a change.
    #[error("{heard} of {HALF} watches through {address} told of change {ring} within {} s, {broken} broke", HEARD_DEADLINE.as_secs())]
    Unheard {
        /// Where they lead.
        address: SocketAddr,
        /// The change.
        ring: usize,
        /// How many told of it.
        heard: usize,
        /// How many broke.
        broken: usize,
    },
}

/// The objects that are asked for, and what a right answer is.
pub struct Stock {
    client: HttpsClient,
    address: SocketAddr,
    /// What the first answers held, in the order of [`LISTS`].
    items: [Bytes; 2],
}

impl Stock {
    /// Makes the objects through the API server at `address`, after taking away what an earlier one left. To be called
    /// on the ops host, as all of this.
    ///
    /// # Errors
    /// Whatever keeps it from being whole.
    pub async fn lay_in(layout: &Layout, address: SocketAddr) -> Result<Self, TrafficError> {
        let client =
            HttpsClient::new(&layout.certificate("kubernetes-ca"), &layout.certificate("admin"), &layout.key("admin"))?;
        let mut stock = Self { client, address, items: [Bytes::new(), Bytes::new()] };
        stock.sweep().await?;
        for (kind, (count, bytes)) in [("many", MANY), ("large", LARGE)] {
            for number in 0..count {
                stock.make(kind, number, bytes).await?;
            }
        }
        stock.make("bell", 0, 0).await?;
        let mut held = stock.client.hold(address).await?;
        for (place, what) in LISTS.into_iter().enumerate() {
            let answer = held.read(what, LIST_BYTES_MAX).await?;
            stock.items[place] = items(&answer.body).ok_or(TrafficError::NoList { address, what })?;
        }
        Ok(stock)
    }

    /// Makes one more object, which every watch is to tell of. The caller counts, from 1 on.
    ///
    /// # Errors
    /// Why it could not be made.
    pub async fn ring(&self, ring: usize) -> Result<(), TrafficError> {
        self.make("bell", ring, 0).await
    }

    /// The certificate, in DER, of whoever serves at an address: which API server a way leads to.
    ///
    /// # Errors
    /// Why nobody showed one.
    pub async fn served_by(&self, address: SocketAddr) -> Result<Vec<u8>, TrafficError> {
        Ok(self.client.certificate(address).await?)
    }

    /// Takes every object away, the bell's too.
    ///
    /// # Errors
    /// Why some may be left.
    pub async fn sweep(&self) -> Result<(), TrafficError> {
        let all = format!("{OBJECTS}?labelSelector=traffic");
        self.change(Method::DELETE, &all, Vec::new()).await
    }

    async fn make(&self, kind: &str, number: usize, bytes: usize) -> Result<(), TrafficError> {
        let text: String = (b'a'..=b'z').cycle().take(bytes).map(char::from).collect();
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": format!("traffic-{kind}-{number}"), "labels": { "traffic": kind } },
            "data": { "text": text },
        });
        self.change(Method::POST, OBJECTS, object.to_string().into_bytes()).await
    }

    async fn change(&self, method: Method, path: &str, body: Vec<u8>) -> Result<(), TrafficError> {
        let what = format!("{method} {path}");
        let asked = self.client.ask_for(self.address, (method, path, body), LIST_BYTES_MAX, CHANGE_DEADLINE).await?;
        match asked.status {
            200 | 201 => Ok(()),
            status => Err(TrafficError::Refused { address: self.address, status, what }),
        }
    }
}

/// What the watches of a crowd told.
#[derive(Clone, Debug, Default)]
struct Heard {
    /// Each one's newest ring.
    rings: Vec<Option<usize>>,
    /// How many ended.
    broken: usize,
}

/// Connections that are held to one address.
pub struct Crowd {
    address: SocketAddr,
    listing: Vec<Held>,
    heard: watch::Receiver<Heard>,
    _watching: JoinSet<()>,
}

/// One pass of a crowd: both lists over each of its listing connections, all at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passed {
    /// Whole answers.
    pub answers: usize,
    /// Those that were not status 200 with the right items.
    pub wrong: usize,
    /// Bytes of the bodies.
    pub bytes: u64,
    /// From the first question to the last answer.
    pub took: Duration,
}

impl Passed {
    /// Bytes of bodies a second, in MB.
    #[expect(clippy::cast_precision_loss, reason = "2^53 bytes are not moved in a pass")]
    pub fn mb_per_s(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.took.as_secs_f64()
    }
}

impl Crowd {
    /// Connects, and begins to watch; returns when every watch tells what there is.
    ///
    /// # Errors
    /// The first connection that is refused, or a watch that tells nothing.
    pub async fn connect(stock: &Stock, address: SocketAddr) -> Result<Self, TrafficError> {
        let none = Heard { rings: vec![None; HALF], broken: 0 };
        let (tell, heard) = watch::channel(none);
        let mut watching = JoinSet::new();
        let mut listing = Vec::new();
        for place in 0..HALF {
            listing.push(stock.client.hold(address).await?);
            let (mut held, tell) = (stock.client.hold(address).await?, tell.clone());
            watching.spawn(async move {
                let mut line = Vec::new();
                let listen = |bytes: &[u8]| {
                    for ring in rings(&mut line, bytes) {
                        tell.send_modify(|heard| heard.rings[place] = Some(ring));
                    }
                };
                let _ = held.follow(WATCH, listen).await;
                tell.send_modify(|heard| heard.broken += 1);
            });
        }
        let crowd = Self { address, listing, heard, _watching: watching };
        crowd.hear(0).await?;
        Ok(crowd)
    }

    /// Waits until every watch has told of a ring.
    ///
    /// # Errors
    /// How many have not, after a minute.
    pub async fn hear(&self, ring: usize) -> Result<(), TrafficError> {
        let told = |one: &&Option<usize>| one.is_some_and(|heard| heard >= ring);
        let mut heard = self.heard.clone();
        let all = heard.wait_for(|heard| heard.rings.iter().filter(told).count() == HALF);
        if tokio::time::timeout(HEARD_DEADLINE, all).await.is_ok_and(|all| all.is_ok()) {
            return Ok(());
        }
        let now = self.heard.borrow();
        let heard = now.rings.iter().filter(told).count();
        Err(TrafficError::Unheard { address: self.address, ring, heard, broken: now.broken })
    }

    /// How many watches have ended.
    pub fn broken(&self) -> usize {
        self.heard.borrow().broken
    }

    /// Has every listing connection ask for both lists, all at once.
    ///
    /// # Errors
    /// The first connection that broke.
    pub async fn list(&mut self, stock: &Stock) -> Result<Passed, TrafficError> {
        let began = Instant::now();
        let mut asking = JoinSet::new();
        for (number, mut held) in std::mem::take(&mut self.listing).into_iter().enumerate() {
            let right = stock.items.clone();
            asking.spawn(async move {
                let (mut wrong, mut bytes) = (0, 0);
                // Half begin with the one list, half with the other.
                for place in [number % 2, (number + 1) % 2] {
                    let answer = held.read(LISTS[place], LIST_BYTES_MAX).await?;
                    bytes += answer.body.len() as u64;
                    wrong += usize::from(answer.status != 200 || items(&answer.body).as_ref() != Some(&right[place]));
                }
                Ok::<_, HttpsError>((held, wrong, bytes))
            });
        }
        let mut passed = Passed { answers: 0, wrong: 0, bytes: 0, took: Duration::ZERO };
        for asked in asking.join_all().await {
            let (held, wrong, bytes) = asked?;
            self.listing.push(held);
            passed.answers += LISTS.len();
            passed.wrong += wrong;
            passed.bytes += bytes;
        }
        passed.took = began.elapsed();
        Ok(passed)
    }
}

/// The items of a list, without its head: that tells at which revision it was read.
fn items(body: &Bytes) -> Option<Bytes> {
    const ITEMS: &[u8] = b"\"items\":[";
    let at = body.windows(ITEMS.len()).position(|window| window == ITEMS)?;
    Some(body.slice(at..))
}

/// The rings that whole lines of a watch tell of; what is left of a line waits in `line`.
fn rings(line: &mut Vec<u8>, bytes: &[u8]) -> Vec<usize> {
    line.extend_from_slice(bytes);
    let Some(end) = line.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
    let rest = line.split_off(end + 1);
    let whole = std::mem::replace(line, rest);
    let ring = |event: &[u8]| {
        let at = event.windows(BELL.len()).position(|window| window == BELL)? + BELL.len();
        let digits = event.get(at..)?.split(|byte| *byte == b'"').next()?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    };
    whole.split(|byte| *byte == b'\n').filter_map(ring).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_read_from_a_whole_line_alone() {
        let mut line = Vec::new();
        assert_eq!(rings(&mut line, br#"{"object":{"metadata":{"name":"traffic-bell-1"#), [0; 0]);
        assert_eq!(rings(&mut line, b"2\"}}}\n{\"type\":\"BOOKMARK\"}\n{\"obj"), [12]);
        assert_eq!(line, b"{\"obj");
        assert_eq!(rings(&mut line, b"ect\":{\"name\":\"traffic-bell-13\"}}\n"), [13]);
        assert!(line.is_empty());
    }

    #[test]
    fn a_lists_head_does_not_count() {
        let body = Bytes::from_static(br#"{"metadata":{"resourceVersion":"7"},"items":[{"a":1}]}"#);
        assert_eq!(items(&body), Some(Bytes::from_static(br#""items":[{"a":1}]}"#)));
        assert_eq!(items(&Bytes::from_static(br#"{"kind":"Status"}"#)), None);
    }
}
