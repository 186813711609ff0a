//! Good input of every kind, to begin with.

use std::path::Path;

use defib::journal::recording::Keeper;
use defib::journal::recording::Recorder;
use defib::journal::{Journal, NewRecord, WriteBatch};
use defib::model::Model;
use defib::model::vip::Way;
use defib::model::world::{self, CLUSTER, World};
use defib::playbook::{self, SHIPPED, shipped};
use defib_engine::event::Saved;
use defib_engine::record::{Batch, IncidentState, Record};
use defib_engine::settings::Mode;
use defib_engine::time::{Now, Tick, UnixMs};

const CONFIGURATION: &str = "mode: ask\njournal: journal\nlisten: 127.0.0.1:9870\ncanaries: [\"192.0.2.254:53\"]\nclusters:\n  \
    - name: prod\n    vip: 192.0.2.100:6443\n    arm: [restart-kubelet]\n    nodes:\n      \
    - { name: cp1, address: 192.0.2.1 }\n      - { name: cp2, address: 192.0.2.2 }\n    \
    ports: { apiserver: 6443, etcd: 2379, talos: 50000 }\n";

const FIGURES: &str = "# HELP etcd_server_has_leader Whether.\n# TYPE etcd_server_has_leader gauge\netcd_server_has_leader 1\n\
    etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 17\n\
    etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 4.2e+01 1771286400000\nother{a=\"b\\\"c\"} NaN\n";

const TALOSCONFIG: &str = "context: prod\ncontexts:\n  prod:\n    endpoints: [192.0.2.1, 192.0.2.2]\n    nodes: [192.0.2.1]\n    \
    ca: aGVsbG8=\n    crt: aGVsbG8=\n    key: aGVsbG8=\n";

const KUBELET_LOG: &str = "I0217 00:05:30.123456    1234 kubelet.go:1] \"SyncLoop\"\n\
    E0217 00:05:31.123456    1234 pod_workers.go:1301] \"Error syncing pod, skipping\" err=\"failed to \\\"StartContainer\\\" for \
    \\\"kube-apiserver\\\" with CrashLoopBackOff: \\\"back-off 2m40s restarting failed container=kube-apiserver \
    pod=kube-apiserver-cp1_kube-system(abc)\\\"\" pod=\"kube-system/kube-apiserver-cp1\" podUID=\"abc\"\n";

const ROWS: &str = "finding {\"finding\":\"apiserver-down\",\"scope\":\"cp1\",\"change\":\"raised\",\"text\":\"its port is closed\"}\n\
    command {\"command\":\"pause\",\"by\":\"me\",\"reason\":\"work\",\"until_ms\":1771286500000,\"boot\":\"a\",\"boot_ms\":7}\n\
    route {\"direct\":true,\"direct_since_ms\":1,\"ready\":[\"cp1\"],\"text\":\"lost\"}\n\
    decision {\"run\":\"R-1\",\"playbook\":\"restart-kubelet\",\"node\":\"cp1\",\"passed\":[{\"check\":\"fresh\",\"text\":\"yes\"}]}\n\
    command {\"command\":\"ack\",\"playbook\":\"restart-kubelet\",\"node\":\"cp1\"}\n";

/// To begin with, by the target's name.
pub(crate) fn input(name: &str) -> Vec<Vec<u8>> {
    match name {
        "playbook" => SHIPPED.iter().map(|(_, text)| text.as_bytes().to_vec()).collect(),
        "configuration" => vec![CONFIGURATION.into()],
        "scenario" => scenarios(),
        "recording" => vec![recording()],
        "journal" => vec![journal()],
        "rows" => vec![ROWS.into()],
        "figures" => vec![FIGURES.into()],
        "credentials" => vec![TALOSCONFIG.into(), certificate()],
        "kubelet-log" => vec![KUBELET_LOG.into()],
        "yaml" => vec![CONFIGURATION.into(), TALOSCONFIG.into(), shipped("restart-kubelet").unwrap().into()],
        "query" => vec![b"cluster=prod&limit=50&since=1771286400000&kind=finding&&a".to_vec()],
        other => panic!("nothing good of {other}"),
    }
}

/// The shorter scenarios: what matters is their words.
fn scenarios() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut texts: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    texts.sort_by_key(|text| (text.len(), text.clone()));
    texts.truncate(12);
    texts
}

/// Ten seconds of a modelled cluster.
fn recording() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let playbooks = playbook::load(&[("start-kubelet", shipped("start-kubelet").unwrap())], None).unwrap();
    let settings = world::settings(1, Mode::Act, playbooks);
    let mut world = World::new(&settings, Model::well(1, Way::KubeVip, 7), 7);
    let now = |tick: u64| Now { mono: Tick(tick), wall: UnixMs(1_771_286_400_000 + i64::try_from(tick).unwrap()) };
    let mut recorder = Recorder::new(&settings, &Saved::default(), now(0), true, Keeper::start(folder.path()).unwrap());
    let cluster = CLUSTER.to_owned();
    for second in 1..10 {
        world.advance(Tick(second * 1_000), true).iter().for_each(|event| recorder.takes(event));
        recorder.turns(now(second * 1_000), std::iter::once(&cluster));
        if second == 3 {
            let (incident, text) = ("I-1".to_owned(), String::new());
            let record =
                Record::Incident { incident, state: IncidentState::Open, root: None, findings: Vec::new(), text };
            recorder.wrote(&Batch { id: 1, cluster: cluster.clone(), records: vec![record], ..Batch::default() });
        }
    }
    drop(recorder);
    let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::read(file).unwrap()
}

fn journal() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), UnixMs(1_771_286_400_000)).unwrap().journal;
    let body = serde_json::json!({"finding": "apiserver-down", "scope": "cp1", "change": "raised", "text": "closed"});
    let record = NewRecord { at_ms: 1, cluster: "prod".to_owned(), kind: "finding".to_owned(), version: 1, body };
    journal.append(WriteBatch { records: vec![record], ..WriteBatch::default() }, |result| result.unwrap());
    drop(journal);
    std::fs::read(folder.path().join("journal.sqlite")).unwrap()
}

fn certificate() -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(vec!["defib".to_owned()]).unwrap();
    format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem()).into_bytes()
}
