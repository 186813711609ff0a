//! Who may ask the listener for what: against pages of other origins, never against people with a shell on this host.
//!
//! - A request under a name that is not ours is refused, so that a foreign name that leads to this address (DNS rebinding)
//!   reads nothing. Ours are `localhost`, the loopback's and the listener's addresses, and what the configuration adds.
//! - What changes something is a POST from a page of ours (`Origin` and `Sec-Fetch-Site`) that carries this process's
//!   token, which only such a page was given.
//! - A page runs no script and no style but this program's own files, cannot be framed, and is kept by nobody.
//!
//! Left out: who a person is. Everyone who reaches the loopback of this host can read the token off the page.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use ring::rand::{SecureRandom, SystemRandom};

/// The headers of every answer that a browser shows.
const SHOWN: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // `no-referrer` would make browsers hide the origin of our own forms.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A form has at most so many bytes.
pub(super) const FORM_MAX: usize = 4096;

/// Why a request is refused; the text is for the person who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("this name is not one of the dashboard's: use the address in `listen`, or add the name to `names`")]
    Host,
    #[error("this did not come from a page of the dashboard: open the page and use its buttons")]
    Origin,
    #[error("the page is older than the daemon: go back, reload it, and try again")]
    Token,
    #[error("this browser may only look: follow the link that `defib dashboard` prints, and try again")]
    Looks,
}

/// Puts the headers on.
pub(super) fn protect(headers: &mut HeaderMap) {
    for (name, value) in SHOWN {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// What every request is held against.
#[derive(Debug)]
pub struct Guard {
    /// Lower-case names and addresses without ports.
    hosts: Vec<String>,
    token: String,
}

impl Guard {
    /// For a listener at `address`, with the names that the configuration adds. `None` where the system has no randomness.
    pub(super) fn new(address: IpAddr, names: &[String]) -> Option<Guard> {
        let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        hosts.push(match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        });
        hosts.extend(names.iter().map(|name| name.to_ascii_lowercase()));
        Some(Guard { hosts, token: random()? })
    }

    /// For the forms of our own pages.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// The request names us.
    pub(super) fn named(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = only(headers, &header::HOST).ok_or(Refusal::Host)?;
        let name = without_port(host).to_ascii_lowercase();
        if self.hosts.contains(&name) { Ok(()) } else { Err(Refusal::Host) }
    }

    /// The request may change something: it came from a page of ours, which had our token.
    pub(super) fn trusted(&self, headers: &HeaderMap, form: &Form) -> Result<(), Refusal> {
        self.named(headers)?;
        let host = only(headers, &header::HOST).ok_or(Refusal::Host)?;
        let origin = only(headers, &header::ORIGIN);
        let site = only(headers, &HeaderName::from_static("sec-fetch-site"));
        let origin_is_ours = origin.map(|origin| {
            let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
        });
        match (origin_is_ours, site) {
            (Some(true), None | Some("same-origin")) | (None, Some("same-origin")) => {}
            _ => return Err(Refusal::Origin),
        }
        if same(form.get("token"), &self.token) { Ok(()) } else { Err(Refusal::Token) }
    }
}

/// 32 random bytes in hex; none where the system gives none.
pub(super) fn random() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Compares in a time that does not tell how much is right.
pub(super) fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// The header's value, where there is exactly one that is text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// A form as a browser sends it.
#[derive(Debug, Default)]
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads `a=b&c=d`, from a body or behind a `?`. Of a name that comes twice the first counts.
    pub(super) fn read(text: &str) -> Form {
        let mut fields = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            fields.entry(plain(name)).or_insert_with(|| plain(value));
        }
        Form(fields)
    }

    /// The field; empty where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }
}

/// Undoes what a browser escapes; what is not escaped rightly stays as it is.
pub(super) fn plain(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        let (byte, behind) = match (first, more) {
            (b'+', _) => (b' ', more),
            (b'%', [high, low, behind @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, behind),
                _ => (first, more),
            },
            _ => (first, more),
        };
        bytes.push(byte);
        rest = behind;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard::new("127.0.0.1".parse().unwrap(), &["Ops.example".to_owned()]).unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_our_own_names_are_served() {
        let guard = guard();
        for host in ["localhost", "LOCALHOST:9870", "127.0.0.1:1", "[::1]:9870", "[::1]", "ops.example:80"] {
            assert_eq!(guard.named(&headers(&[("host", host)])), Ok(()), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.", "", "192.0.2.1:9870", "[::2]", "a:b:1"] {
            assert_eq!(guard.named(&headers(&[("host", host)])), Err(Refusal::Host), "{host}");
        }
        assert_eq!(guard.named(&headers(&[])), Err(Refusal::Host));
        assert_eq!(guard.named(&headers(&[("host", "localhost"), ("host", "localhost")])), Err(Refusal::Host));
    }

    #[test]
    fn a_change_needs_our_origin_and_our_token() {
        let guard = guard();
        let form = Form::read(&format!("token={}", guard.token()));
        let asked = |pairs: &[(&'static str, &'static str)]| guard.trusted(&headers(pairs), &form);
        let host = ("host", "127.0.0.1:9870");
        let ours = ("origin", "http://127.0.0.1:9870");
        let same_origin = ("sec-fetch-site", "same-origin");
        assert_eq!(asked(&[host, ours, same_origin]), Ok(()));
        assert_eq!(asked(&[host, ours]), Ok(()));
        assert_eq!(asked(&[host, same_origin]), Ok(()));
        for foreign in [
            &[host][..],
            &[host, ("origin", "http://evil.example")],
            &[host, ("origin", "http://127.0.0.1:9999")],
            &[host, ("origin", "null"), same_origin],
            &[host, ours, ("sec-fetch-site", "cross-site")],
            &[host, ours, ("sec-fetch-site", "same-site")],
            &[host, ("sec-fetch-site", "none")],
        ] {
            assert_eq!(asked(foreign), Err(Refusal::Origin), "{foreign:?}");
        }
        for wrong in ["", "token=", "token=00", &format!("token={}", random().unwrap())] {
            let form = Form::read(wrong);
            assert_eq!(guard.trusted(&headers(&[host, ours]), &form), Err(Refusal::Token), "{wrong}");
        }
    }

    #[test]
    fn every_process_has_a_token_of_its_own() {
        assert_ne!(guard().token(), guard().token());
        assert_eq!(guard().token().len(), 64);
    }

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let form = Form::read("reason=host%20is+full%21&for=30m&broken=%zz%&for=9h&&alone");
        assert_eq!((form.get("reason"), form.get("for")), ("host is full!", "30m"));
        assert_eq!((form.get("broken"), form.get("alone"), form.get("none")), ("%zz%", "", ""));
    }
}
