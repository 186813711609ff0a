//! The Lease `plndr-cp-lock`, read and written through one API server.
//!
//! A write carries the resourceVersion that was read, so that of two who write one loses (409). Everything that the lab
//! does not know in the object (labels, annotations) is given back as it was read. Left out: watches, patches.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::lease::Record;
use crate::https::{Answer, HttpsClient, HttpsError};

const NAME: &str = "plndr-cp-lock";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
/// For one request; half of the renew deadline, as Kubernetes' own leader election has it.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// Why the Lease could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeaseError {
    #[error("cannot ask for lease {NAME}")]
    Asking(#[from] HttpsError),
    #[error("lease {NAME}: answer {0}")]
    Status(u16),
    #[error("lease {NAME} is not understood")]
    Body(#[from] serde_json::Error),
}

/// The Lease as read: its rules, and the metadata that goes back with a write.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Lease {
    metadata: Map<String, Value>,
    #[serde(default)]
    pub(super) spec: Record,
}

/// Whether a write won.
pub(super) enum Stored {
    Yes,
    /// It did not, and nothing is broken: lost against another (409), or no `kube-system` yet (404).
    No(String),
}

/// The Lease, by way of one API server.
pub(super) struct LeaseApi {
    pub(super) client: HttpsClient,
    pub(super) server: SocketAddr,
}

impl LeaseApi {
    /// The Lease; `None` when there is none.
    pub(super) async fn read(&self) -> Result<Option<Lease>, LeaseError> {
        let answer = self.ask(Method::GET, &format!("{LEASES}/{NAME}"), Vec::new()).await?;
        match answer.status {
            200 => Ok(Some(serde_json::from_slice(&answer.body)?)),
            404 => Ok(None),
            status => Err(LeaseError::Status(status)),
        }
    }

    /// Creates the Lease, or replaces `found` by it unless somebody was faster.
    pub(super) async fn write(&self, found: Option<&Lease>, record: &Record) -> Result<Stored, LeaseError> {
        let metadata = found.map_or_else(|| json!({ "name": NAME }), |lease| json!(lease.metadata));
        let object = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": record,
        });
        let (method, path) = match found {
            Some(_) => (Method::PUT, format!("{LEASES}/{NAME}")),
            None => (Method::POST, LEASES.to_owned()),
        };
        match self.ask(method, &path, serde_json::to_vec(&object)?).await?.status {
            200 | 201 => Ok(Stored::Yes),
            409 => Ok(Stored::No("lost the lease to a faster one".to_owned())),
            404 => Ok(Stored::No("there is no kube-system yet".to_owned())),
            status => Err(LeaseError::Status(status)),
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Answer, HttpsError> {
        self.client.ask(self.server, (method, path, body), REQUEST_DEADLINE).await
    }
}
