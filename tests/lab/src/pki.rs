//! The lab's certificates, made anew at each start: three authorities, as on Talos, and everybody who is somebody.
//!
//! Promised: each program gets only what its own part needs, and a key file is readable by root alone. Keys are P-256.
//! Left out: renewal; certificates end after ten days, which is longer than a lab lives.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::layout::{Layout, Node, SERVICE, VIP};

/// How long a certificate is good for.
const LIFETIME: Duration = Duration::from_secs(10 * 24 * 3600);
/// A certificate is good from this long before its making, for clocks that differ.
const GRACE: Duration = Duration::from_secs(3600);

/// Why a certificate is not there.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// It could not be made.
    #[error("cannot make certificate {name}")]
    Make {
        /// Its name.
        name: String,
        /// The reason.
        source: rcgen::Error,
    },
    /// It could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Makes every certificate and key of the lab in [`Layout::pki`], which must be there.
pub(crate) fn make(layout: &Layout) -> Result<(), PkiError> {
    let pki = Pki { layout };
    let kubernetes = pki.authority("kubernetes-ca")?;
    let etcd = pki.authority("etcd-ca")?;
    let talos = pki.authority("talos-ca")?;
    for node in Node::ALL {
        let own = [node.address().into(), IpAddr::from([127, 0, 0, 1])];
        let mut names = Names { addresses: own.to_vec(), hosts: vec![node.name(), "localhost"] };
        pki.issue(&etcd, &format!("etcd-{node}"), Holder::both(node.name(), &names))?;
        pki.issue(&talos, &format!("machined-{node}"), Holder::server(node.name(), &names))?;
        names.addresses.extend([IpAddr::from(VIP), IpAddr::from(SERVICE)]);
        let services =
            ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];
        names.hosts.extend(services);
        pki.issue(&kubernetes, &format!("apiserver-{node}"), Holder::server("kube-apiserver", &names))?;
        let kubelet = format!("system:node:{node}");
        pki.issue(&kubernetes, &format!("kubelet-{node}"), Holder::client(&kubelet, Some("system:nodes")))?;
    }
    let clients = [
        (&etcd, "apiserver-etcd", "kube-apiserver-etcd-client", None),
        (&etcd, "machined-etcd", "machined", None),
        (&etcd, "defib-etcd", "defib", None),
        (&kubernetes, "admin", "lab-admin", Some("system:masters")),
        (&kubernetes, "vip", "vip-agent", Some("system:masters")),
        (&kubernetes, "controller-manager", "system:kube-controller-manager", None),
        // Kubernetes' own roles let this group read the health endpoints and the metrics, and nothing else.
        (&kubernetes, "defib-kubernetes", "defib", Some("system:monitoring")),
        (&talos, "talos-operator", "defib", Some("os:operator")),
        (&talos, "talos-reader", "reader", Some("os:reader")),
        (&talos, "talos-admin", "admin", Some("os:admin")),
    ];
    for (authority, name, holder, organization) in clients {
        pki.issue(authority, name, Holder::client(holder, organization))?;
    }
    let signer = pki.key("service-account")?;
    pki.write(layout.pki().join("service-account.pub"), &signer.public_key_pem())
}

struct Pki<'a> {
    layout: &'a Layout,
}

#[derive(Default)]
struct Names {
    addresses: Vec<IpAddr>,
    hosts: Vec<&'static str>,
}

/// Who a certificate is for.
struct Holder<'a> {
    common_name: &'a str,
    organization: Option<&'a str>,
    names: Option<&'a Names>,
    uses: Vec<ExtendedKeyUsagePurpose>,
}

impl<'a> Holder<'a> {
    fn client(common_name: &'a str, organization: Option<&'a str>) -> Self {
        Self { common_name, organization, names: None, uses: vec![ExtendedKeyUsagePurpose::ClientAuth] }
    }

    fn server(common_name: &'a str, names: &'a Names) -> Self {
        let uses = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Self { common_name, organization: None, names: Some(names), uses }
    }

    /// An etcd member is its peers' server and their client.
    fn both(common_name: &'a str, names: &'a Names) -> Self {
        let uses = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        Self { common_name, organization: None, names: Some(names), uses }
    }
}

impl Pki<'_> {
    fn authority(&self, name: &str) -> Result<Issuer<'static, KeyPair>, PkiError> {
        let failed = |source| PkiError::Make { name: name.to_owned(), source };
        let key = self.key(name)?;
        let mut params = dated(CertificateParams::default());
        params.distinguished_name = distinguished(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(failed)?;
        self.write(self.layout.certificate(name), &certificate.pem())?;
        Ok(Issuer::new(params, key))
    }

    fn issue(&self, authority: &Issuer<'_, KeyPair>, name: &str, holder: Holder<'_>) -> Result<(), PkiError> {
        let failed = |source| PkiError::Make { name: name.to_owned(), source };
        let key = self.key(name)?;
        let mut params = dated(CertificateParams::default());
        params.distinguished_name = distinguished(holder.common_name, holder.organization);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = holder.uses;
        params.use_authority_key_identifier_extension = true;
        if let Some(names) = holder.names {
            let addresses = names.addresses.iter().copied().map(SanType::IpAddress);
            let hosts = names.hosts.iter().map(|host| Ok(SanType::DnsName((*host).try_into()?)));
            let hosts: Vec<SanType> = hosts.collect::<Result<_, rcgen::Error>>().map_err(failed)?;
            params.subject_alt_names = addresses.chain(hosts).collect();
        }
        let certificate = params.signed_by(&key, authority).map_err(failed)?;
        self.write(self.layout.certificate(name), &certificate.pem())
    }

    fn key(&self, name: &str) -> Result<KeyPair, PkiError> {
        let key = KeyPair::generate().map_err(|source| PkiError::Make { name: name.to_owned(), source })?;
        self.write(self.layout.key(name), &key.serialize_pem())?;
        Ok(key)
    }

    fn write(&self, path: PathBuf, text: &str) -> Result<(), PkiError> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(0o600);
        let written = options.open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|source| PkiError::Write { path, source })
    }
}

fn dated(mut params: CertificateParams) -> CertificateParams {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let at = |when: Duration| rcgen::date_time_ymd(1970, 1, 1) + when;
    params.not_before = at(since_1970.saturating_sub(GRACE));
    params.not_after = at(since_1970 + LIFETIME);
    params
}

fn distinguished(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    name
}

/// Base64 in the standard alphabet, padded: a talosconfig carries its PEM texts so.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place) & 63) as usize;
            text.push(if place > group.len() { '=' } else { char::from(ALPHABET[index]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_as_everybody_does() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
