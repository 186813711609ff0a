//! Our credentials, and what rustls says of theirs.
//!
//! [`Files`] turns PEM files into a `ClientConfig`, and reads them again when they change on disk, so that a rotated
//! certificate is picked up without a restart. The other side is verified by its IP address against the one authority
//! that the operator named, never against the system's. Every error names the file that it is about.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use defib_engine::observation::Failure;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};

use super::kept::{Holds, Source};
use super::remembered::Remembered;
use super::{Trouble, certificate};
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
    /// No block of PEM in it.
    #[error("{} is not PEM", .0.display())]
    NotPem(PathBuf),
    /// A block that is cut off or garbled.
    #[error("{} holds broken PEM", .file.display())]
    Broken {
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
    /// Our certificate's time has not come: it was made for later, or the clock of this machine is behind.
    #[error("the certificate in {} is valid from {} only; is this machine's clock right?", .file.display(), humantime::format_rfc3339_seconds(*.from))]
    NotYet {
        /// Which file.
        file: PathBuf,
        /// From when.
        from: SystemTime,
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

/// A client certificate, its key and the authority of the other side: from files that may change, or from memory.
pub struct Files {
    origin: Origin,
    made: Mutex<Option<Made>>,
}

impl Source for Files {
    fn read(&self) -> Result<Arc<ClientConfig>, Trouble> {
        self.client_config().map_err(Trouble::own_side)
    }

    fn holds(&self) -> Holds {
        Files::holds(self)
    }
}

enum Origin {
    Disk(Credential),
    /// The PEM texts in the order authority, certificate, key, and where they were written.
    Memory(PathBuf, [Vec<u8>; 3]),
}

struct Made {
    stamps: Option<Stamps>,
    config: Arc<ClientConfig>,
    validity: Option<(SystemTime, SystemTime)>,
    groups: Vec<String>,
}

/// Modification time and length of each file: when one differs, all are read again.
type Stamps = [(SystemTime, u64); 3];

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the key.
        f.debug_tuple("Files").field(&self.place(1)).finish()
    }
}

impl Files {
    /// A credential that lies in three PEM files. Nothing is opened yet.
    #[must_use]
    pub fn new(credential: &Credential) -> Files {
        Files { origin: Origin::Disk(credential.clone()), made: Mutex::default() }
    }

    /// A credential whose PEM texts were found in `origin`, which errors name.
    #[must_use]
    pub fn from_pem(origin: impl Into<PathBuf>, ca: Vec<u8>, certificate: Vec<u8>, key: Vec<u8>) -> Files {
        Files { origin: Origin::Memory(origin.into(), [ca, certificate, key]), made: Mutex::default() }
    }

