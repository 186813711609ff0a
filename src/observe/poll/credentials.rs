//! Our own certificates for one cluster: until when they are valid, and why one cannot be used.

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
}

/// Has all of them read at once; a disk that does not answer is a problem of the credential's, and no failure.
pub async fn poll(own: &Own, _: ProbeKind, deadline: Duration) -> Seen {
    let until = Instant::now() + deadline;
    let look = async |what: &str, kept: &Option<Arc<Kept>>| match kept {
        Some(kept) => Some(credential(what, kept.look(until).await)),
        None => None,
    };
    let (kubernetes, etcd, talos) =
        tokio::join!(look("kubernetes", &own.kubernetes), look("etcd", &own.etcd), look("talos", &own.talos));
    Seen::Healthy(Facts::Credentials([kubernetes, etcd, talos].into_iter().flatten().collect()))
}

fn credential(what: &str, look: Look) -> Credential {
    let since = look.not_after.and_then(|until| until.duration_since(UNIX_EPOCH).ok());
    let not_after = since.and_then(|since| i64::try_from(since.as_millis()).ok()).map(UnixMs);
    Credential { what: what.to_owned(), not_after, problem: look.problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::testing::Authority;
    use crate::client::tls::Files;

    #[tokio::test]
    async fn the_good_and_the_missing_are_told_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        let good = Authority::new().credential(folder.path());
        let mut missing = good.clone();
        missing.key = folder.path().join("absent.key");
        let kept = |credential| Some(Arc::new(Kept::new(Files::new(credential))));
        let own = Own { kubernetes: kept(&good), etcd: None, talos: kept(&missing) };
        let Seen::Healthy(Facts::Credentials(found)) =
            poll(&own, ProbeKind::Credentials, Duration::from_secs(10)).await
        else {
            unreachable!("it never fails")
        };
        assert_eq!(found.len(), 2);
        // 2100-12-31T00:00:00Z.
        let expected =
            Credential { what: "kubernetes".to_owned(), not_after: Some(UnixMs(4_133_894_400_000)), problem: None };
        assert_eq!(found[0], expected);
        assert_eq!((found[1].what.as_str(), found[1].not_after), ("talos", None));
        assert!(found[1].problem.as_ref().unwrap().contains("absent.key"), "{found:?}");
    }
}
