//! A real etcd whose database is full, by real writes up to its real quota: found, room is made, writes are taken again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use defib::client::Trouble;
use defib::client::channel::Held;
use defib::client::kept::Kept;
use defib::client::tls::Files;
use defib::config;
use defib_engine::observation::Failure;
use defib_lab::Node;
use etcd_client::{Channel, Client, Error};
use tonic::Status;

use crate::support::{Stage, await_that};

/// The lab's quota in writes of this many bytes, and as many again.
const VALUE_BYTES: usize = 1024 * 1024;
const WRITES_MAX: usize = 256;
const KEY: &str = "defib/e2e/fills";
const WITHIN: Duration = Duration::from_secs(20);

/// A client of one member, over the program's own connection.
pub(crate) struct Store {
    credential: Arc<Kept>,
    held: Held,
}

impl Store {
    pub(crate) fn of(stage: &Stage, node: Node) -> Store {
        let config = config::read(&stage.lab.layout().config()).unwrap();
        let cluster = &config.clusters[0];
        let credential = Arc::new(Kept::new(Files::new(cluster.etcd.as_ref().unwrap())));
        let node = cluster.nodes.iter().find(|of| of.name == node.to_string()).unwrap();
        Store { credential, held: Held::new(SocketAddr::new(node.address, cluster.ports.etcd)) }
    }

    pub(crate) async fn ask<T, F: Future<Output = Result<T, Error>>>(
        &self,
        question: impl Fn(Client) -> F,
    ) -> Result<T, Trouble> {
        let config = |until| self.credential.client_config(until);
        let of_etcd = |error| match error {
            Error::GRpcStatus(status) => status,
            other => Status::internal(other.to_string()),
        };
        let ask = async |channel| {
            let client = Client::from_channel(Channel::Tonic(channel), None).await.map_err(of_etcd)?;
            question(client).await.map_err(of_etcd)
        };
        self.held.ask(config, WITHIN, ask).await
    }

    async fn put(&self, bytes: usize) -> Result<(), Trouble> {
        self.ask(|client| async move { client.kv_client().put(KEY, vec![7; bytes], None).await.map(drop) }).await
    }

    /// The members that tell of an alarm, and the size of the database.
    async fn alarms_and_size(&self) -> (usize, i64) {
        self.ask(|client| async move {
            let mut maintenance = client.maintenance_client();
            let (get, none) = (etcd_client::AlarmAction::Get, etcd_client::AlarmType::None);
            let alarms = maintenance.alarm(get, none, None).await?.alarms().len();
            Ok((alarms, maintenance.status().await?.db_size()))
        })
        .await
        .unwrap()
    }
}

pub(crate) fn is_reclaimed(stage: &Stage) {
    let config = stage
        .config("reclaim-space", &[("mode: observe", "mode: act"), ("arm: [restart-kubelet]", "arm: [reclaim-space]")]);
    let mut daemon = stage.daemon(&config);
    await_that("the daemon watches", Duration::from_secs(30), || !daemon.records("start").is_empty());

    let full = stage.in_ops(async || {
        let store = Store::of(stage, Node::Cp1);
        for _ in 0..WRITES_MAX {
            if let Err(refused) = store.put(VALUE_BYTES).await {
                assert!(matches!(&refused, Trouble::Failed(Failure::Status { .. })), "{refused}");
                assert!(refused.to_string().contains("space exceeded"), "{refused}");
                let (alarms, size) = store.alarms_and_size().await;
                assert!(alarms > 0);
                return size;
            }
        }
        panic!("{WRITES_MAX} writes of {VALUE_BYTES} bytes do not fill etcd")
    });
    await_that("etcd-no-space is found", Duration::from_secs(60), || daemon.found("etcd-no-space", "raised"));
    // A lab that has just been raised counts as machines that have just booted, for five minutes.
    await_that("the run recovers it", Duration::from_secs(600), || {
        daemon.records("run").iter().any(|row| row.body["state"] == "recovered")
    });

    let (alarms, size) = stage.in_ops(async || {
        let store = Store::of(stage, Node::Cp1);
        store.put(1).await.unwrap();
        store.alarms_and_size().await
    });
    assert_eq!(alarms, 0, "no member tells of an alarm, and a write is taken");
    assert!(size < full / 2, "{size} of {full} bytes are left");
    assert_eq!(daemon.intents(), 1);
    let snapshots = std::fs::read_dir(config.journal.join("evidence")).unwrap().flatten();
    let kept: Vec<_> = snapshots.filter(|file| file.path().extension().is_some_and(|end| end == "db")).collect();
    assert!(kept.len() == 1 && kept[0].metadata().unwrap().len() > full as u64 / 2, "{kept:?}");
    assert!(daemon.terminate().success());
    for file in kept {
        std::fs::remove_file(file.path()).unwrap();
    }
}
