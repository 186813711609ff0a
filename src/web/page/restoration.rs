//! What a person would restore etcd from while quorum is lost: the words of the command line.

use std::collections::BTreeMap;

use super::super::html::Html;
use super::{Scene, live};
use crate::api;
use crate::report::wall;

pub(super) fn section(scene: &Scene<'_>, html: &mut Html) {
    let Some(plan) = scene.status.and_then(|status| status.restoration.as_ref()) else { return };
    let names = scene.watched.nodes.iter().map(String::as_str);
    let addresses: BTreeMap<_, _> = names.zip(scene.watched.addresses.iter().map(String::as_str)).collect();
    live(html, "restoration", "card", "If quorum cannot come back", |html| {
        let lines = api::restoration(plan, &addresses).lines(wall::date_time);
        html.leaf("pre", &[("tabindex", &"0")], lines.join("\n"));
    });
}
