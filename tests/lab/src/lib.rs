//! A control plane of real parts on one Linux machine, to break and to watch being recovered.
//!
//! [`Lab`] is the whole: raise it, find it, break it, heal it, take it down. Each node is a network namespace and a
//! cgroup with a real etcd, containerd, kubelet, API server and controller manager; simulated are Talos's machined in
//! front of them, and the agent that moves the VIP ([`vip`]). [`drill`]s play an outage on it and judge what comes back.
//! The processes of a lab are the `defib-lab` program: [`program`] says where it is looked for. It needs root.
//!
//! Left out, by intent: anything of defib's. The lab judges defib, so it shares no code with it.

mod bare;
pub mod drill;
mod exec;
pub mod fault;
mod files;
mod https;
mod join;
mod lab;
pub mod layout;
mod machined;
mod node;
mod pki;
mod power;
mod programs;
mod ready;
mod relay;
pub mod status;
mod system;
mod teardown;
pub mod traffic;
pub mod vip;

pub use exec::{ExecError, Joined, exec};
pub use fault::Fault;
pub use https::HttpsError;
pub use join::{JoinError, run as run_join};
pub use lab::{About, Claim, Lab, LabError, UpOptions, program};
pub use layout::{Layout, Node, Part, Place};
pub use machined::{CallRecord, MachinedError, run as run_machined};
pub use programs::{Program, ProgramsError, provide as provide_programs};
pub use relay::{RelayError, relay};
