//! What is wrong with the files that the configuration names, told before anything begins: every fault at once.
//!
//! A file that cannot be used is a mistake of the configuration. A certificate whose time is over, or has not come, is none:
//! the rest is still watched with what there is, and so it is only told.

use std::path::Path;

use super::error_line;
use crate::client::talos::{Credential, CredentialError};
use crate::client::tls::{Files, TlsError};
use crate::config::Config;

/// Tells every fault; says how many of them are mistakes.
pub(super) fn tell(config: &Config) -> usize {
    let mut mistakes = 0;
    for cluster in &config.clusters {
        for (what, credential) in [("kubernetes", &cluster.kubernetes), ("etcd", &cluster.etcd)] {
            for fault in credential.iter().flat_map(|credential| Files::new(credential).faults()) {
                mistakes +=
                    line(config, &cluster.name, what, &fault, &file_of(&fault, credential.as_ref()), over(&fault));
            }
        }
        let Some(talos) = &cluster.talos else { continue };
        let credential = Credential::new(talos);
        let fault = credential.client_config().err();
        if let Some(fault) = fault.or_else(|| credential.not_yet().map(CredentialError::Tls)) {
            let over = matches!(&fault, CredentialError::Tls(fault) if over(fault));
            mistakes += line(config, &cluster.name, "talos", &fault, &talos.talosconfig, over);
        }
    }
    mistakes
}

/// Its time is over, or has not come: no mistake in a file.
fn over(fault: &TlsError) -> bool {
    matches!(fault, TlsError::Expired { .. } | TlsError::NotYet { .. })
}

fn file_of(fault: &TlsError, credential: Option<&crate::config::Credential>) -> std::path::PathBuf {
    match fault {
        TlsError::Read { file, .. }
        | TlsError::TooLarge(file)
        | TlsError::NotPem(file)
        | TlsError::Broken { file, .. }
        | TlsError::Without { file, .. }
        | TlsError::BadCertificate(file)
        | TlsError::Expired { file, .. }
        | TlsError::NotYet { file, .. } => file.clone(),
        TlsError::Pair { key, .. } => key.clone(),
        TlsError::Provider(_) => credential.map(|credential| credential.certificate.clone()).unwrap_or_default(),
    }
}

/// One fault with its place in the configuration; counts as a mistake or not.
fn line(config: &Config, cluster: &str, what: &str, fault: &dyn std::error::Error, file: &Path, over: bool) -> usize {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    let place = place(config, file).unwrap_or_else(|| config.file.display().to_string());
    let word = if over { "warning: " } else { "" };
    error_line(&format!("{place}: {word}{what} of {cluster}: {text}"));
    usize::from(!over)
}

/// Where the configuration names this file: `defib.yaml:12:25`.
fn place(config: &Config, file: &Path) -> Option<String> {
    let source = std::fs::read_to_string(&config.file).ok()?;
    let folder = config.file.parent().unwrap_or(Path::new(""));
    let written = file.strip_prefix(folder).unwrap_or(file).to_str()?;
    let found = source.lines().enumerate().find_map(|(index, line)| {
        let code = line.split(" #").next().unwrap_or_default();
        let at = code.match_indices(written).find(|(at, _)| {
            let edge = |letter: Option<char>| letter.is_none_or(|letter| " \t\"',{}[]:".contains(letter));
            edge(code[..*at].chars().next_back()) && edge(code[at + written.len()..].chars().next())
        })?;
        Some((index + 1, code[..at.0].chars().count() + 1, line.to_owned()))
    });
    let (line, column, _) = found?;
    Some(format!("{}:{line}:{column}", config.file.display()))
}
