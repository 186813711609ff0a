//! The virtual address on a network device: put there, announced, taken away.
//!
//! By the system's own `ip` and `arping`, as an operator would: the agent lives in its node's network namespace and so do
//! they. Neighbours keep the old holder until they hear a gratuitous ARP, so putting the address there without
//! announcing it would move nothing. Left out: IPv6.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// The longest that `ip` or `arping` may take; either needs milliseconds, and `arping` is told to stop after 1 s.
const TOOL_DEADLINE: Duration = Duration::from_secs(3);

/// Why the address is not where it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum AddressError {
    /// The program could not be run.
    #[error("cannot run {line}")]
    Run {
        /// The command line.
        line: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The program said no.
    #[error("{line} failed: {said}")]
    Failed {
        /// The command line.
        line: String,
        /// Its last words, at most one line.
        said: String,
    },
    /// The program did not end.
    #[error("{line} did not end within {} s", TOOL_DEADLINE.as_secs())]
    Hung {
        /// The command line.
        line: String,
    },
}

/// The virtual address, and the device of this namespace that may carry it.
#[derive(Clone, Debug)]
pub(super) struct VirtualAddress {
    /// The address; carried as a /32.
    pub(super) address: Ipv4Addr,
    /// The device, such as `eth0`.
    pub(super) device: String,
}

impl VirtualAddress {
    /// Puts the address on the device (without complaint when it is there) and announces it.
    pub(super) async fn take(&self) -> Result<(), AddressError> {
        run("ip", &["address", "replace", &self.prefix(), "dev", &self.device]).await?;
        self.announce().await
    }

    /// Tells the neighbours where the address is, by one gratuitous ARP request.
    pub(super) async fn announce(&self) -> Result<(), AddressError> {
        run("arping", &["-q", "-U", "-c", "1", "-w", "1", "-I", &self.device, &self.address.to_string()]).await
    }

    /// Takes the address off the device; true when it was there.
    pub(super) async fn release(&self) -> Result<bool, AddressError> {
        match run("ip", &["address", "delete", &self.prefix(), "dev", &self.device]).await {
            Ok(()) => Ok(true),
            Err(AddressError::Failed { said, .. }) if said.contains("Cannot assign requested address") => Ok(false),
            Err(AddressError::Failed { said, .. }) if said.contains("Address not found") => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn prefix(&self) -> String {
        format!("{}/32", self.address)
    }
}

async fn run(program: &str, arguments: &[&str]) -> Result<(), AddressError> {
    let line = format!("{program} {}", arguments.join(" "));
    let ran =
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).output();
    let Ok(ended) = tokio::time::timeout(TOOL_DEADLINE, ran).await else { return Err(AddressError::Hung { line }) };
    let output = ended.map_err(|source| AddressError::Run { line: line.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(AddressError::Failed { line, said: said.lines().last().unwrap_or_default().to_owned() })
}
