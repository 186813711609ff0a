//! defib, a defibrillator for Kubernetes control planes.
//!
//! `observe` asks the clusters and hands observations to the pure `defib_engine`, through the one loop in [`driver`]. What
//! the engine decides becomes durable in the [`journal`] before `execute` does it; [`metrics`], [`web`] and [`report`]
//! show it. [`daemon`] and [`cli`] put the parts together, and nobody else does.

pub mod api;
pub mod cli;
pub mod client;
pub mod clock;
pub mod compose;
pub mod config;
pub mod daemon;
pub mod driver;
pub mod execute;
pub mod hub;
pub mod journal;
pub mod lifeline;
pub mod metrics;
pub mod model;
pub mod observe;
pub mod playbook;
pub mod promtext;
pub mod report;
pub mod snapshot;
pub mod web;
pub mod yaml;
