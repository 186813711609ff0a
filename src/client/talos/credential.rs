//! A talosconfig, as `talosctl` writes it: which context, and the credential in it.
//!
//! Read when it is first needed, and again when the file changes. The endpoints and nodes that it names are not used:
//! whom defib asks stands in its own configuration. They are told, for people use the same file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;

use crate::client::Trouble;
use crate::client::kept::{Holds, Source};
use crate::client::tls::{Files, TlsError};
use crate::config::Talos;
use crate::yaml::{self, Entry, Node, Problem, Problems, Value, Walk};

/// A talosconfig may be so large.
const BYTES_MAX: u64 = 1024 * 1024;

/// So many endpoints are told.
const ENDPOINTS_MAX: usize = 32;

/// Why there is no usable credential in a talosconfig. Always our own side's matter.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// It is missing, or may not be read.
    #[error("cannot read {}", .file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what a talosconfig is: every problem with its place, without the lines themselves, which may hold a key.
    #[error("{0}")]
    Content(String),
    /// What it holds is no credential.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The credential in one context of one talosconfig.
#[derive(Debug)]
pub struct Credential {
    talos: Talos,
    made: Mutex<Option<Made>>,
}

/// What was read, of a file as it was then: the credential, and whom it names to be asked.
type Made = (Stamp, Arc<Files>, Vec<String>);

/// Modification time and length.
type Stamp = (SystemTime, u64);

impl Credential {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(talos: &Talos) -> Credential {
        Credential { talos: talos.clone(), made: Mutex::default() }
    }

    /// The configuration for one connection; see [`Files::client_config`].
    ///
    /// # Errors
    /// [`CredentialError`], every time it is asked for until it is mended.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, CredentialError> {
        let file = &self.talos.talosconfig;
        let stamp = std::fs::metadata(file)
            .and_then(|found| Ok((found.modified()?, found.len())))
            .map_err(|source| CredentialError::Read { file: file.clone(), source })?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.as_ref().is_none_or(|(seen, ..)| *seen != stamp) {
            let context = self.talos.context.as_deref();
            let files = Arc::new(read(file, context)?);
            // A list that cannot be read spoils no credential.
            let endpoints = outline(file, context).map(|outline| outline.endpoints).unwrap_or_default();
            *made = Some((stamp, files, endpoints));
        }
        let files = made.as_ref().map(|(_, files, _)| Arc::clone(files));
        drop(made);
        let nothing = || CredentialError::Content(format!("{} holds no credential", file.display()));
        Ok(files.ok_or_else(nothing)?.client_config()?)
    }
}

impl Credential {
    /// See [`Files::not_yet`].
    #[must_use]
    pub fn not_yet(&self) -> Option<TlsError> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.1.not_yet()
    }
}

impl Source for Credential {
    fn read(&self) -> Result<Arc<ClientConfig>, Trouble> {
        self.client_config().map_err(Trouble::own_side)
    }

    fn holds(&self) -> Holds {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |(_, files, endpoints): &(Stamp, Arc<Files>, Vec<String>)| {
            let endpoints = endpoints.iter().take(ENDPOINTS_MAX).cloned().collect();
            Holds { endpoints, ..files.holds() }
        };
        made.as_ref().map(holds).unwrap_or_default()
    }
}

fn read(file: &Path, context: Option<&str>) -> Result<Files, CredentialError> {
    let source = yaml::text(file, BYTES_MAX).map_err(content)?;
    let walk = Walk::new(file, &source);
    let texts = yaml::parse(&walk).and_then(|root| credential(&walk, &root, context));
    let [ca, certificate, key] = walk.end(texts).map_err(content)?;
    Ok(Files::from_pem(file, ca, certificate, key))
}

/// What a talosconfig says of a cluster, beside the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The context's name.
    pub context: String,
    /// Whom talosctl asks.
    pub endpoints: Vec<String>,
    /// About whom.
    pub nodes: Vec<String>,
}

/// Reads what a talosconfig says beside the credential; `context` is its own current one where none is named.
///
/// # Errors
/// [`CredentialError::Content`]: everything that is wrong with the file, each with its place.
pub fn outline(file: &Path, context: Option<&str>) -> Result<Outline, CredentialError> {
    let source = yaml::text(file, BYTES_MAX).map_err(content)?;
    let walk = Walk::new(file, &source);
    let read = yaml::parse(&walk).and_then(|root| {
        let (name, chosen) = chosen(&walk, &root, context)?;
        let list = |key: &str| {
            let entry = entries(&walk, &chosen, "the context")?.iter().find(|entry| entry.key == key);
            let items = entry.map_or(Some([].as_slice()), |entry| walk.list(&entry.value, key))?;
            Some(items.iter().filter_map(|item| walk.text(item, key)).map(str::to_owned).collect::<Vec<_>>())
        };
        Some(Outline { context: name, endpoints: list("endpoints")?, nodes: list("nodes")? })
    });
    walk.end(read).map_err(content)
}

