//! A server's certificate that was verified a moment ago is not verified again.
//!
//! A probe of the virtual address shakes hands anew every second, and a sixth of its work is the authority's signature
//! under a certificate that has not changed. Whether a chain is good depends on its bytes, the name, our authorities and
//! the time, and on nothing else, as there is no revocation here. So a chain that rustls accepted for a name counts for
//! [`SERVES`], never past the certificate's own end and never where the clock went back; what differs in a byte is judged
//! anew. The server's proof that it holds the key is demanded in every handshake all the same.
//!
//! A refusal is not remembered. Left out: judging, which is rustls's own verifier's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use ring::digest::{Context, SHA256};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::certificate::not_after;

/// A judgement counts so long.
const SERVES: Duration = Duration::from_secs(60);

/// So many chains are remembered: nine nodes and a virtual address that each of them may answer, with room to spare.
const CHAINS_MAX: usize = 64;

/// rustls's verifier, and what it accepted lately.
#[derive(Debug)]
pub(crate) struct Remembered {
    verifier: Arc<WebPkiServerVerifier>,
    accepted: Mutex<BTreeMap<[u8; 32], Serves>>,
}

/// From when and until when a judgement counts, in seconds since 1970; the end is excluded.
#[derive(Clone, Copy, Debug)]
struct Serves {
    from: u64,
    until: u64,
}

impl Remembered {
    /// Nothing is accepted yet.
    pub(crate) fn new(verifier: Arc<WebPkiServerVerifier>) -> Remembered {
        Remembered { verifier, accepted: Mutex::default() }
    }

    fn accepted(&self) -> std::sync::MutexGuard<'_, BTreeMap<[u8; 32], Serves>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerCertVerifier for Remembered {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = digest(leaf, intermediates, name);
        let now_s = now.as_secs();
        if self.accepted().get(&chain).is_some_and(|serves| (serves.from..serves.until).contains(&now_s)) {
            return Ok(ServerCertVerified::assertion());
        }
        let verified = self.verifier.verify_server_cert(leaf, intermediates, name, ocsp, now)?;
        let end_s = not_after(leaf).and_then(|end| end.duration_since(UNIX_EPOCH).ok()).map_or(0, |end| end.as_secs());
        let mut accepted = self.accepted();
        if accepted.len() >= CHAINS_MAX {
            accepted.clear();
        }
        accepted.insert(chain, Serves { from: now_s, until: end_s.min(now_s.saturating_add(SERVES.as_secs())) });
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Everything that the judgement rests on, beside the authorities and the time; each part with its length before it.
fn digest(leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>], name: &ServerName<'_>) -> [u8; 32] {
    let mut sum = Context::new(&SHA256);
    let name = name.to_str();
    let parts = std::iter::once(name.as_bytes()).chain(std::iter::once(leaf.as_ref()));
    for part in parts.chain(intermediates.iter().map(AsRef::as_ref)) {
        sum.update(&(part.len() as u64).to_be_bytes());
        sum.update(part);
    }
    let mut whole = [0; 32];
    whole.copy_from_slice(sum.finish().as_ref());
    whole
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use rustls::RootCertStore;
    use rustls::pki_types::pem::PemObject;

    use super::*;
    use crate::client::testing::{Authority, LOOPBACK};

    fn remembered(authority: &Authority) -> Remembered {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        Remembered::new(verifier)
    }

    fn leaf(authority: &Authority, until_year: i32) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(authority.issue(LOOPBACK, until_year).0.as_bytes()).unwrap()
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    /// 2026-01-01T00:00:00Z.
    const NOW: u64 = 1_767_225_600;

    fn judged(
        remembered: &Remembered,
        leaf: &CertificateDer<'_>,
        beside: &[CertificateDer<'_>],
        address: IpAddr,
        now: u64,
    ) -> bool {
        remembered.verify_server_cert(leaf, beside, &ServerName::from(address), &[], at(now)).is_ok()
    }

    #[test]
    fn what_was_accepted_counts_for_its_bytes_its_name_and_a_minute() {
        let authority = Authority::new();
        let (one, other) = (leaf(&authority, 2100), leaf(&authority, 2100));
        let remembered = remembered(&authority);
        assert!(judged(&remembered, &one, &[], LOOPBACK, NOW));
        let times = |remembered: &Remembered| -> Vec<u64> {
            remembered.accepted().values().map(|serves| serves.from).collect()
        };
        assert!(judged(&remembered, &one, &[], LOOPBACK, NOW + SERVES.as_secs() - 1));
        assert_eq!(times(&remembered), [NOW], "not judged again");
        assert!(judged(&remembered, &one, &[], LOOPBACK, NOW + SERVES.as_secs()));
        assert_eq!(times(&remembered), [NOW + SERVES.as_secs()], "judged again after a minute");
        assert!(judged(&remembered, &one, &[], LOOPBACK, NOW));
        assert_eq!(times(&remembered), [NOW], "and when the clock went back");

        assert!(!judged(&remembered, &one, &[], [127, 0, 0, 9].into(), NOW), "another name");
        let mut flipped = one.to_vec();
        if let Some(last) = flipped.last_mut() {
            *last ^= 1;
        }
        assert!(!judged(&remembered, &flipped.into(), &[], LOOPBACK, NOW), "another signature");
        assert_eq!(times(&remembered).len(), 1, "a refusal is not remembered");
        assert!(judged(&remembered, &one, std::slice::from_ref(&other), LOOPBACK, NOW));
        assert_eq!(times(&remembered).len(), 2, "what stands beside it counts");
        assert!(!judged(&remembered, &leaf(&Authority::new(), 2100), &[], LOOPBACK, NOW), "another authority");
    }

    #[test]
    fn nothing_counts_past_its_own_end() {
        let authority = Authority::new();
        let ends = leaf(&authority, 2026);
        let end = not_after(&ends).unwrap().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let remembered = remembered(&authority);
        assert!(judged(&remembered, &ends, &[], LOOPBACK, end - 10));
        assert!(!judged(&remembered, &ends, &[], LOOPBACK, end + 1));
        assert!(!judged(&remembered, &ends, &[], LOOPBACK, end + 10));
    }

    #[test]
    fn no_more_than_so_many_are_remembered() {
        let authority = Authority::new();
        let (one, remembered) = (leaf(&authority, 2100), remembered(&authority));
        for beside in 0..=CHAINS_MAX {
            let beside = CertificateDer::from(vec![u8::try_from(beside).unwrap(); 3]);
            assert!(judged(&remembered, &one, std::slice::from_ref(&beside), LOOPBACK, NOW));
            assert!(remembered.accepted().len() <= CHAINS_MAX);
        }
    }
}
