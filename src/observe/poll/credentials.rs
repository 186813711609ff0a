//! Our own certificates for one cluster: until when they are valid, for which roles, and why one cannot be used.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use defib_engine::observation::{Credential, Facts, ProbeKind, Seen};
use defib_engine::time::UnixMs;
use tokio::time::Instant;

use crate::client::kept::{Kept, Look};

/// The credentials that are configured for a cluster.
#[derive(Debug, Default)]
pub struct Own {
    /// For its API servers.
    pub kubernetes: Option<Arc<Kept>>,
    /// For its etcd.
    pub etcd: Option<Arc<Kept>>,
    /// For its machines.
    pub talos: Option<Arc<Kept>>,
    /// The cluster's virtual address, which no credential's file should name.
    pub vip: Option<IpAddr>,
}

/// Has all of them read at once; a disk that does not answer is a problem of the credential's, and no failure.
pub async fn poll(own: &Own, _: ProbeKind, deadline: Duration) -> Seen {
    let until = Instant::now() + deadline;
    let look = async |what: &str, kept: &Option<Arc<Kept>>| match kept {
        Some(kept) => Some(credential(what, kept.look(until).await, own.vip)),
        None => None,
    };
    let (kubernetes, etcd, talos) =
        tokio::join!(look("kubernetes", &own.kubernetes), look("etcd", &own.etcd), look("talos", &own.talos));
    Seen::Healthy(Facts::Credentials([kubernetes, etcd, talos].into_iter().flatten().collect()))
}

fn credential(what: &str, look: Look, vip: Option<IpAddr>) -> Credential {
    let since = look.holds.not_after.and_then(|until| until.duration_since(UNIX_EPOCH).ok());
    let not_after = since.and_then(|since| i64::try_from(since.as_millis()).ok()).map(UnixMs);
    let names_vip = look.holds.endpoints.iter().any(|endpoint| vip.is_some() && address(endpoint) == vip);
    Credential { what: what.to_owned(), not_after, problem: look.problem, groups: look.holds.groups, names_vip }
}

/// An endpoint's address, written with a port or without one; none where it is a name.
fn address(endpoint: &str) -> Option<IpAddr> {
    let plain = endpoint.trim_start_matches('[').trim_end_matches(']');
    plain.parse().ok().or_else(|| endpoint.parse().ok().map(|socket: SocketAddr| socket.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::kept::Holds;
    use crate::client::testing::Authority;
    use crate::client::tls::Files;

    #[test]
    fn an_endpoint_is_the_virtual_address_however_it_is_written() {
        let names = |endpoints: &[&str], vip: Option<&str>| {
            let endpoints = endpoints.iter().map(|endpoint| (*endpoint).to_owned()).collect();
            let look = Look { holds: Holds { endpoints, ..Holds::default() }, problem: None };
            credential("talos", look, vip.map(|vip| vip.parse().unwrap())).names_vip
        };
        let vip = Some("192.0.2.100");
        assert!(names(&["192.0.2.1", "192.0.2.100"], vip) && names(&["192.0.2.100:50000"], vip));
        assert!(names(&["2001:db8::5"], Some("2001:db8::5")) && names(&["[2001:db8::5]:50000"], Some("2001:db8::5")));
        assert!(!names(&["192.0.2.1"], vip) && !names(&["cp1.example.org"], vip) && !names(&["cp1"], None));
    }

    #[tokio::test]
    async fn the_good_and_the_missing_are_told_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        let good = Authority::new().credential(folder.path());
        let mut missing = good.clone();
        missing.key = folder.path().join("absent.key");
        let kept = |credential| Some(Arc::new(Kept::new(Files::new(credential))));
        let own = Own { kubernetes: kept(&good), etcd: None, talos: kept(&missing), vip: None };
        let Seen::Healthy(Facts::Credentials(found)) =
            poll(&own, ProbeKind::Credentials, Duration::from_secs(10)).await
        else {
            unreachable!("it never fails")
        };
        assert_eq!(found.len(), 2);
        // 2100-12-31T00:00:00Z.
        let expected = Credential {
            what: "kubernetes".to_owned(),
            not_after: Some(UnixMs(4_133_894_400_000)),
            ..Credential::default()
        };
        assert_eq!(found[0], expected);
        assert_eq!((found[1].what.as_str(), found[1].not_after), ("talos", None));
        assert!(found[1].problem.as_ref().unwrap().contains("absent.key"), "{found:?}");
    }
}
