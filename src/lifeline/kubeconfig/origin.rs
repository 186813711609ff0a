//! What a kubeconfig is made from: one context of somebody's kubeconfig with all that it needs, or nothing but the cluster.
//!
//! Files that it names beside itself are named by their whole path, for ours lies elsewhere; the authority is taken in.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use defib_engine::observation::NodeName;

use super::text::{self, Item, Map};
use super::{BYTES_MAX, KubeconfigError};
use crate::yaml::{self, Entry, Node, Problem, Problems, Value, Walk};

const SERVER_NAME: &str = "tls-server-name";
const AUTHORITY: &str = "certificate-authority";
const AUTHORITY_DATA: &str = "certificate-authority-data";
/// A user's keys that name files.
const FILES: [&str; 3] = ["client-certificate", "client-key", "tokenFile"];

/// One context, ready to be written.
#[derive(Debug)]
pub(super) struct Origin {
    /// Where it leads: a URL.
    pub(super) server: String,
    context: String,
    /// The context's own keys.
    binding: Map,
    cluster: String,
    /// The cluster's keys but for the server.
    settings: Map,
    /// The user's name and keys.
    user: Option<(String, Map)>,
}

impl Origin {
    /// The context of this name, or the current one, of somebody's kubeconfig.
    pub(super) fn read(file: &Path, context: Option<&str>) -> Result<Origin, KubeconfigError> {
        let source = yaml::text(file, BYTES_MAX).map_err(content)?;
        let walk = Walk::new(file, &source);
        let origin = yaml::parse(&walk).and_then(|root| origin(&walk, &root, context));
        let mut origin = walk.end(origin).map_err(content)?;
        let folder =
            std::path::absolute(file).ok().and_then(|file| Some(file.parent()?.to_owned())).unwrap_or_default();
        if let Some((_, user)) = &mut origin.user {
            resolve(user, &folder);
        }
        if let Some(named) = take(&mut origin.settings, AUTHORITY)
            && !origin.settings.iter().any(|(key, _)| key == AUTHORITY_DATA)
        {
            origin.embed(&folder.join(named))?;
        }
        Ok(origin)
    }

    /// A cluster without a user, led to its virtual address or its first node.
    pub(super) fn bare(
        name: &str,
        vip: Option<SocketAddr>,
        nodes: &[(NodeName, SocketAddr)],
        ca: Option<&Path>,
    ) -> Result<Origin, KubeconfigError> {
        let usual = vip.or_else(|| nodes.first().map(|(_, address)| *address));
        let mut origin = Origin {
            server: usual.map_or_else(String::new, |address| format!("https://{address}")),
            context: name.to_owned(),
            binding: vec![("cluster".to_owned(), Item::Text(name.to_owned()))],
            cluster: name.to_owned(),
            settings: Map::new(),
            user: None,
        };
        if let Some(ca) = ca {
            origin.embed(ca)?;
        }
        Ok(origin)
    }

    fn embed(&mut self, ca: &Path) -> Result<(), KubeconfigError> {
        let pem = yaml::text(ca, BYTES_MAX).map_err(content)?;
        self.settings.push((AUTHORITY_DATA.to_owned(), Item::Text(STANDARD.encode(pem))));
        Ok(())
    }

    /// The host that certificates are checked against where no name is set: the server's own.
    pub(super) fn host(&self) -> Option<String> {
        let rest = self.server.split_once("://").map_or(self.server.as_str(), |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, _)) => host,
            None => authority.split(':').next().unwrap_or_default(),
        };
        (!host.is_empty()).then(|| host.to_owned())
    }

    /// Certificates are checked against this name from now on.
    pub(super) fn check_against(&mut self, name: &str) {
        self.settings.retain(|(key, _)| key != SERVER_NAME);
        self.settings.insert(0, (SERVER_NAME.to_owned(), Item::Text(name.to_owned())));
    }

    /// Some name is set that certificates are checked against.
    pub(super) fn names_server(&self) -> bool {
        self.settings.iter().any(|(key, _)| key == SERVER_NAME)
    }

    /// As a document.
    pub(super) fn text(&self) -> String {
        let word = |text: &str| Item::Text(text.to_owned());
        let named = |name: &str, what: &str, map: Map| {
            Item::Map(vec![("name".to_owned(), word(name)), (what.to_owned(), Item::Map(map))])
        };
        let mut cluster = vec![("server".to_owned(), word(&self.server))];
        cluster.extend(self.settings.iter().cloned());
        let user = self.user.iter().map(|(name, user)| named(name, "user", user.clone()));
        let entry = |key: &str, item: Item| (key.to_owned(), item);
        text::document(&vec![
            entry("apiVersion", word("v1")),
            entry("kind", word("Config")),
            entry("current-context", word(&self.context)),
            entry("contexts", Item::List(vec![named(&self.context, "context", self.binding.clone())])),
            entry("clusters", Item::List(vec![named(&self.cluster, "cluster", cluster)])),
            entry("users", Item::List(user.collect())),
        ])
    }
}

