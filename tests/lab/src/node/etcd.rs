//! The etcd member of a node: TLS for clients and peers, metrics over plain HTTP beside it.

use crate::join;
use crate::layout::{ETCD_PORT, ETCD_QUOTA_BYTES, Layout, Node};

/// Where its peers reach it.
pub(crate) fn peer(node: Node) -> String {
    format!("https://{}:2380", node.address())
}

/// Its command line, the program first.
pub(crate) fn command(layout: &Layout, node: Node) -> Vec<String> {
    let address = node.address();
    let members: Vec<String> = Node::ALL.iter().map(|node| format!("{node}={}", peer(*node))).collect();
    let authority = layout.certificate("etcd-ca");
    let certificate = layout.certificate(&format!("etcd-{node}"));
    let key = layout.key(&format!("etcd-{node}"));
    let mut line = vec![layout.program("etcd").display().to_string()];
    let mut option = |name: &str, value: String| line.push(format!("--{name}={value}"));
    option("name", node.to_string());
    option("data-dir", layout.node(node).join("etcd").display().to_string());
    option("initial-cluster", members.join(","));
    if join::is_due(layout, node) {
        option("initial-cluster-state", "existing".to_owned());
    }
    option("listen-client-urls", format!("https://{address}:{ETCD_PORT},https://127.0.0.1:{ETCD_PORT}"));
    option("advertise-client-urls", format!("https://{address}:{ETCD_PORT}"));
    option("listen-peer-urls", peer(node));
    option("initial-advertise-peer-urls", peer(node));
    option("listen-metrics-urls", format!("http://{address}:2381"));
    option("quota-backend-bytes", ETCD_QUOTA_BYTES.to_string());
    option("client-cert-auth", "true".to_owned());
    option("peer-client-cert-auth", "true".to_owned());
    for prefix in ["", "peer-"] {
        option(&format!("{prefix}trusted-ca-file"), authority.display().to_string());
        option(&format!("{prefix}cert-file"), certificate.display().to_string());
        option(&format!("{prefix}key-file"), key.display().to_string());
    }
    line
}
