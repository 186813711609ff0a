//! What stands in the file, for every way to lead, and what is never done to a file.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::config::{Credential, Lifeline, Node, Ports};

const ADMIN: &str = r#"
apiVersion: v1
kind: Config
preferences: {}
current-context: admin@prod
contexts:
- context: { cluster: other, user: nobody }
  name: other
- context: { cluster: prod, user: admin, namespace: kube-system }
  name: admin@prod
clusters:
- { name: other, cluster: { server: "https://192.0.2.7" } }
- name: prod
  cluster:
    server: https://192.0.2.100:6443
    certificate-authority: pki/ca.crt
    extensions: [{ name: x, extension: { last: y } }]
users:
- name: admin
  user:
    client-certificate: admin.crt
    client-key: /etc/admin.key
    exec: { command: ./login, args: ["yes", "1"], provideClusterInfo: false, env: [{ name: A, value: "true" }] }
"#;

/// A folder with `admin.conf` and the authority that it names.
struct Desk {
    folder: tempfile::TempDir,
    cluster: Cluster,
}

impl Desk {
    fn new() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("pki")).unwrap();
        std::fs::write(path("pki/ca.crt"), "the authority").unwrap();
        std::fs::write(path("admin.conf"), ADMIN).unwrap();
        let node = |number: u8| Node { name: format!("cp{number}"), address: [192, 0, 2, number].into() };
        let kubeconfig =
            Kubeconfig { file: path("out"), from: Some(path("admin.conf")), context: None, server_name: None };
        let cluster = Cluster {
            name: "prod".to_owned(),
            vip: Some("192.0.2.100:6443".parse().unwrap()),
            nodes: vec![node(1), node(2)],
            ports: Ports { apiserver: 6443, etcd: 2379, talos: 50000 },
            kubernetes: Some(Credential { ca: path("pki/ca.crt"), certificate: "c".into(), key: "k".into() }),
            etcd: None,
            etcd_metrics: None,
            talos: None,
            arm: Vec::new(),
            snapshots: None,
            maintenance: Vec::new(),
            thresholds: defib_engine::threshold::Thresholds::default(),
            lifeline: Some(Lifeline { listen: None, connections: 1, kubeconfig: Some(kubeconfig) }),
        };
        Desk { folder, cluster }
    }

    fn kubeconfig(&mut self) -> &mut Kubeconfig {
        self.cluster.lifeline.as_mut().and_then(|lifeline| lifeline.kubeconfig.as_mut()).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, route: &Route) -> Result<String, String> {
        let keeper = Keeper::new(&self.cluster).unwrap();
        let goal = keeper.goal(route, None);
        keeper.write(&goal).map_err(|error| causes(&error))?;
        Ok(std::fs::read_to_string(self.path("out")).unwrap())
    }
}

fn route(direct: bool, ready: &[&str]) -> Route {
    Route { direct, ready: ready.iter().map(ToString::to_string).collect(), ..Route::default() }
}

#[test]
fn a_direct_route_replaces_the_server_and_keeps_all_else() {
    let desk = Desk::new();
    let text = desk.write(&route(true, &["cp2", "cp1"])).unwrap();
    let expected = format!(
        "# Written by defib for the cluster prod: leads straight to cp2, since the virtual address is dead. Changes are written over.
apiVersion: v1
kind: Config
current-context: \"admin@prod\"
contexts:
- name: \"admin@prod\"
  context:
    cluster: prod
    user: admin
    namespace: kube-system
clusters:
- name: prod
  cluster:
    server: \"https://192.0.2.2:6443\"
    tls-server-name: \"192.0.2.100\"
    certificate-authority-data: dGhlIGF1dGhvcml0eQ
users:
- name: admin
  user:
    client-certificate: \"{0}/admin.crt\"
    client-key: \"/etc/admin.key\"
    exec:
      command: \"{0}/./login\"
      args:
      - \"yes\"
      - \"1\"
      provideClusterInfo: false
      env:
      - name: A
        value: \"true\"
",
        desk.folder.path().display()
    );
    assert_eq!(
        text.replace("dGhlIGF1dGhvcml0eQ==", "dGhlIGF1dGhvcml0eQ")
            .replace("\"dGhlIGF1dGhvcml0eQ\"", "dGhlIGF1dGhvcml0eQ"),
        expected
    );
}

#[test]
fn while_the_address_is_well_people_go_where_they_always_went() {
    let desk = Desk::new();
    let text = desk.write(&route(false, &["cp2"])).unwrap();
    assert!(text.contains("server: \"https://192.0.2.100:6443\"") && !text.contains("tls-server-name"), "{text}");
}

