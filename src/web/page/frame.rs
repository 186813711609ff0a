//! What stands around every page: the clusters, the mode, the page's age.

use defib_engine::settings::Mode;

use super::super::html::{Html, in_address};
use super::{Age, Tab, words};
use crate::api::MODEL;
use crate::hub::Watched;
use crate::report::layers::Level;
use crate::report::wall;

/// After so long without a turn of the loop a page is called stale, by the page itself and by its script.
pub(super) const STALE_AFTER: std::time::Duration = std::time::Duration::from_secs(3);

/// A whole page.
pub(super) fn page(
    title: &str,
    tabs: &[Tab],
    watched: Option<(&Watched, Mode)>,
    age: Age,
    revision: Option<u64>,
    main: impl FnOnce(&mut Html),
) -> String {
    let here = watched.map_or("", |(watched, _)| watched.name.as_str());
    let level = tabs.iter().filter(|tab| here.is_empty() || tab.name == here).map(|tab| tab.level).max();
    let level = level.unwrap_or(Level::Unknown);
    let model = if age.model { "MODEL " } else { "" };
    document(&format!("{} {model}{title} · defib", level.sign()), level, |html| {
        html.leaf("a", &[("class", &"skip"), ("href", &"#main")], "Skip to what is wrong");
        html.element("header", &[], |html| {
            html.element("div", &[("class", &"bar")], |html| {
                html.leaf("a", &[("class", &"brand"), ("href", &"/")], "defib");
                clusters(tabs, here, html);
                if let Some((watched, may)) = watched {
                    mode(watched, may, html);
                }
                as_of(age, html);
            });
        });
        banner(age.model, html);
        html.leaf(
            "p",
            &[
                ("id", &"stale"),
                ("role", &"alert"),
                ("class", &if age.late > STALE_AFTER { "stale" } else { "stale off" }),
            ],
            if age.late > STALE_AFTER {
                format!("✗ Stale: the daemon's loop has not gone round since {}", wall::date_time(age.as_of_ms))
            } else {
                String::new()
            },
        );
        match revision {
            // Only what has a revision is kept true by the script.
            Some(revision) => {
                let attributes: [(_, &dyn std::fmt::Display); 3] =
                    [("id", &"main"), ("data-revision", &revision), ("data-cluster", &here)];
                html.element("main", &attributes, main);
            }
            None => html.element("main", &[("id", &"main")], main),
        }
        html.element("footer", &[], |html| {
            html.leaf("span", &[], format!("defib {}", env!("CARGO_PKG_VERSION")));
            html.leaf("span", &[], "Times are UTC; hover for the date.");
            html.leaf("a", &[("href", &"/metrics")], "metrics");
            html.leaf("span", &[("class", &"noscript")], "Without a script this page does not update: reload it.");
        });
    })
}

/// A page that says one thing.
pub(in super::super) fn plain(title: &str, text: &str, back: &str, model: bool) -> String {
    document(&format!("{title} · defib"), Level::Unknown, |html| {
        html.element("header", &[], |html| {
            html.element("div", &[("class", &"bar")], |html| {
                html.leaf("a", &[("class", &"brand"), ("href", &"/")], "defib");
            });
        });
        banner(model, html);
        html.element("main", &[("id", &"main")], |html| {
            html.element("section", &[("class", &"card")], |html| {
                html.leaf("h1", &[], title);
                html.leaf("p", &[], text);
                html.element("p", &[], |html| html.leaf("a", &[("href", &back)], "Back"));
            });
        });
    })
}

/// What stands on every page of a model.
fn banner(model: bool, html: &mut Html) {
    if model {
        html.leaf("p", &[("id", &"model"), ("class", &"model")], MODEL);
    }
}

fn document(title: &str, level: Level, body: impl FnOnce(&mut Html)) -> String {
    let mut html = Html::new();
    html.doctype();
    html.element("html", &[("lang", &"en")], |html| {
        html.element("head", &[], |html| {
            html.empty("meta", &[("charset", &"utf-8")]);
            html.empty("meta", &[("name", &"viewport"), ("content", &"width=device-width, initial-scale=1")]);
            html.empty("meta", &[("name", &"color-scheme"), ("content", &"light dark")]);
            html.leaf("title", &[], title);
            html.empty("link", &[("rel", &"stylesheet"), ("href", &"/assets/page.css")]);
            html.empty(
                "link",
                &[("rel", &"icon"), ("type", &"image/svg+xml"), ("href", &format!("/assets/{level}.svg"))],
            );
            html.element("script", &[("src", &"/assets/page.js"), ("defer", &"")], |_| {});
        });
        html.element("body", &[("class", &level)], body);
    });
    html.into_text()
}

fn clusters(tabs: &[Tab], here: &str, html: &mut Html) {
    if tabs.len() < 2 {
        html.classed("span", "where", here);
        return;
    }
    html.element("nav", &[("aria-label", &"Clusters"), ("id", &"tabs"), ("data-live", &"")], |html| {
        html.element("ul", &[], |html| {
            for tab in tabs {
                let address = format!("/clusters/{}", in_address(&tab.name));
                html.element("li", &[], |html| {
                    let current = if tab.name == here { "page" } else { "false" };
                    html.element("a", &[("href", &address), ("aria-current", &current)], |html| {
                        words::sign(html, tab.level);
                        html.say(' ');
                        html.say(&tab.name);
                    });
                });
            }
        });
    });
}

fn mode(watched: &Watched, mode: Mode, html: &mut Html) {
    let may = match (mode, watched.armed.as_slice()) {
        (Mode::Observe, _) => "says what it would do, touches nothing".to_owned(),
        (_, []) => "nothing is armed here".to_owned(),
        (_, armed) => format!("may run {}", armed.join(", ")),
    };
    html.leaf("span", &[("class", &format!("mode {}", mode)), ("title", &may)], format!("mode {}", mode));
}

/// The age of the page in words that are right even where no script runs.
fn as_of(age: Age, html: &mut Html) {
    html.element("p", &[("id", &"age"), ("class", &"age"), ("data-as-of", &age.as_of_ms)], |html| {
        html.element("span", &[("id", &"live")], |html| html.say("as of"));
        html.say(' ');
        words::time(html, age.as_of_ms);
        html.empty("span", &[("id", &"local")]);
    });
}
