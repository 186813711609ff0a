//! `defib run` as a process: its listener, its journal's lock, its end.

use std::time::Duration;

use crate::support::{Stage, await_that};

pub(crate) fn endpoints(stage: &Stage) {
    let config = stage.config("endpoints", &[]);
    let mut daemon = stage.daemon(&config);
    let get = |path: &str| {
        let url = format!("http://127.0.0.1:9870{path}");
        stage.in_ops(async move || fetch(&url).await)
    };
    await_that("every cluster was judged", Duration::from_secs(60), || {
        get("/readyz").is_some_and(|(code, _)| code == 200)
    });
    assert_eq!(get("/healthz"), Some((200, "ok\n".to_owned())));
    assert_eq!(get("/nothing").map(|(code, _)| code), Some(404));
    await_that("a probe of every kind was counted", Duration::from_secs(60), || {
        let (_, text) = get("/metrics").unwrap_or_default();
        ["etcd.status", "etcd.read-linearizable", "apiserver", "vip", "talos.services", "canary"].iter().all(|kind| {
            let counted =
                |line: &str| line.starts_with("defib_probe_outcome_total") && line.contains(&format!("\"{kind}\""));
            text.lines().any(counted)
        })
    });
    assert!(daemon.terminate().success());
    let kinds: Vec<_> = ["start", "stop"].map(|kind| daemon.records(kind).len()).to_vec();
    assert_eq!(kinds, [1, 1]);
    assert_eq!(daemon.intents(), 0);

    let status = stage.run(&config, &["status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("does not run"));
}

/// A GET without a library of the program's own.
pub(crate) async fn fetch(url: &str) -> Option<(u16, String)> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let rest = url.strip_prefix("http://")?;
    let (host, path) = rest.split_at(rest.find('/')?);
    let mut stream = tokio::net::TcpStream::connect(host).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(1 << 20).read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    Some((code, body.to_owned()))
}

pub(crate) fn second(stage: &Stage) {
    let config = stage.config("second", &[]);
    let mut first = stage.daemon(&config);
    await_that("the first daemon holds the journal", Duration::from_secs(30), || !first.records("start").is_empty());
    let output = stage.run(&config, &["run"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains(&first.child.id().to_string()), "the holder's pid {} is named: {said}", first.child.id());
    assert!(first.terminate().success());
}
