//! blackbox_exporter beside us: the same questions over the same TLS, and what each costs it.
//!
//! It dials anew for each probe, which its design asks for; a module with our certificate asks `/readyz` of an API server.
//! Its processor time is read from the kernel before and after. Left out: where the program comes from
//! (`tests/bench/blackbox.sh`).

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use defib_lab::layout::{API_PORT, Layout, Node, VIP};
use serde::{Deserialize, Serialize};

use crate::http;
use crate::proc::processor_time;
use crate::trouble::{Trouble, wait};

/// Where it listens, on the ops host.
const LISTENS: ([u8; 4], u16) = ([127, 0, 0, 1], 9115);
/// For one probe through it.
const ANSWER: Duration = Duration::from_secs(10);
/// Asked before anything is counted.
const WARM: usize = 50;

/// What the child prints.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Beside {
    /// What was asked.
    pub(crate) target: String,
    /// How many were counted.
    pub(crate) n: usize,
    /// How many of them were successful.
    pub(crate) healthy: usize,
    /// Its processor time for each batch, in milliseconds a probe.
    pub(crate) batches_ms: Vec<f64>,
}

/// Writes its configuration: HTTPS with defib's own client certificate.
pub(crate) fn write_config(layout: &Layout, path: &Path) -> Result<(), Trouble> {
    let text = format!(
        "modules:
  readyz:
    prober: http
    timeout: 5s
    http:
      preferred_ip_protocol: ip4
      tls_config:
        ca_file: {}
        cert_file: {}
        key_file: {}
",
        layout.certificate("kubernetes-ca").display(),
        layout.certificate("defib-kubernetes").display(),
        layout.key("defib-kubernetes").display(),
    );
    std::fs::write(path, text).map_err(Trouble::file(path))
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The child on the ops host: runs the exporter and has it probe an API server and the VIP, `n` times each.
pub(crate) fn child(program: &Path, config: &Path, n: usize) -> Result<Vec<Beside>, Trouble> {
    let listens = SocketAddr::from(LISTENS);
    let mut command = Command::new(program);
    command.arg(format!("--config.file={}", config.display())).arg(format!("--web.listen-address={listens}"));
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let running = Running(child.map_err(Trouble::file(program))?);
    let pid = running.0.id();
    wait("blackbox_exporter", ANSWER, Duration::from_millis(50), || {
        Ok(http::get(listens, "/-/healthy", ANSWER).ok().filter(|(status, _)| *status == 200).map(drop))
    })?;
    let mut all = Vec::new();
    for (name, address) in [("apiserver", Node::Cp1.api()), ("vip", (VIP, API_PORT).into())] {
        let path = format!("/probe?module=readyz&target=https://{address}/readyz");
        let ask = || {
            let answer = http::get(listens, &path, ANSWER);
            let (_, body) = answer.map_err(|source| Trouble::Ask { who: "blackbox_exporter".to_owned(), source })?;
            let said = String::from_utf8_lossy(&body);
            Ok::<bool, Trouble>(said.lines().any(|line| line == "probe_success 1"))
        };
        for _ in 0..WARM {
            ask()?;
        }
        let batch = n.div_ceil(10);
        let (mut batches_ms, mut healthy) = (Vec::new(), 0);
        for _ in 0..10 {
            let before = processor_time(pid)?;
            for _ in 0..batch {
                healthy += usize::from(ask()?);
            }
            let spent = processor_time(pid)?.saturating_sub(before);
            batches_ms.push(spent.as_secs_f64() * 1_000.0 / batch as f64);
        }
        all.push(Beside { target: name.to_owned(), n: batch * 10, healthy, batches_ms });
    }
    Ok(all)
}
