//! The dashboard in a real browser, beside a real control plane: live, stale, without a script, on a phone, and acting.

use std::time::Duration;

use defib_lab::fault::{Fault, Kind};
use serde_json::json;

use crate::browser::Browser;
use crate::support::{Stage, await_that};

const PAGE: &str = "http://127.0.0.1:9870/clusters/lab";
const SOON: Duration = Duration::from_secs(60);

fn text(words: &str) -> String {
    format!("(document.body?.innerText ?? '').includes({})", json!(words))
}

pub(crate) fn in_a_browser(stage: &Stage) {
    let config = stage.config("dashboard", &[]);
    let mut daemon = stage.daemon(&config);
    await_that("the daemon started", SOON, || !daemon.records("start").is_empty());

    let mut browser = Browser::open(stage, 1280, 1000);
    browser.go(PAGE);
    browser.until("the page is live and healthy", SOON, &format!("{} && {}", text("Healthy"), text("● live")));
    // The lab's API servers have a certificate each, so the address stands on one node; and every limit of what is
    // armed is a gauge.
    let here = "document.querySelectorAll('tr.vip td.well').length === 1";
    browser.until("the address stands on its holder", SOON, &format!("{here} && {}", text("here")));
    let gauges =
        browser.value("[...document.querySelectorAll('meter')].map((one) => [one.value, one.max].join('/')).join()");
    assert_eq!(gauges, json!("0/4,0/2,0/2,0/2"), "the cluster's and the nodes' windows, unspent");
    browser.picture("healthy");

    // A fault shows on the open page, with its name.
    let fault: Kind = "hang-etcd".parse().unwrap();
    let fault: Fault = fault.on(Some(defib_lab::Node::Cp2)).unwrap();
    stage.lab.break_(fault).unwrap();
    browser.until(
        "the open page shows the outage",
        SOON,
        &format!("{} && {}", text("Outage"), text("etcd-member-hung")),
    );
    browser.picture("outage");
    stage.lab.heal().unwrap();
    browser.until("the open page shows that it is over", SOON, &text("Healthy"));

    // A lost address shows the way past it, until the address has been well for a while.
    for node in defib_lab::Node::ALL {
        stage.lab.break_(Fault::LoseVip(node)).unwrap();
    }
    browser.until(
        "the page says where to go",
        SOON,
        &format!("{} && {}", text("Route directly to cp"), text(", since ")),
    );
    browser.picture("vip-lost");
    stage.lab.heal().unwrap();
    let back = format!("{} && !{}", text("Healthy"), text("Route directly to"));
    browser.until("the page goes back to the address", 2 * SOON, &back);

    // On a phone nothing moves sideways, and nothing is lost without a script.
    let phone = json!({"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true});
    browser.ask("Emulation.setDeviceMetricsOverride", phone);
    assert_eq!(browser.value("document.documentElement.scrollWidth <= 390"), json!(true), "it scrolls sideways");
    browser.picture("phone");
    browser.ask("Emulation.setScriptExecutionDisabled", json!({"value": true}));
    browser.go(PAGE);
    for words in ["Healthy", "as of", "What happened", "Over time"] {
        browser.until("the page is whole without a script", SOON, &text(words).replace("innerText", "textContent"));
    }
    browser.ask("Emulation.setScriptExecutionDisabled", json!({"value": false}));
    browser.ask("Emulation.clearDeviceMetricsOverride", json!({}));

    // Whoever only reaches the address may look; the link that the daemon's user is given lets this browser act.
    assert_eq!(browser.value("document.querySelectorAll('form').length"), json!(0), "nothing can be sent");
    let link = stage.run(&config, &["dashboard"]).stdout;
    browser.go(String::from_utf8_lossy(&link).trim());
    browser.until("the page has its forms", SOON, "document.querySelector('form.pause') !== null");

    // A pause by the form, once however often it is sent.
    browser.go(PAGE);
    browser.value("document.querySelector('#pause').open = true");
    browser.value("document.querySelector('form.pause input[name=reason]').value = 'a <b>drill</b>'");
    browser.value(
        "document.querySelector('form.pause button').click(); document.querySelector('form.pause button').click()",
    );
    browser.until("the pause is shown with its author", SOON, &text("on the dashboard: a <b>drill</b>"));
    browser.picture("paused");
    assert_eq!(daemon.records("command").len(), 1, "sent twice, done once");
    browser.value("document.querySelector('form.resume button').click()");
    browser.until("it goes on", SOON, &format!("{} && !{}", text("Healthy"), text("on the dashboard: a <b>drill</b>")));

    // Killed: an open page says so by itself, and comes back by itself.
    browser.go(PAGE);
    browser.until("the page is live", SOON, &text("● live"));
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    browser.until("the page says that it is stale", Duration::from_secs(20), &text("Stale since"));
    browser.picture("stale");
    let forbidden: Vec<_> = browser.complaints.iter().filter(|text| text.contains("Content Security Policy")).collect();
    assert!(forbidden.is_empty(), "{forbidden:?}");
    let daemon = stage.daemon(&config);
    browser.until("the page is live again", SOON, &format!("{} && !{}", text("● live"), text("Stale since")));
    drop(daemon);
}