#[test]
fn through_the_lifeline_whatever_the_route() {
    let mut desk = Desk::new();
    desk.cluster.lifeline.as_mut().unwrap().listen = Some("127.0.0.1:16443".parse().unwrap());
    let (one, other) = (desk.write(&route(false, &["cp2"])).unwrap(), desk.write(&route(true, &["cp1"])).unwrap());
    assert_eq!(one, other);
    assert!(one.contains("server: \"https://127.0.0.1:16443\"\n    tls-server-name: \"192.0.2.100\""), "{one}");
    desk.kubeconfig().server_name = Some("prod.example".to_owned());
    let named = desk.write(&route(false, &[])).unwrap();
    assert!(named.contains("tls-server-name: \"prod.example\"") && !named.contains("name: \"192"), "{named}");
}

#[test]
fn without_a_kubeconfig_to_take_over_there_is_no_user() {
    let mut desk = Desk::new();
    desk.kubeconfig().from = None;
    let text = desk.write(&route(true, &["cp1"])).unwrap();
    assert!(text.contains("users: []") && text.contains("cluster: prod") && !text.contains("user: "), "{text}");
    assert!(text.contains("server: \"https://192.0.2.1:6443\"\n    tls-server-name: \"192.0.2.100\""), "{text}");
    assert!(text.contains("certificate-authority-data: \"dGhlIGF1dGhvcml0eQ==\""), "{text}");
    desk.cluster.vip = None;
    let text = desk.write(&route(false, &["cp2"])).unwrap();
    assert!(text.contains("server: \"https://192.0.2.2:6443\""), "without an address to lose, the best: {text}");
}

#[test]
fn while_nobody_is_ready_it_leads_where_it_led() {
    let desk = Desk::new();
    let keeper = Keeper::new(&desk.cluster).unwrap();
    let to_cp2 = keeper.goal(&route(true, &["cp2"]), None);
    assert_eq!(keeper.goal(&route(true, &[]), Some(to_cp2.clone())), to_cp2);
}

#[test]
fn the_file_is_whole_and_its_owners_alone() {
    let desk = Desk::new();
    std::fs::write(desk.path(".out.new"), "left by a crash").unwrap();
    desk.write(&route(true, &["cp1"])).unwrap();
    let before = std::fs::metadata(desk.path("out")).unwrap();
    assert_eq!(before.permissions().mode() & 0o777, 0o600);
    desk.write(&route(true, &["cp1"])).unwrap();
    let after = std::fs::metadata(desk.path("out")).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap(), "written only where it differs");
    desk.write(&route(true, &["cp2"])).unwrap();
    assert!(!desk.path(".out.new").exists());
}

#[test]
fn what_defib_did_not_write_is_never_written_over() {
    let desk = Desk::new();
    std::fs::write(desk.path("out"), ADMIN).unwrap();
    let said = desk.write(&route(true, &["cp1"])).unwrap_err();
    assert!(said.contains("out was not written by defib; move it away, or name another file"), "{said}");
    assert_eq!(std::fs::read_to_string(desk.path("out")).unwrap(), ADMIN);
}

#[test]
fn every_trouble_is_named_with_its_place_and_without_a_key() {
    let mut desk = Desk::new();
    let said = |text: &str| {
        std::fs::write(desk.path("admin.conf"), text).unwrap();
        desk.write(&route(true, &["cp1"])).unwrap_err()
    };
    assert!(
        said(&ADMIN.replace("current-context: admin@prod", "current-context: prod")).contains("\"prod\" is not one of")
    );
    assert!(said(&ADMIN.replace("user: admin,", "user: root,")).contains("\"root\" is not one of admin"));
    let secret = said(&ADMIN.replace("- name: admin\n  user:", "- name: admin\n  user: [s3cret]\n  old:"));
    assert!(secret.contains("admin.conf:20:9: user is a map") && !secret.contains("s3cret"), "{secret}");
    assert!(said("{}").contains("needs a \"current-context\""));
    assert!(said("").contains("is empty"));
    std::fs::remove_file(desk.path("pki/ca.crt")).unwrap();
    std::fs::write(desk.path("admin.conf"), ADMIN).unwrap();
    assert!(desk.write(&route(true, &[])).unwrap_err().contains("ca.crt: cannot be read"));
    desk.kubeconfig().from = Some("absent".into());
    assert!(desk.write(&route(true, &[])).unwrap_err().contains("absent: cannot be read"));
    let mut desk = Desk::new();
    desk.kubeconfig().file = Path::new("/proc/none/out").into();
    let keeper = Keeper::new(&desk.cluster).unwrap();
    let said = causes(&keeper.write(&Goal::AsConfigured).unwrap_err());
    assert!(said.starts_with("cannot write /proc/none/out: "), "{said}");
}
