//! The pages: what an operator looks at while something is wrong. Whole without a script, and each says its own age.
//!
//! One section a question: *what is wrong* (headline, incident), *where* (grid, strips), *what is done about it* (decisions,
//! limits), *what happened* (timeline). A script swaps whole sections for the same ones of a younger page; it draws nothing
//! itself. No state is told by colour alone. Left out: where the page is read from, and who may read it.

mod decisions;
mod figures;
mod forms;
mod frame;
mod grid;
mod headline;
mod incident;
mod limits;
mod overview;
mod restoration;
mod strips;
#[cfg(test)]
mod tests;
mod timeline;
mod words;

use std::time::Duration;

use defib_engine::status::Status;
use defib_engine::time::Tick;

use super::html::Html;
use super::strip::Window;
use crate::hub::{Settled, Watched};
use crate::journal::RecordRow;
use crate::report::layers::Level;

pub(super) use forms::{Stamp, review};
pub(super) use frame::plain as message;
pub(super) use overview::page as overview;

/// One cluster in a list of them.
#[derive(Clone, Debug)]
pub(super) struct Tab {
    pub(super) name: String,
    pub(super) level: Level,
    /// What is wrong, in a sentence.
    pub(super) sentence: String,
}

/// When a page is made, and how old what it shows is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    /// The daemon's loop last went round then, Unix milliseconds.
    pub(super) as_of_ms: i64,
    /// And that is so long ago.
    pub(super) late: Duration,
    /// The same time on the clock of the engine.
    pub(super) tick: Tick,
    /// The clock is a model's, and so is everything that is shown.
    pub(super) model: bool,
}

/// Everything that one cluster's page shows.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) watched: &'a Watched,
    pub(super) settled: &'a Settled,
    /// None: not judged yet.
    pub(super) status: Option<&'a Status>,
    pub(super) age: Age,
    /// Grows whenever the status changes.
    pub(super) revision: u64,
    pub(super) window: Window,
    /// Rows for the strips, newest first; an error in words where the journal cannot be read.
    pub(super) strips: Result<&'a [RecordRow], &'a str>,
    /// Rows for the timeline, newest first.
    pub(super) records: &'a [RecordRow],
    /// Every cluster, this one too.
    pub(super) tabs: &'a [Tab],
    /// For the page's forms; none: this browser may only look.
    pub(super) stamp: Option<&'a Stamp>,
    /// What a form came to that was sent from here.
    pub(super) said: Option<&'a str>,
}

/// A cluster's page.
pub(super) fn cluster(scene: &Scene<'_>) -> String {
    frame::page(
        &scene.watched.name,
        scene.tabs,
        Some((scene.watched, scene.settled.mode)),
        scene.age,
        Some(scene.revision),
        |html| {
            if let Some(said) = scene.said {
                html.leaf("p", &[("class", &"said"), ("role", &"status")], said);
            }
            headline::section(scene, html);
            forms::section(scene, html);
            incident::section(scene, html);
            restoration::section(scene, html);
            html.element("div", &[("class", &"pair")], |html| {
                grid::section(scene, html);
                strips::section(scene, html);
            });
            decisions::section(scene, html);
            limits::section(scene, html);
            timeline::section(scene, html);
        },
    )
}

/// How a cluster is as a whole, and what is wrong in a sentence: what a list of clusters shows of it.
pub(super) fn tab(watched: &Watched, status: Option<&Status>) -> Tab {
    let level = headline::level(status);
    Tab { name: watched.name.clone(), level, sentence: headline::sentence(watched, status) }
}

/// A section that a script swaps as a whole.
fn live(html: &mut Html, id: &'static str, class: &str, heading: &'static str, inside: impl FnOnce(&mut Html)) {
    let labelled = format!("{id}-heading");
    html.element(
        "section",
        &[("id", &id), ("class", &class), ("aria-labelledby", &labelled), ("data-live", &"")],
        |html| {
            html.leaf("h2", &[("id", &labelled)], heading);
            inside(html);
        },
    );
}
