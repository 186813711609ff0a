//! Bytes of the wire format, written out by hand from its field numbers; and failures inside of OK replies.

use prost::Message;

use super::*;

/// A field of bytes: key (number and wire type 2), length, content. Short enough for one byte each.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
}

/// A field of a small number.
fn number(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

fn read<T: Message + Default>(bytes: &[u8]) -> T {
    T::decode(bytes).unwrap()
}

#[test]
fn requests_have_their_numbers() {
    let restart = wire::ServiceRestartRequest { id: "kubelet".to_owned() };
    assert_eq!(restart.encode_to_vec(), field(1, b"kubelet"));
    let containers = wire::ContainersRequest { namespace: "k8s.io".to_owned(), driver: 1 };
    assert_eq!(containers.encode_to_vec(), [field(1, b"k8s.io"), number(2, 1)].concat());
    let logs = wire::LogsRequest {
        namespace: "system".to_owned(),
        id: "kubelet".to_owned(),
        driver: 0,
        follow: false,
        tail_lines: 40,
    };
    assert_eq!(logs.encode_to_vec(), [field(1, b"system"), field(2, b"kubelet"), number(5, 40)].concat());
    assert_eq!(wire::EtcdMemberListRequest { query_local: true }.encode_to_vec(), number(1, 1));
    assert_eq!(wire::ServiceStartRequest { id: "x".to_owned() }.encode_to_vec(), field(1, b"x"));
    assert_eq!(wire::ServiceStopRequest { id: "x".to_owned() }.encode_to_vec(), field(1, b"x"));
    assert_eq!(wire::RebootRequest { mode: 1 }.encode_to_vec(), number(1, 1));
    assert!(wire::Empty {}.encode_to_vec().is_empty());
}

#[test]
fn services_and_version_are_read() {
    let health = [number(2, 1), field(3, b"fine"), field(4, &number(1, 9))].concat();
    let events = field(1, &[field(1, b"Started"), field(2, b"Running"), field(3, &number(1, 9))].concat());
    let kubelet = [field(1, b"kubelet"), field(2, b"Running"), field(3, &events), field(4, &health)].concat();
    let etcd = [field(1, b"etcd"), field(2, b"Preparing"), field(4, &number(1, 1))].concat();
    // Field 15 is unknown to us and is skipped.
    let list = [field(1, &field(1, b"cp1")), field(2, &kubelet), field(2, &etcd), field(15, b"later")].concat();
    let reply: wire::ServiceListResponse = read(&field(1, &list));
    let list = only(reply.messages, |list| list.metadata.as_ref()).unwrap();
    let services: Vec<Service> = list.services.into_iter().map(service).collect();
    assert_eq!(
        services,
        [
            Service { id: "kubelet".to_owned(), state: "Running".to_owned(), healthy: Some(true) },
            Service { id: "etcd".to_owned(), state: "Preparing".to_owned(), healthy: None },
        ]
    );
    let version: wire::VersionResponse =
        read(&field(1, &field(2, &[field(1, b"v1.13.2"), field(2, b"0a1b")].concat())));
    assert_eq!(version.messages[0].version.as_ref().unwrap().tag, "v1.13.2");
}

#[test]
fn containers_are_read() {
    let info = [
        field(1, b"k8s.io"),
        field(2, b"kube-system/kube-apiserver-cp1:kube-apiserver:0a"),
        field(3, b"image"),
        number(4, 42),
        field(5, b"CONTAINER_EXITED"),
        field(6, b"kube-system/kube-apiserver-cp1"),
        field(7, b"kube-apiserver"),
        field(8, b"/proc/1/ns/net"),
        field(9, b"0a0b0c"),
        field(10, b"0123abcd"),
    ];
    let all = [&field(2, &info[4..].concat())[..], &field(2, &field(5, b"CONTAINER_RUNNING"))].concat();
    let reply: wire::ContainersResponse = read(&field(1, &all));
    let found: Vec<Container> = reply.messages[0].containers.iter().cloned().map(container).collect();
    let expected = Container {
        name: "kube-apiserver".to_owned(),
        pod: "kube-system/kube-apiserver-cp1".to_owned(),
        pod_uid: "0123abcd".to_owned(),
        id: "0a0b0c".to_owned(),
        running: false,
    };
    assert_eq!(found, [expected, Container { running: true, ..Container::default() }]);
    let whole: wire::ContainerInfo = read(&info.concat());
    assert_eq!((whole.pid, whole.image.as_str(), whole.namespace.as_str()), (42, "image", "k8s.io"));
}

#[test]
fn the_rest_is_read() {
    let status = [
        field(1, b"3.6.16"),
        number(2, 20),
        number(3, 10),
        number(4, 7),
        number(5, 100),
        number(6, 3),
        number(7, 99),
        field(8, b"etcdserver: no leader"),
        number(9, 1),
        number(10, 5),
        field(11, b"3.6.0"),
    ];
    let reply: wire::EtcdStatusResponse = read(&field(1, &field(2, &status.concat())));
    let expected = wire::EtcdMemberStatus {
        protocol_version: "3.6.16".to_owned(),
        db_size: 20,
        db_size_in_use: 10,
        leader: 7,
        raft_index: 100,
        raft_term: 3,
        raft_applied_index: 99,
        errors: vec!["etcdserver: no leader".to_owned()],
        is_learner: true,
        member_id: 5,
        storage_version: "3.6.0".to_owned(),
    };
    assert_eq!(reply.messages[0].member_status, Some(expected));
    let member = [number(2, 5), field(3, b"cp1"), field(4, b"peer"), field(5, b"client"), number(6, 1)].concat();
    let reply: wire::EtcdMemberListResponse = read(&field(1, &[field(2, b"old"), field(3, &member)].concat()));
    let member = &reply.messages[0].members[0];
    assert_eq!((member.id, member.hostname.as_str(), member.is_learner), (5, "cp1", true));
    assert_eq!((&member.peer_urls[0][..], &member.client_urls[0][..]), ("peer", "client"));
    let data: wire::Data = read(&field(2, b"line\n"));
    assert_eq!(data.bytes, b"line\n");
    let restart: wire::ServiceRestartResponse = read(&field(1, &field(2, b"restarted")));
    assert_eq!(restart.messages[0].resp, "restarted");
}

/// A field of a double: wire type 1, eight bytes.
fn double(number: u8, value: f64) -> Vec<u8> {
    [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
}

#[test]
fn figures_are_read() {
    let meminfo = [number(1, 100), number(2, 30), number(3, 60), vec![0xd0, 0x01, 1]].concat();
    let reply: wire::MemoryResponse = read(&field(1, &[field(1, &field(1, b"cp1")), field(2, &meminfo)].concat()));
    assert_eq!(reply.messages[0].meminfo, Some(wire::MemInfo { memtotal: 100, memfree: 30, memavailable: 60 }));

    let times: Vec<u8> = (1..=10).flat_map(|at| double(at, f64::from(at) + 0.5)).collect();
    let stat = [number(2, 99), field(3, &times), number(7, 5), number(9, 3), number(10, 2)].concat();
    let reply: wire::SystemStatResponse = read(&field(1, &stat));
    let stat = &reply.messages[0];
    let expected = wire::CpuStat {
        user: 1.5,
        nice: 2.5,
        system: 3.5,
        idle: 4.5,
        iowait: 5.5,
        irq: 6.5,
        soft_irq: 7.5,
        steal: 8.5,
    };
    assert_eq!(
        (stat.boot_time, stat.cpu_total, stat.process_running, stat.process_blocked),
        (99, Some(expected), 3, 2)
    );

    let reply: wire::LoadAvgResponse = read(&field(1, &[double(2, 0.5), double(3, 0.25), double(4, 4.0)].concat()));
    let load = &reply.messages[0];
    assert_eq!((load.load1, load.load5, load.load15), (0.5, 0.25, 4.0));

    let counters: Vec<u8> = (2..=12).flat_map(|at| number(at, at * 2)).collect();
    let disk = [field(1, b"sda"), counters].concat();
    let reply: wire::DiskStatsResponse = read(&field(1, &[field(2, b""), field(3, &disk)].concat()));
    let expected = wire::DiskStat {
        name: "sda".to_owned(),
        write_completed: 12,
        write_time_ms: 18,
        io_in_progress: 20,
        io_time_ms: 22,
    };
    assert_eq!(reply.messages[0].devices, [expected]);

    let mount = [field(1, b"/dev/sda6"), number(2, 100), number(3, 7), field(4, b"/var")].concat();
    let reply: wire::MountsResponse = read(&field(1, &[field(1, b""), field(2, &mount)].concat()));
    let (filesystem, mounted_on) = ("/dev/sda6".to_owned(), "/var".to_owned());
    assert_eq!(reply.messages[0].stats, [wire::MountStat { filesystem, size: 100, available: 7, mounted_on }]);

    let stamp = |seconds| [number(1, seconds), number(2, 9)].concat();
    let time = [field(2, b"time.example"), field(3, &stamp(7)), field(4, &stamp(8))].concat();
    let reply: wire::time::TimeResponse = read(&field(1, &time));
    let time = &reply.messages[0];
    assert_eq!(time.server, "time.example");
    assert_eq!(time.localtime, Some(wire::Timestamp { seconds: 7, nanos: 9 }));
    assert_eq!(time.remotetime, Some(wire::Timestamp { seconds: 8, nanos: 9 }));
}

#[test]
fn a_failure_inside_an_ok_reply_is_a_failure() {
    let failed = |metadata: Vec<u8>| {
        let reply: wire::VersionResponse = read(&field(1, &field(1, &metadata)));
        only(reply.messages, |version| version.metadata.as_ref()).map(drop)
    };
    assert_eq!(failed(field(1, b"cp1")), Ok(()));
    assert_eq!(
        failed(field(2, b"no such node")),
        Err(Trouble::Failed(Failure::Status { code: 2, detail: "no such node".to_owned() }))
    );
    let denied = [field(2, b"rpc error"), field(3, &[number(1, 7), field(2, b"not authorized")].concat())].concat();
    assert_eq!(failed(denied), Err(Trouble::Unknown(Why::Unauthorized("rpc error".to_owned()))));
    let status_alone = field(3, &[number(1, 14), field(2, b"connection refused")].concat());
    assert_eq!(
        failed(status_alone),
        Err(Trouble::Failed(Failure::Status { code: 14, detail: "connection refused".to_owned() }))
    );
    let empty = only(Vec::<wire::Version>::new(), |version| version.metadata.as_ref()).map(drop);
    assert_eq!(empty, Err(Trouble::Failed(Failure::Protocol("a reply without a message".to_owned()))));
}

#[test]
fn only_a_clear_no_counts_as_not_done() {
    let ended = |code: Code| refused_or_unanswered(said(code, "text"));
    for code in [Code::Unimplemented, Code::NotFound, Code::InvalidArgument, Code::PermissionDenied] {
        assert!(matches!(ended(code), ActError::Refused(_)), "{code:?}");
    }
    for code in [Code::Unknown, Code::Internal, Code::Unavailable, Code::Cancelled, Code::DeadlineExceeded] {
        assert!(matches!(ended(code), ActError::Unanswered(_)), "{code:?}");
    }
    assert!(matches!(refused_or_unanswered(Failure::Reset.into()), ActError::Unanswered(_)));
}
