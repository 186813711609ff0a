//! Our credentials, and what rustls says of theirs.
//!
//! [`Files`] turns PEM files into a `ClientConfig`, and reads them again when they change on disk, so that a rotated
//! certificate is picked up without a restart. The other side is verified by its IP address against the one authority
//! that the operator named, never against the system's. Every error names the file that it is about.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use defib_engine::observation::Failure;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};

use super::certificate;
use crate::config::Credential;

/// A PEM file may be so large.
const BYTES_MAX: u64 = 1024 * 1024;

/// Why there is no usable credential. Always our own side's matter.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file is missing, or may not be read.
    #[error("cannot read {}", .file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// More bytes than any such file has.
    #[error("{} is larger than {} KiB", .0.display(), BYTES_MAX / 1024)]
    TooLarge(PathBuf),
    /// Not PEM, or a broken block in it.
    #[error("{} is not PEM", .file.display())]
    NotPem {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// PEM without what is needed.
    #[error("{} holds no {what}", .file.display())]
    Without {
        /// Which file.
        file: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// A block that says certificate and holds none.
    #[error("{} holds a certificate that cannot be understood", .0.display())]
    BadCertificate(PathBuf),
    /// Our certificate's time is over.
    #[error("the certificate in {} expired at {}", .file.display(), humantime::format_rfc3339_seconds(*.at))]
    Expired {
        /// Which file.
        file: PathBuf,
        /// Since when.
        at: SystemTime,
    },
    /// Certificate and key are not a pair, or the key is of a kind that ring does not know.
    #[error("the key in {} does not serve the certificate in {}", .key.display(), .certificate.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// ring does not offer what rustls asks for; cannot happen with the features that we build with.
    #[error("no usable cryptography")]
    Provider(#[source] rustls::Error),
}