fn content(problems: Problems) -> KubeconfigError {
    // The lines stay out of it: they may hold a key.
    let line = |problem: Problem| Problem { snippet: String::new(), ..problem }.to_string().trim_end().to_owned();
    KubeconfigError::Content(problems.0.into_iter().map(line).collect::<Vec<_>>().join("; "))
}

fn origin(walk: &Walk<'_>, root: &Node, context: Option<&str>) -> Option<Origin> {
    let context = match context {
        Some(name) => name,
        None => walk.text(&required(walk, root, "a kubeconfig", "current-context")?.value, "current-context")?,
    };
    let binding = named(walk, root, "contexts", "context", context)?;
    let word = |key: &str| entries(walk, binding, "a context")?.iter().find(|entry| entry.key == key);
    let cluster = walk.text(&required(walk, binding, "the context", "cluster")?.value, "cluster")?;
    let settings = named(walk, root, "clusters", "cluster", cluster)?;
    let server = walk.text(&required(walk, settings, "the cluster", "server")?.value, "server")?;
    let user = match word("user").map(|entry| &entry.value).filter(|node| !matches!(node.value, Value::Nothing)) {
        Some(node) => {
            let name = walk.text(node, "user")?;
            Some((name.to_owned(), plain(named(walk, root, "users", "user", name)?)))
        }
        None => None,
    };
    Some(Origin {
        server: server.to_owned(),
        context: context.to_owned(),
        binding: plain(binding),
        cluster: cluster.to_owned(),
        settings: plain(settings).into_iter().filter(|(key, _)| key != "server").collect(),
        user,
    })
}

/// A map without what programs of others have left in it.
fn plain(node: &Node) -> Map {
    text::map(node).into_iter().filter(|(key, item)| key != "extensions" && *item != Item::Nothing).collect()
}

/// `contexts: [{ name: NAME, context: … }]`: what stands behind this name.
fn named<'n>(walk: &Walk<'_>, root: &'n Node, list: &str, key: &'static str, name: &str) -> Option<&'n Node> {
    let list_node = &required(walk, root, "a kubeconfig", list)?.value;
    let items = walk.list(list_node, list)?;
    let text = |item: &'n Node| match entry(item, "name").map(|entry| &entry.value.value) {
        Some(Value::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let names = items.iter().filter_map(text);
    let find = |name: &str| items.iter().find(|item| text(item) == Some(name));
    let found = walk.word(list_node.place, name, key, find, names)?;
    let inner = &required(walk, found, "an entry", key)?.value;
    entries(walk, inner, key)?;
    Some(inner)
}

/// A key that must be there. Keys that we do not know are let be: the file is somebody else's.
fn required<'n>(walk: &Walk<'_>, node: &'n Node, what: &str, key: &str) -> Option<&'n Entry> {
    entries(walk, node, what)?;
    let found = entry(node, key);
    if found.is_none() {
        walk.problem(node.place, format!("{what} needs a {key:?}"));
    }
    found
}

fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Entry> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|entry| entry.key == key)
}

fn entries<'n>(walk: &Walk<'_>, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
    let Value::Map(entries) = &node.value else {
        walk.problem(node.place, format!("{what} is a map"));
        return None;
    };
    Some(entries)
}

/// Takes a text out of a map.
fn take(map: &mut Map, key: &str) -> Option<PathBuf> {
    let at = map.iter().position(|(other, _)| other == key)?;
    match map.remove(at).1 {
        Item::Text(text) => Some(PathBuf::from(text)),
        _ => None,
    }
}

/// Names the files of a user by their whole path. A command is a file where it has a slash in it.
fn resolve(user: &mut Map, folder: &Path) {
    let whole = |text: &mut String| *text = folder.join(&*text).display().to_string();
    for (key, item) in user {
        match item {
            Item::Text(text) if FILES.contains(&key.as_str()) => whole(text),
            Item::Map(exec) if key == "exec" => {
                for (key, item) in exec {
                    match item {
                        Item::Text(text) if key == "command" && text.contains('/') => whole(text),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}
