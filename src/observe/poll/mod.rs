//! One file a protocol, behind one signature: a client, a kind, a deadline; what was seen.
//!
//! A poll gives the client's answer its meaning. It never fails: a remote failure is an observation, and so is the lack
//! of an answer for our own reasons. Left out: when to ask (`schedule`), and what follows (the engine).

pub mod apiserver;
pub mod canary;
pub mod credentials;
pub mod etcd;
pub mod etcd_metrics;
pub mod snapshots;
pub mod talos;
pub mod vip;
