//! Who may act through the dashboard: whoever came in by a link that the daemon gave to its own user.
//!
//! On a loopback address every local user reaches the listener, so a page shows and changes nothing until a browser has
//! come through a link. `defib dashboard` asks for one over the socket, which only the daemon's user may open. A link
//! serves once, for [`LINK_LIFE`]; the browser keeps a cookie for [`VISIT_LIFE`] at most, until the daemon ends. What is
//! done is written down as that user's. Bounded: [`LINKS_MAX`], [`VISITS_MAX`]; the oldest gives way. Left out: what comes
//! between a browser and us (a tunnel sees everything), and that a cookie knows no port: every server on the same address
//! that this browser visits sees it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::{COOKIE, HeaderMap};

use super::guard::{random, same};

/// A link that nobody has followed by then is worth nothing.
const LINK_LIFE: Duration = Duration::from_secs(5 * 60);
/// A browser that came in stays in for so long: a long night.
const VISIT_LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// Links that wait to be followed.
const LINKS_MAX: usize = 8;
/// Browsers that are in.
const VISITS_MAX: usize = 16;

/// The way in.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    links: VecDeque<Pass>,
    visits: VecDeque<Pass>,
}

#[derive(Debug)]
struct Pass {
    secret: String,
    /// For whom it was made.
    by: String,
    until: Instant,
}

impl Door {
    /// Of the listener at this address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Door {
        Door { address, kept: Mutex::default() }
    }

    /// A link for this user; none where the system gives no randomness.
    #[must_use]
    pub fn link(&self, by: &str) -> Option<String> {
        let secret = random()?;
        let link = format!("http://{}/open?key={secret}", self.address);
        let until = Instant::now() + LINK_LIFE;
        keep(&mut self.kept().links, Pass { secret, by: by.to_owned(), until }, LINKS_MAX);
        Some(link)
    }

    /// Somebody followed a link: the cookie for the browser; none where the link was followed before, or never given.
    pub(super) fn open(&self, key: &str) -> Option<String> {
        let secret = random()?;
        let mut kept = self.kept();
        let now = Instant::now();
        kept.links.retain(|link| link.until > now);
        let at = kept.links.iter().position(|link| same(&link.secret, key))?;
        let by = kept.links.remove(at)?.by;
        let name = self.cookie();
        let cookie = format!("{name}={secret}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax", VISIT_LIFE.as_secs());
        keep(&mut kept.visits, Pass { secret, by, until: now + VISIT_LIFE }, VISITS_MAX);
        Some(cookie)
    }

    /// For whom this browser came in; none where it did not.
    pub(super) fn visitor(&self, headers: &HeaderMap) -> Option<String> {
        let name = self.cookie();
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let secret = pairs.find(|(key, _)| *key == name)?.1;
        let now = Instant::now();
        let kept = self.kept();
        let visit = kept.visits.iter().filter(|visit| visit.until > now).find(|visit| same(&visit.secret, secret))?;
        Some(visit.by.clone())
    }

    /// Cookies know no port, so the name does.
    fn cookie(&self) -> String {
        format!("defib-{}", self.address.port())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(passes: &mut VecDeque<Pass>, pass: Pass, max: usize) {
    if passes.len() >= max {
        passes.pop_front();
    }
    passes.push_back(pass);
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn with(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(cookie).unwrap());
        headers
    }

    #[test]
    fn a_link_lets_one_browser_in_once_and_its_cookie_is_the_users() {
        let door = Door::new(([127, 0, 0, 1], 9870).into());
        let link = door.link("ann@ops").unwrap();
        let key = link.strip_prefix("http://127.0.0.1:9870/open?key=").unwrap();
        assert_eq!(door.open("0"), None);
        let cookie = door.open(key).unwrap();
        assert!(cookie.ends_with("; HttpOnly; SameSite=Lax"), "{cookie}");
        assert_eq!(door.open(key), None, "a link serves once");
        let pair = cookie.split(';').next().unwrap();
        assert!(pair.starts_with("defib-9870="));
        assert_eq!(door.visitor(&with(&format!("a=b; {pair}"))).as_deref(), Some("ann@ops"));
        for foreign in ["defib-9870=", "defib-9870=00", &pair.replace("9870", "9871"), "a=b"] {
            assert_eq!(door.visitor(&with(foreign)), None, "{foreign}");
        }
        assert_eq!(door.visitor(&HeaderMap::new()), None);
        let another = Door::new(([127, 0, 0, 1], 9870).into());
        assert_eq!(another.visitor(&with(pair)), None, "another process knows nobody");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let door = Door::new(([127, 0, 0, 1], 9870).into());
        let links: Vec<_> = (0..=LINKS_MAX).map(|_| door.link("ann").unwrap()).collect();
        let key = |link: &str| link.rsplit('=').next().unwrap().to_owned();
        assert_eq!(door.open(&key(&links[0])), None);
        assert!(door.open(&key(&links[1])).is_some());
        for _ in 0..2 * VISITS_MAX {
            door.open(&key(&door.link("ann").unwrap())).unwrap();
        }
        assert_eq!(door.kept().visits.len(), VISITS_MAX);
    }
}
