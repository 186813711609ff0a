//! The pure heart of defib: observations in, decisions out.
//!
//! [`fleet::Fleet`] is the face. An [`observation::Observation`] is folded into a cluster's [`world::World`]; every rule of
//! [`diagnosis::ALL`] is judged again over the [`view::View`]; a [`latch::Latch`] gives each verdict its duration; open
//! findings are grouped into [`incident`]s with a root; every [`playbook`] that a finding calls for is judged by every
//! [`check`]; and where none holds, a run asks for fresh probes, reserves in the [`ledger`], waits until that is durable,
//! judges again, and hands out a [`event::Step`]: the permission to do one thing once. Beside it, [`route`] says which API
//! server to go to while the virtual address is dead.
//!
//! It promises: no clock, no I/O, no randomness, no panic on input; the same calls give the same answers; memory bounded
//! by the configuration. It depends on nothing.

mod burst;
pub mod check;
mod cluster;
pub mod command;
pub mod diagnosis;
pub mod event;
mod figures;
pub mod finding;
pub mod fleet;
mod holds;
pub mod incident;
mod ladder;
pub mod latch;
pub mod ledger;
pub mod maintenance;
pub mod membership;
mod news;
pub mod observation;
pub mod playbook;
pub mod quantile;
pub mod record;
pub mod restoration;
pub mod route;
mod run;
pub mod settings;
pub mod status;
pub mod threshold;
pub mod time;
mod tracked;
pub mod view;
pub mod window;
pub mod world;
