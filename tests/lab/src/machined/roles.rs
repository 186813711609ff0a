//! Who may call what: roles from the Organization of the caller's certificate, as Talos has them.
//!
//! The certificate has been verified by TLS before it is looked at here; what is read is its subject, by the few rules of
//! DER that this takes. Left out: roles for impersonation, and forwarding to other nodes.

/// May read and change services.
const OPERATOR: &str = "os:operator";
/// May do everything.
const ADMIN: &str = "os:admin";
/// May read.
const READER: &str = "os:reader";

/// The calls that change something; every other call of the lab's only reads.
const MUTATING: [&str; 6] = ["ServiceStart", "ServiceStop", "ServiceRestart", "Restart", "Reboot", "Reset"];
/// Those that take a role which may do everything.
const ADMINS: [&str; 1] = ["Reset"];

/// Whether a call changes something.
pub(super) fn is_mutating(rpc: &str) -> bool {
    MUTATING.contains(&rpc)
}

/// Whether a caller with these roles may make this call.
pub(super) fn may(roles: &[String], rpc: &str) -> bool {
    let enough: &[&str] = match rpc {
        _ if ADMINS.contains(&rpc) => &[ADMIN],
        _ if is_mutating(rpc) => &[OPERATOR, ADMIN],
        _ => &[READER, OPERATOR, ADMIN],
    };
    roles.iter().any(|role| enough.contains(&role.as_str()))
}

/// The Organizations in the subject of a certificate in DER; none where it is not understood.
pub(super) fn organizations(certificate: &[u8]) -> Vec<String> {
    subject(certificate).map(names_in).unwrap_or_default()
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const OBJECT: u8 = 0x06;
/// The attribute `organizationName`, 2.5.4.10.
const ORGANIZATION: [u8; 3] = [0x55, 0x04, 0x0a];

/// `Certificate { tbs { [version], serial, algorithm, issuer, validity, subject, … }, … }`
fn subject(certificate: &[u8]) -> Option<&[u8]> {
    let (_, certificate, _) = element(certificate)?;
    let (kind, mut rest, _) = element(certificate)?;
    if kind != SEQUENCE {
        return None;
    }
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    for _ in ["serial", "algorithm", "issuer", "validity"] {
        rest = element(rest)?.2;
    }
    element(rest).map(|(_, subject, _)| subject)
}

/// A name is a sequence of sets of pairs (which attribute, what text).
fn names_in(mut name: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((_, mut set, next)) = element(name) {
        name = next;
        while let Some((_, pair, next)) = element(set) {
            set = next;
            let Some((OBJECT, attribute, text)) = element(pair) else { continue };
            if attribute == ORGANIZATION {
                found.extend(element(text).and_then(|(_, text, _)| String::from_utf8(text.to_vec()).ok()));
            }
        }
    }
    found
}

/// The kind and content of the first element, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // More than four bytes of length is no certificate of ours.
        let count = usize::from(first & 0x7f);
        let digits = rest.get(..count).filter(|_| (1..=4).contains(&count))?;
        (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest.get(count..)?)
    };
    Some((kind, rest.get(..length)?, rest.get(length..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(organizations: &[&str]) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::default();
        for organization in organizations {
            params.distinguished_name.push(rcgen::DnType::OrganizationName, *organization);
        }
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_organization_is_the_role() {
        assert_eq!(organizations(&certificate(&["os:operator"])), ["os:operator"]);
        assert_eq!(organizations(&certificate(&[])), [""; 0]);
        assert_eq!(organizations(b"not a certificate"), [""; 0]);
    }

    #[test]
    fn who_may_what() {
        let roles = |text: &str| vec![text.to_owned()];
        let table = [
            ("os:reader", "Version", true),
            ("os:reader", "Logs", true),
            ("os:reader", "ServiceRestart", false),
            ("os:reader", "Reboot", false),
            ("os:operator", "Reboot", true),
            ("os:admin", "Reboot", true),
            ("os:operator", "Reset", false),
            ("os:admin", "Reset", true),
            ("os:operator", "ServiceRestart", true),
            ("os:operator", "ServiceStop", true),
            ("os:admin", "ServiceStart", true),
            ("os:etcd:backup", "Version", false),
        ];
        for (role, rpc, expected) in table {
            assert_eq!(may(&roles(role), rpc), expected, "{role} {rpc}");
        }
        assert!(!may(&[], "Version"));
    }
}