fn content(problems: Problems) -> CredentialError {
    let line = |problem: Problem| Problem { snippet: String::new(), ..problem }.to_string().trim_end().to_owned();
    CredentialError::Content(problems.0.into_iter().map(line).collect::<Vec<_>>().join("; "))
}

/// The context that is meant, and its name.
fn chosen(walk: &Walk<'_>, root: &Node, context: Option<&str>) -> Option<(String, Node)> {
    let name = match context {
        Some(name) => name,
        None => walk.text(value(walk, root, "a talosconfig", "context")?, "the context")?,
    };
    let contexts = value(walk, root, "a talosconfig", "contexts")?;
    let entries = entries(walk, contexts, "contexts")?;
    let find = |name: &str| entries.iter().find(|entry| entry.key == name);
    let names = entries.iter().map(|entry| entry.key.as_str());
    let chosen = &walk.word(contexts.place, name, "the context", find, names)?.value;
    Some((name.to_owned(), chosen.clone()))
}

/// The PEM texts of the authority, of our certificate and of its key.
fn credential(walk: &Walk<'_>, root: &Node, context: Option<&str>) -> Option<[Vec<u8>; 3]> {
    let (_, chosen) = chosen(walk, root, context)?;
    let chosen = &chosen;
    let (ca, certificate, key) = (pem(walk, chosen, "ca"), pem(walk, chosen, "crt"), pem(walk, chosen, "key"));
    Some([ca?, certificate?, key?])
}

/// A PEM text in base64.
fn pem(walk: &Walk<'_>, context: &Node, key: &str) -> Option<Vec<u8>> {
    let node = value(walk, context, "the context", key)?;
    let packed: String = walk.text(node, key)?.split_whitespace().collect();
    let bytes = STANDARD.decode(packed).ok();
    if bytes.is_none() {
        walk.problem(node.place, format!("{key} is not base64"));
    }
    bytes
}

/// The value of a key that must be there. Keys that we do not know are let be: the file is talosctl's.
fn value<'n>(walk: &Walk<'_>, map: &'n Node, what: &str, key: &str) -> Option<&'n Node> {
    let found = entries(walk, map, what)?.iter().find(|entry| entry.key == key);
    if found.is_none() {
        walk.problem(map.place, format!("{what} needs a {key:?}"));
    }
    found.map(|entry| &entry.value)
}

fn entries<'n>(walk: &Walk<'_>, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
    let Value::Map(entries) = &node.value else {
        walk.problem(node.place, format!("{what} is a map"));
        return None;
    };
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::testing::{Authority, LOOPBACK, written};

    fn sound(authority: &Authority) -> String {
        let (certificate, key) = authority.issue(LOOPBACK, 2100);
        let packed = |text: &str| STANDARD.encode(text);
        format!(
            "context: lab\ncontexts:\n  lab:\n    endpoints: [192.0.2.1]\n    later: [1]\n    ca: {}\n    crt: {}\n    key: {}\n",
            packed(&authority.pem),
            packed(&certificate),
            packed(&key)
        )
    }

    fn asked(text: &str, context: Option<&str>) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let talosconfig = written(folder.path(), "talosconfig", text);
        let credential = Credential::new(&Talos { talosconfig, context: context.map(ToOwned::to_owned) });
        credential.client_config().map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn the_credential_of_a_context_is_taken() {
        let text = sound(&Authority::new());
        assert_eq!(asked(&text, None), Ok(()));
        assert_eq!(asked(&text, Some("lab")), Ok(()));
        let said = asked(&text, Some("lap")).unwrap_err();
        assert!(said.contains("the context \"lap\" is not one of lab"), "{said}");
    }

    #[test]
    fn whom_the_file_names_is_told_once_it_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let talosconfig = written(folder.path(), "talosconfig", &sound(&Authority::new()));
        let credential = Credential::new(&Talos { talosconfig, context: None });
        assert_eq!(credential.holds(), Holds::default());
        credential.client_config().unwrap();
        assert_eq!(credential.holds().endpoints, ["192.0.2.1"]);
        assert!(credential.holds().not_after.is_some());
    }

    #[test]
    fn mistakes_are_named_with_their_place_and_without_the_key() {
        let text = sound(&Authority::new());
        let said = asked(&text.replace("    key: ", "    key: \u{1}!"), None).unwrap_err();
        assert!(said.contains("talosconfig"), "{said}");
        let said = asked(&text.replace("    key: ", "    key: '!!'\n    old: "), None).unwrap_err();
        assert!(said.contains("talosconfig:8:10: key is not base64") && !said.contains("LS0t"), "{said}");
        let said = asked(&text.replace("    crt: ", "    certificate: "), None).unwrap_err();
        assert!(said.contains("needs a \"crt\"") && !said.contains("LS0t"), "{said}");
        assert!(asked("", None).is_err() && asked("context: [", None).is_err() && asked("contexts: 1", None).is_err());
    }

    #[test]
    fn a_missing_file_is_named() {
        let talos = Talos { talosconfig: "absent/talosconfig".into(), context: None };
        let error = Credential::new(&talos).client_config().unwrap_err();
        assert_eq!(error.to_string(), "cannot read absent/talosconfig");
    }
}
