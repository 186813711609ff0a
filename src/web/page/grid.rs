//! Where: layers from the ground up, nodes as columns, and the virtual address beneath them.

use defib_engine::finding::{Layer, Subject};

use super::super::html::Html;
use super::{Scene, live, words};
use crate::report::layers::{self, Cell, Level};

pub(super) fn section(scene: &Scene<'_>, html: &mut Html) {
    live(html, "grid", "card", "Where", |html| {
        html.element(
            "div",
            &[("class", &"scroll"), ("tabindex", &"0"), ("role", &"group"), ("aria-label", &"Layers by node")],
            |html| {
                html.element("table", &[("class", &"grid")], |html| {
                    head(scene, html);
                    html.element("tbody", &[], |html| {
                        for layer in [Layer::Machine, Layer::Etcd, Layer::Apiserver] {
                            row(scene, layer, html);
                        }
                        vip(scene, html);
                        super::figures::rows(scene, html);
                    });
                });
            },
        );
    });
}

fn head(scene: &Scene<'_>, html: &mut Html) {
    html.element("thead", &[], |html| {
        html.element("tr", &[], |html| {
            html.leaf("th", &[("scope", &"col")], "layer");
            for node in &scene.watched.nodes {
                html.leaf("th", &[("scope", &"col")], node);
            }
        });
    });
}

fn row(scene: &Scene<'_>, layer: Layer, html: &mut Html) {
    html.element("tr", &[], |html| {
        html.leaf("th", &[("scope", &"row")], layer.name());
        for node in &scene.watched.nodes {
            cell(&at(scene, layer, &Subject::Node(node.clone())), 1, html);
        }
    });
    // What is about the cluster as a whole has no node to stand under.
    let whole = at(scene, layer, &Subject::Cluster);
    if whole.level != Level::Well && scene.status.is_some() {
        html.element("tr", &[("class", &"whole")], |html| {
            html.leaf("th", &[("scope", &"row")], "");
            cell(&whole, scene.watched.nodes.len(), html);
        });
    }
}

fn vip(scene: &Scene<'_>, html: &mut Html) {
    let Some(vip) = &scene.watched.vip else { return };
    let mut found = at(scene, Layer::Vip, &Subject::Cluster);
    let nodes = &scene.watched.nodes;
    let holder = scene.status.and_then(|status| status.vip_holder.as_ref()).filter(|holder| nodes.contains(holder));
    html.element("tr", &[("class", &"vip")], |html| {
        html.leaf("th", &[("scope", &"row")], Layer::Vip.name());
        let Some(holder) = holder else {
            if found.level == Level::Well {
                found.word = format!("{vip} answers");
            }
            cell(&found, nodes.len(), html);
            return;
        };
        if found.level == Level::Well {
            found.word = "here".to_owned();
            found.text.clone_from(vip);
        }
        for node in nodes {
            if node == holder {
                cell(&found, 1, html);
            } else {
                let label = format!("{vip} is not here");
                html.leaf("td", &[("class", &"elsewhere"), ("title", &label)], "–");
            }
        }
    });
}

fn at(scene: &Scene<'_>, layer: Layer, subject: &Subject) -> Cell {
    match scene.status {
        Some(status) => layers::cell(status, layer, subject),
        None => Cell { level: Level::Unknown, word: "unknown".to_owned(), text: "not judged yet".to_owned() },
    }
}

fn cell(cell: &Cell, columns: usize, html: &mut Html) {
    html.element("td", &[("class", &cell.level), ("colspan", &columns), ("title", &cell.text)], |html| {
        words::sign(html, cell.level);
        html.say(' ');
        html.leaf("span", &[], &cell.word);
    });
}
