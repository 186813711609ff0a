//! The Talos client against the lab's machineds, which stand in front of real parts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use defib::client::Trouble;
use defib::client::kept::Kept;
use defib::client::talos::{ActError, Credential, Talos};
use defib::config;
use defib_engine::observation::{Failure, Why};
use defib_lab::Node;
use defib_lab::layout::TALOS_PORT;

use crate::support::Stage;

pub(crate) const WITHIN: Duration = Duration::from_secs(10);

pub(crate) fn soon() -> tokio::time::Instant {
    tokio::time::Instant::now() + WITHIN
}

pub(crate) fn talos(stage: &Stage, node: Node, context: &str) -> Talos {
    let source = config::Talos { talosconfig: stage.lab.layout().talosconfig(), context: Some(context.to_owned()) };
    Talos::new(Arc::new(Kept::new(Credential::new(&source))), SocketAddr::from((node.address(), TALOS_PORT)))
}

pub(crate) fn reads(stage: &Stage) {
    stage.in_ops(async || {
        let talos = talos(stage, Node::Cp1, "reader");
        let services = talos.services(WITHIN).await.unwrap();
        assert!(services.version.starts_with('v'), "{services:?}");
        for id in ["etcd", "kubelet", "containerd"] {
            assert!(services.service(id).is_some_and(|service| service.is_running()), "{id}: {services:?}");
        }
        let containers = talos.containers(WITHIN).await.unwrap();
        let apiserver = containers.iter().find(|one| one.name == "kube-apiserver" && one.running).unwrap();
        assert_eq!(apiserver.pod, "kube-system/kube-apiserver-cp1");
        assert!(!apiserver.pod_uid.is_empty() && apiserver.id.len() == 64, "{apiserver:?}");
        let etcd = talos.etcd_status(WITHIN).await.unwrap();
        assert!(etcd.leader != 0 && etcd.member_id != 0 && etcd.index >= etcd.applied_index, "{etcd:?}");
    });
}

pub(crate) fn reader_may_not_restart(stage: &Stage) {
    let before = stage.changes();
    stage.in_ops(async || {
        let error = talos(stage, Node::Cp1, "reader").restart_service("kubelet", soon(), WITHIN).await.unwrap_err();
        assert!(matches!(&error, ActError::Refused(Trouble::Unknown(Why::Unauthorized(_)))), "{error:?}");
    });
    let calls = stage.lab.call_log(Node::Cp1).unwrap();
    let denied = calls.iter().rfind(|call| call.rpc == "ServiceRestart").unwrap();
    assert!(denied.answer.contains("not authorized") && denied.role == "os:reader", "{denied:?}");
    assert!(stage.changes() <= before + 1);
}

pub(crate) fn etcd_is_not_restarted(stage: &Stage) {
    stage.in_ops(async || {
        let error = talos(stage, Node::Cp1, "lab").restart_service("etcd", soon(), WITHIN).await.unwrap_err();
        // Talos says it with the code Unknown, which could as well be a restart that failed half-way: not proof enough.
        let ActError::Unanswered(Trouble::Failed(Failure::Status { detail, .. })) = &error else {
            panic!("{error:?}");
        };
        assert!(detail.contains(r#"service "etcd" doesn't support restart operation via API"#), "{detail}");
    });
}

pub(crate) fn stranger(stage: &Stage) {
    let before = stage.lab.call_log(Node::Cp1).unwrap().len();
    // A client certificate of another authority: Kubernetes' own, which Talos does not know.
    let layout = stage.lab.layout();
    let pem = |path: std::path::PathBuf| std::fs::read(path).unwrap();
    let encode = |bytes: Vec<u8>| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(bytes)
    };
    let text = format!(
        "context: lab\ncontexts:\n  lab:\n    endpoints: [192.0.2.1]\n    ca: {}\n    crt: {}\n    key: {}\n",
        encode(pem(layout.certificate("talos-ca"))),
        encode(pem(layout.certificate("defib-kubernetes"))),
        encode(pem(layout.key("defib-kubernetes"))),
    );
    let file = layout.run().join("e2e-stranger-talosconfig");
    std::fs::write(&file, text).unwrap();
    stage.in_ops(async || {
        let source = config::Talos { talosconfig: file, context: None };
        let address = SocketAddr::from((Node::Cp1.address(), TALOS_PORT));
        let error =
            Talos::new(Arc::new(Kept::new(Credential::new(&source))), address).services(WITHIN).await.unwrap_err();
        // The alert may be overtaken by the reset of the connection that it ends.
        let refused = matches!(
            &error,
            Trouble::Unknown(Why::Unauthorized(_)) | Trouble::Failed(Failure::Tls(_) | Failure::Reset)
        );
        assert!(refused, "{error:?}");
    });
    assert_eq!(stage.lab.call_log(Node::Cp1).unwrap().len(), before, "no call came through");
}

pub(crate) fn kubelet_log(stage: &Stage) {
    stage.in_ops(async || {
        let talos = talos(stage, Node::Cp1, "reader");
        let log = talos.kubelet_log(5, WITHIN).await.unwrap();
        assert!((1..=5).contains(&log.lines().count()), "{log}");
        let longer = talos.kubelet_log(400, WITHIN).await.unwrap();
        assert!(longer.lines().count() <= 400 && longer.len() > log.len());
    });
}