    /// The configuration for one connection, without ALPN and without session resumption: what is seen is the
    /// certificate that is shown, not one that was remembered. Files are read again when one of them changed.
    ///
    /// # Errors
    /// [`TlsError`]: our own side's trouble, every time it is asked for until it is mended.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let stamps = self.stamps()?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.as_ref().is_none_or(|made| made.stamps != stamps) {
            *made = None;
            *made = Some(self.make(stamps)?);
        }
        let Some(made) = made.as_ref() else { return Err(TlsError::NotPem(self.place(1))) };
        match made.validity {
            Some((_, at)) if at < SystemTime::now() => Err(TlsError::Expired { file: self.place(1), at }),
            _ => Ok(Arc::clone(&made.config)),
        }
    }

    /// What the certificate that was read last says of itself.
    #[must_use]
    pub fn holds(&self) -> Holds {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.as_ref();
        Holds {
            not_after: made.and_then(|made| Some(made.validity?.1)),
            groups: made.map(|made| made.groups.clone()).unwrap_or_default(),
            endpoints: Vec::new(),
        }
    }

    fn validity(&self) -> Option<(SystemTime, SystemTime)> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.validity
    }

    /// The certificate that was read last is for later. Whoever asks with it is refused by servers, and not by us: a clock
    /// that is a little behind costs nothing.
    #[must_use]
    pub fn not_yet(&self) -> Option<TlsError> {
        let (from, _) = self.validity()?;
        (from > SystemTime::now()).then(|| TlsError::NotYet { file: self.place(1), from })
    }

    /// Everything that is wrong with the credential as it lies there now, each with its file; empty where it can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<TlsError> {
        let mut faults = Vec::new();
        for (part, what) in [(0, "certificate"), (1, "certificate"), (2, "private key")] {
            let found = match part {
                2 => self.blocks::<PrivateKeyDer<'static>>(part, what).map(drop),
                _ => self.blocks::<CertificateDer<'static>>(part, what).map(drop),
            };
            faults.extend(found.err());
        }
        if faults.is_empty() {
            faults.extend(self.client_config().err());
            faults.extend(self.not_yet());
        }
        faults
    }

    fn place(&self, part: usize) -> PathBuf {
        match &self.origin {
            Origin::Memory(file, _) => file.clone(),
            Origin::Disk(files) => [&files.ca, &files.certificate, &files.key][part].clone(),
        }
    }

    fn stamps(&self) -> Result<Option<Stamps>, TlsError> {
        if let Origin::Memory(..) = self.origin {
            return Ok(None);
        }
        let mut stamps = [(SystemTime::UNIX_EPOCH, 0); 3];
        for (part, stamp) in stamps.iter_mut().enumerate() {
            let file = self.place(part);
            let seen = std::fs::metadata(&file).and_then(|found| Ok((found.modified()?, found.len())));
            *stamp = seen.map_err(|source| TlsError::Read { file, source })?;
        }
        Ok(Some(stamps))
    }

    fn bytes(&self, part: usize) -> Result<Vec<u8>, TlsError> {
        if let Origin::Memory(_, texts) = &self.origin {
            return Ok(texts[part].clone());
        }
        let file = self.place(part);
        let mut bytes = Vec::new();
        let read = File::open(&file).and_then(|open| open.take(BYTES_MAX + 1).read_to_end(&mut bytes));
        match read {
            Err(source) => Err(TlsError::Read { file, source }),
            Ok(_) if bytes.len() as u64 > BYTES_MAX => Err(TlsError::TooLarge(file)),
            Ok(_) => Ok(bytes),
        }
    }

    fn make(&self, stamps: Option<Stamps>) -> Result<Made, TlsError> {
        let mut authorities = RootCertStore::empty();
        for authority in self.blocks::<CertificateDer<'static>>(0, "certificate")? {
            authorities.add(authority).map_err(|_| TlsError::BadCertificate(self.place(0)))?;
        }
        let chain = self.blocks::<CertificateDer<'static>>(1, "certificate")?;
        let key = self.blocks::<PrivateKeyDer<'static>>(2, "private key")?.swap_remove(0);
        let validity = chain.first().and_then(|leaf| certificate::validity(leaf));
        let groups = chain.first().map(|leaf| certificate::organizations(leaf)).unwrap_or_default();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider)).build();
        let verifier = verifier.map_err(|_| TlsError::BadCertificate(self.place(0)))?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Provider)?
            .dangerous()
            // rustls's own verifier, asked less often.
            .with_custom_certificate_verifier(Arc::new(Remembered::new(verifier)))
            .with_client_auth_cert(chain, key)
            .map_err(|source| TlsError::Pair { certificate: self.place(1), key: self.place(2), source })?;
        config.resumption = Resumption::disabled();
        Ok(Made { stamps, config: Arc::new(config), validity, groups })
    }

    /// Every block of one kind; at least one.
    fn blocks<T: PemObject>(&self, part: usize, what: &'static str) -> Result<Vec<T>, TlsError> {
        let text = self.bytes(part)?;
        let found: Result<Vec<T>, _> = T::pem_slice_iter(&text).collect();
        match found {
            Err(source) => Err(TlsError::Broken { file: self.place(part), source }),
            Ok(blocks) if !blocks.is_empty() => Ok(blocks),
            Ok(_) if text.windows(10).any(|window| window == b"-----BEGIN") => {
                Err(TlsError::Without { file: self.place(part), what })
            }
            Ok(_) => Err(TlsError::NotPem(self.place(part))),
        }
    }
}

/// What a failed handshake, or a broken session, says of the other side.
#[must_use]
pub fn classify(error: &rustls::Error) -> Failure {
    let text = match error {
        // Plain HTTP on the port, for one.
        rustls::Error::InvalidMessage(_) => return Failure::Garbage("not TLS".to_owned()),
        rustls::Error::InvalidCertificate(fault) => match fault {
            CertificateError::ExpiredContext { not_after, .. } => {
                let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(not_after.as_secs());
                format!("its certificate expired at {}", humantime::format_rfc3339_seconds(at))
            }
            CertificateError::Expired => "its certificate expired".to_owned(),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet".to_owned()
            }
            // An authority made anew under its old name signs with another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate comes from an unknown authority".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another address".to_owned()
            }
            other => format!("its certificate: {other}"),
        },
        rustls::Error::AlertReceived(alert) => format!("it refused: {alert:?}"),
        other => other.to_string(),
    };
    Failure::Tls(super::detail(&text))
}

/// The alerts by which a server says that it does not take our certificate.
const REFUSALS: [AlertDescription; 9] = [
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::CertificateRequired,
    AlertDescription::UnknownCA,
    AlertDescription::AccessDenied,
    // Our authority was made anew under its old name.
    AlertDescription::DecryptError,
];

/// The other side does not take our certificate: nothing is known of how it fares. With TLS 1.3 this comes with the first
/// answer, after a handshake that looked well.
#[must_use]
pub fn refuses_us(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::AlertReceived(alert) if REFUSALS.contains(alert))
}

/// The same, from the text of an error that was not kept itself.
pub(crate) fn refuses_us_in_words(text: &str) -> bool {
    REFUSALS.iter().any(|alert| rustls::Error::AlertReceived(*alert).to_string() == text)
}

/// The error of rustls behind an input or output error, if that is what it is.
#[must_use]
pub fn behind(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

#[cfg(test)]
mod tests;
