//! The page of a healthy, a hurt, and an untold cluster, and of one whose every name is hostile.

use defib_engine::check::{Hold, Judgement, Lift};
use defib_engine::finding::{Class, Layer, Subject};
use defib_engine::incident::Incident;
use defib_engine::ledger::LimitUse;
use defib_engine::record::{FindingKey, IncidentState};
use defib_engine::settings::Mode;
use defib_engine::status::{Decision, Finding, RunStatus, Unknown};
use defib_engine::time::{Now, UnixMs};
use serde_json::json;

use super::super::act::Wish;
use super::*;

const NOW_MS: i64 = 1_795_662_847_000;

fn watched() -> Watched {
    Watched {
        name: "prod".to_owned(),
        nodes: ["cp1", "cp2", "cp3"].map(str::to_owned).to_vec(),
        addresses: ["192.0.2.11", "192.0.2.12", "192.0.2.13"].map(str::to_owned).to_vec(),
        vip: Some("192.0.2.100:6443".to_owned()),
        armed: vec!["restart-kubelet".to_owned()],
    }
}

fn key(rule: &'static str, node: Option<&str>) -> FindingKey {
    FindingKey { rule, subject: node.map_or(Subject::Cluster, |node| Subject::Node(node.to_owned())) }
}

fn finding(key: FindingKey, layer: Layer, since_s: i64, text: &str, causes: &[FindingKey]) -> Finding {
    let since = UnixMs(NOW_MS - since_s * 1_000);
    Finding { key, layer, class: Class::Outage, since, text: text.to_owned(), explained_by: causes.to_vec() }
}

fn healthy() -> Status {
    Status { now: Now { mono: Tick(900_000), wall: UnixMs(NOW_MS) }, store_answers: true, ..Status::default() }
}

fn outage() -> Status {
    let quorum = key("etcd-quorum-lost", None);
    let frozen = key("machine-unreachable", Some("cp3"));
    let mut findings = vec![
        finding(frozen.clone(), Layer::Machine, 160, "no answer on any path for 2m40s", &[]),
        finding(quorum.clone(), Layer::Etcd, 150, "1 of 3 members serves, 2 are needed", std::slice::from_ref(&frozen)),
        finding(key("etcd-member-hung", Some("cp2")), Layer::Etcd, 151, "TCP is accepted, nothing is answered", &[]),
    ];
    for node in ["cp1", "cp2"] {
        let text = format!("{node}'s kubelet waits 2m40s before the next start");
        let down = key("apiserver-crash-looping", Some(node));
        findings.push(finding(down, Layer::Apiserver, 120, &text, std::slice::from_ref(&quorum)));
    }
    let causes = [key("apiserver-crash-looping", Some("cp1"))];
    findings.push(finding(key("vip-lost", None), Layer::Vip, 100, "connect-timeout", &causes));
    let incident = Incident {
        id: "I-7".to_owned(),
        opened: Tick(740_000),
        root: frozen,
        findings: findings.iter().map(|finding| finding.key.clone()).collect(),
        state: IncidentState::Open,
    };
    let hold = |check, text: &str, lifts| Hold { check, text: text.to_owned(), lifts };
    let decision = |node: &str, holds| Decision {
        playbook: "restart-kubelet".to_owned(),
        node: node.to_owned(),
        judgement: Judgement { passed: vec![("fresh", "7 probes, the oldest 2.1s".to_owned())], holds },
    };
    Status {
        findings,
        unknown: vec![Unknown {
            key: key("apiserver-down", Some("cp3")),
            layer: Layer::Apiserver,
            class: Class::Outage,
            why: "talos.containers: response-timeout".to_owned(),
        }],
        incidents: vec![incident],
        decisions: vec![
            decision("cp1", vec![hold("authority", "mode observe", Lift::Person)]),
            decision(
                "cp2",
                vec![
                    hold("quorum", "1 of 3 members serves, 2 are needed", Lift::Clears("etcd-quorum-lost")),
                    hold("budget", "cp2 2 of 2 per 1h used", Lift::At(Tick(2_340_000))),
                ],
            ),
        ],
        ..healthy()
    }
}

fn rows() -> Vec<RecordRow> {
    let row = |seq, ago_s: i64, kind: &str, body| RecordRow {
        seq,
        at_ms: NOW_MS - ago_s * 1_000,
        cluster: "prod".to_owned(),
        kind: kind.to_owned(),
        version: 1,
        body,
    };
    let levels =
        |machine, etcd, apiserver, vip| json!({"machine": machine, "etcd": etcd, "apiserver": apiserver, "vip": vip});
    let mut rows = vec![
        row(1, 800, "start", json!({"version": "0.1.0", "mode": "observe"})),
        row(2, 795, "layers", levels("unknown", "unknown", "unknown", "unknown")),
        row(3, 785, "layers", levels("well", "well", "well", "well")),
        row(4, 500, "start", json!({"version": "0.1.0", "mode": "observe", "lived_until_ms": NOW_MS - 560_000})),
        row(5, 490, "layers", levels("well", "well", "well", "well")),
        row(6, 160, "layers", levels("outage", "outage", "well", "well")),
        row(
            7,
            160,
            "finding",
            json!({"finding": "machine-unreachable", "scope": "cp3", "change": "raised", "text": "no answer on any path"}),
        ),
        row(8, 120, "layers", levels("outage", "outage", "outage", "outage")),
        row(
            9,
            60,
            "outcome",
            json!({"run": "R-1", "step": "s", "action": "restart-service kubelet", "outcome": "done", "text": "Talos took it"}),
        ),
        row(
            10,
            20,
            "hold",
            json!({"playbook": "restart-kubelet", "node": "cp2", "check": "quorum", "change": "raised", "text": "1 of 3", "lifts": "when etcd-quorum-lost clears"}),
        ),
    ];
    rows.reverse();
    rows
}

fn shown(watched: &Watched, status: Option<&Status>, rows: &[RecordRow], late: Duration) -> String {
    let age = Age { as_of_ms: NOW_MS, late, tick: Tick(900_000), model: false };
    let tabs = [tab(watched, status)];
    let settled = Settled { mode: Mode::Observe, watched: Vec::new(), without_journal: None, model: false };
    let window = Window::default();
    cluster(&Scene {
        watched,
        settled: &settled,
        stamp: Some(&stamp()),
        said: None,
        status,
        age,
        revision: 7,
        window,
        strips: Ok(rows),
        records: rows,
        tabs: &tabs,
    })
}

fn stamp() -> Stamp {
    Stamp { token: "secret".to_owned(), number: "n1".to_owned() }
}

/// What a reader who sees no markup reads.
fn read(page: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for letter in page.chars() {
        match letter {
            '<' => inside = true,
            '>' => inside = false,
            letter if !inside => text.push(letter),
            _ => {}
        }
    }
    text
}

#[test]
fn a_healthy_cluster_is_said_to_be_healthy_with_the_time_of_saying() {
    let page = shown(&watched(), Some(&healthy()), &rows(), Duration::ZERO);
    let text = read(&page);
    assert!(text.contains("✓Healthy Everything that is watched answers"), "{text}");
    assert!(text.contains("as of 03:14:07Z"), "{text}");
    assert!(text.contains("✓ 192.0.2.100:6443 answers"), "{text}");
    assert!(page.contains(r#"id="incident" data-live="" hidden="""#), "nothing is explained where nothing is wrong");
    assert!(
        !page.contains("style=") && !page.contains("<script>") && !page.contains("onclick"),
        "nothing that the policy forbids"
    );
}

#[test]
fn an_outage_names_its_root_since_when_and_why_nothing_is_done() {
    let page = shown(&watched(), Some(&outage()), &rows(), Duration::ZERO);
    let text = read(&page);
    for words in [
        "✗Outage The API cannot be reached at 192.0.2.100:6443: etcd has no quorum.",
        "Since 03:11:27Z, for 2m40s.",
        "Root machine-unreachable cp3 no answer on any path for 2m40s",
        "Doing nothing, in mode observe; it would run restart-kubelet on cp1.",
        "quorum: 1 of 3 members serves, 2 are needed; lifts when etcd-quorum-lost clears",
        "budget: cp2 2 of 2 per 1h used; lifts in 24m",
        "✗ crash-looping",
        "? unknown",
        "talos.containers: response-timeout",
    ] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    let order = ["machine-unreachable", "etcd-quorum-lost", "apiserver-crash-looping", "vip-lost"];
    let chain = page.split("class=\"chain\"").nth(1).unwrap();
    let places: Vec<_> = order.iter().map(|rule| chain.find(&format!("<code>{rule}</code>")).unwrap()).collect();
    assert!(places.is_sorted(), "causes stand before what they explain: {places:?}");
    assert!(page.contains("etcd: outage for 2m40s, unknown for 10s, well for 9m15s, not observed for 2m55s"));
    assert!(page.contains("03:13:07Z restart-service kubelet done"));
}

#[test]
fn what_is_not_judged_or_not_told_is_never_green() {
    let unjudged = shown(&watched(), None, &[], Duration::ZERO);
    assert!(read(&unjudged).contains("?Cannot tell Not judged yet"));
    assert!(!unjudged.contains(r#"<td class="well""#));
    let only = Status { unknown: outage().unknown, ..healthy() };
    let page = shown(&watched(), Some(&only), &rows(), Duration::ZERO);
    let text = read(&page);
    assert!(
        text.contains("?Cannot tell Nothing is known to be wrong, and this is not known: talos.containers"),
        "{text}"
    );
    assert_eq!(page.matches(r#"<td class="unknown""#).count(), 1);
}

#[test]
fn a_page_that_is_old_says_so_itself() {
    let page = shown(&watched(), Some(&healthy()), &rows(), Duration::from_secs(30));
    assert!(
        read(&page).contains("✗ Stale: the daemon&#39;s loop has not gone round since 2026-11-26T03:14:07Z"),
        "{page}"
    );
}

#[test]
fn a_run_is_shown_while_it_goes() {
    let run =
        RunStatus { id: "R-3".into(), playbook: "restart-kubelet".into(), node: "cp1".into(), phase: "verifying" };
    let page = shown(&watched(), Some(&Status { run: Some(run), ..outage() }), &[], Duration::ZERO);
    assert!(read(&page).contains("Doing restart-kubelet on cp1, R-3: verifying."));
}

#[test]
fn whose_copy_to_go_on_from_is_shown_while_quorum_is_lost_with_every_address() {
    use defib_engine::restoration::{Copy, Restoration, Source};
    let copy = |node: &str, source| Copy { node: node.into(), told: Some((1_200, UnixMs(NOW_MS))), source };
    let restoration = Restoration {
        missing: 1,
        mute: vec!["cp2".into(), "cp3".into()],
        copies: vec![copy("cp1", Source::Member), copy("cp2", Source::Nowhere), copy("cp3", Source::Nowhere)],
        from: Ok("cp1".into()),
    };
    let status = Status { restoration: Some(restoration), ..outage() };
    let page = read(&shown(&watched(), Some(&status), &[], Duration::ZERO));
    assert!(page.contains("If quorum cannot come back"), "{page}");
    assert!(page.contains("talosctl -n 192.0.2.11 -e 192.0.2.11 etcd snapshot ./etcd-cp1.db"), "{page}");
    assert!(!read(&shown(&watched(), Some(&outage()), &[], Duration::ZERO)).contains("If quorum cannot come back"));
}

#[test]
fn no_name_and_no_evidence_is_ever_markup() {
    const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
    let watched = Watched {
        name: HOSTILE.to_owned(),
        nodes: vec![HOSTILE.to_owned()],
        vip: Some(HOSTILE.to_owned()),
        ..watched()
    };
    let mut status = outage();
    for finding in &mut status.findings {
        finding.text = HOSTILE.to_owned();
        if finding.key.subject != Subject::Cluster {
            finding.key.subject = Subject::Node(HOSTILE.to_owned());
        }
    }
    for incident in &mut status.incidents {
        incident.id = HOSTILE.to_owned();
        incident.findings = status.findings.iter().map(|finding| finding.key.clone()).collect();
    }
    for decision in &mut status.decisions {
        (decision.playbook, decision.node) = (HOSTILE.to_owned(), HOSTILE.to_owned());
        decision.judgement.passed.push(("fresh", HOSTILE.to_owned()));
        decision.judgement.holds.push(Hold { check: "quorum", text: HOSTILE.to_owned(), lifts: Lift::Person });
    }
    status.unknown[0].why = HOSTILE.to_owned();
    status.run =
        Some(RunStatus { id: HOSTILE.into(), playbook: HOSTILE.into(), node: HOSTILE.into(), phase: "verifying" });
    let mut rows = rows();
    for row in &mut rows {
        if let Some(body) = row.body.as_object_mut() {
            body.iter_mut().for_each(|(_, value)| *value = json!(HOSTILE));
        }
    }
    let tabs = [tab(&watched, Some(&status)), tab(&watched, None)];
    let age = Age { as_of_ms: NOW_MS, late: Duration::ZERO, tick: Tick(0), model: false };
    let whole = shown(&watched, Some(&status), &rows, Duration::ZERO);
    for page in [whole, overview(&tabs, age, 1), message(HOSTILE, HOSTILE, "/", false)] {
        assert!(!page.contains("<img") && !page.contains("<script>") && !page.contains("\"'>"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    }
}

#[test]
fn every_page_of_a_model_says_so() {
    let tabs = [tab(&watched(), Some(&healthy()))];
    let age = Age { as_of_ms: NOW_MS, late: Duration::ZERO, tick: Tick(0), model: true };
    for page in [overview(&tabs, age, 1), message("Not here", "There is no such page.", "/", true)] {
        assert!(page.contains(crate::api::MODEL), "{page}");
    }
    assert!(!overview(&tabs, Age { model: false, ..age }, 1).contains("MODEL"));
}

#[test]
fn several_clusters_stand_worst_first() {
    let other = Watched { name: "home".to_owned(), ..watched() };
    let tabs = [tab(&other, Some(&healthy())), tab(&watched(), Some(&outage()))];
    let age = Age { as_of_ms: NOW_MS, late: Duration::ZERO, tick: Tick(0), model: false };
    let page = overview(&tabs, age, 1);
    assert!(read(&page).contains("2 clusters: 1 outage, 1 well"));
    let list = page.split("<ul class=\"overview\">").nth(1).unwrap();
    assert!(list.find("/clusters/prod").unwrap() < list.find("/clusters/home").unwrap());
}

#[test]
fn a_pause_is_shown_with_its_author_its_reason_and_its_end() {
    let pause = defib_engine::command::Pause {
        kind: defib_engine::command::PauseKind::Command,
        holds: defib_engine::playbook::ActionClass::Harmless,
        by: "ann@ops <b>".to_owned(),
        reason: "host <i>maintenance</i>".to_owned(),
        since: UnixMs(NOW_MS - 60_000),
        until: Some(UnixMs(NOW_MS + 600_000)),
    };
    let status = Status { pauses: vec![pause], ..healthy() };
    let page = shown(&watched(), Some(&status), &[], Duration::ZERO);
    let said = "Paused by ann@ops &lt;b&gt;: host &lt;i&gt;maintenance&lt;/i&gt;; since 03:13:07Z, until 03:24:07Z";
    assert!(read(&page).contains(said), "{page}");
    assert!(page.contains("Resume prod") && page.contains(r#"name="token" value="secret""#));
    let calm = shown(&watched(), Some(&healthy()), &[], Duration::ZERO);
    assert!(!calm.contains("Resume prod") && calm.contains("Pause prod"));
}

#[test]
fn a_review_offers_only_what_no_guard_holds() {
    use defib_engine::command::{Plan, Preview};
    let plan = |node: &str, held: Option<(&'static str, Lift)>| Plan {
        playbook: "restart-kubelet".to_owned(),
        node: node.to_owned(),
        called_for: Some(key("apiserver-crash-looping", Some(node))),
        steps: vec!["collect-evidence".to_owned(), "restart-service kubelet".to_owned()],
        class: defib_engine::playbook::ActionClass::Service,
        judgement: Judgement {
            passed: vec![("fresh", "7 probes".to_owned())],
            holds: held.map(|(check, lifts)| Hold { check, text: "no room".to_owned(), lifts }).into_iter().collect(),
        },
        limits: "cp1 0 of 2 per 1h used".to_owned(),
        verify: "apiserver-crash-looping gone within 3m".to_owned(),
        fingerprint: "f1".to_owned(),
    };
    let later = Lift::At(Tick(60_000));
    let plans = vec![
        plan("cp1", None),
        plan("cp2", Some(("quorum", later.clone()))),
        plan("cp3", Some(("budget", later.clone()))),
        plan("cp4", Some(("budget", Lift::Ack))),
        plan("cp5", Some(("when", later))),
    ];
    let preview = Preview { cluster: "prod".to_owned(), plans };
    let settled = Settled { mode: Mode::Observe, watched: Vec::new(), without_journal: None, model: false };
    let age = Age { as_of_ms: NOW_MS, late: Duration::ZERO, tick: Tick(0), model: false };
    let page = |wish, stamp: Option<&Stamp>| {
        review((&watched(), &settled), (&[], age), Some(&outage()), (Ok(&preview), wish), stamp)
    };
    let first = page(Wish::default(), Some(&stamp()));
    assert_eq!(first.matches(r#"action="/clusters/prod/recover""#).count(), 1, "{first}");
    assert!(first.contains("Type cp1 to confirm") && !first.contains("Type cp3 to confirm"));
    assert!(first.contains(r#"href="/clusters/prod/recover?pass_limits=yes""#), "cp3, reviewed as it would be done");
    assert!(first.contains(r#"href="/clusters/prod/recover?waive_for=yes""#), "cp5");
    assert_eq!(first.matches("Held: no button can pass these checks.").count(), 2, "cp2 and cp4");
    assert!(!first.contains("data-revision"), "a form that is being filled in is not swapped");

    let wish = Wish { waive_for: true, pass_limits: true };
    let wished = page(wish, Some(&stamp()));
    assert!(wished.contains("As it would be without waiting and past the limits."));
    let posted = |name: &str| wished.contains(&format!(r#"<input type="hidden" name="{name}" value="yes">"#));
    assert!(posted("waive_for") && posted("pass_limits"), "what was reviewed is what is asked for");

    let looking = page(Wish::default(), None);
    assert!(!looking.contains("<form") && !looking.contains("secret") && looking.contains("defib dashboard"));
    let refused = review(
        (&watched(), &settled),
        (&[], age),
        None,
        (Err("the daemon is ending"), Wish::default()),
        Some(&stamp()),
    );
    assert!(refused.contains("the daemon is ending"));
}

#[test]
fn the_limits_are_gauges_with_figures_in_words() {
    let hour = Duration::from_secs(3600);
    let one = |subject, used, room_at, exhausted| LimitUse {
        playbook: "restart-kubelet".to_owned(),
        subject,
        used,
        of: 2,
        window: hour,
        room_at,
        exhausted,
    };
    let node = |name: &str| Subject::Node(name.to_owned());
    let idle = LimitUse { playbook: "reboot".to_owned(), ..one(Subject::Cluster, 0, None, false) };
    let limits = vec![
        idle,
        one(Subject::Cluster, 1, None, false),
        one(node("cp1"), 3, Some(Tick(2_340_000)), false),
        one(node("cp2"), 0, None, false),
        one(node("cp3"), 1, None, true),
    ];
    let status = Status { limits: limits.into(), ..healthy() };
    let page = shown(&watched(), Some(&status), &[], Duration::ZERO);
    let gauge = |class: &str, text: &str, value: u32, scope: &str| {
        let meter =
            format!(r#"<meter min="0" max="2" value="{value}" aria-label="restart-kubelet {scope}: runs used">"#);
        format!(r#"<li class="{class}"><b>{scope}</b> {text}{meter}"#)
    };
    assert!(page.contains(&gauge("room", "1 of 2 in 1h", 1, "cluster")), "{page}");
    assert!(page.contains(&gauge("full", "3 of 2 in 1h", 2, "cp1")), "a limit that a person passed is full");
    assert!(page.contains(&gauge("room", "0 of 2 in 1h", 0, "cp2")));
    assert!(page.contains(&gauge("full", "1 of 2 in 1h", 1, "cp3")));
    assert!(page.contains("Neither armed here nor used: reboot.") && !page.contains("reboot cluster: runs used"));
    assert!(page.contains("! full, room in 24m") && page.contains("! exhausted, until acknowledged"));
}

#[test]
fn the_address_stands_on_its_holder_where_the_certificate_tells() {
    let row = |status: &Status| {
        let page = shown(&watched(), Some(status), &[], Duration::ZERO);
        read(page.split(r#"<tr class="vip">"#).nth(1).unwrap().split("</tr>").next().unwrap())
    };
    let held = Status { vip_holder: Some("cp2".to_owned()), ..healthy() };
    assert_eq!(row(&held), "vip–✓ here–");
    assert!(row(&healthy()).contains("192.0.2.100:6443 answers"));
}

#[test]
fn the_way_past_a_dead_address_is_said_with_its_node_and_since_when() {
    use defib_engine::route::Route;
    let since = Some(UnixMs(NOW_MS - 60_000));
    let direct = Route { direct: true, direct_since: since, ready: vec!["cp2".to_owned()], suspect: Vec::new() };
    let text = |route| read(&shown(&watched(), Some(&Status { route, ..outage() }), &[], Duration::ZERO));
    let said = "Route directly to cp2, since 03:13:07Z, until the virtual address has been well for 30s.";
    assert!(text(direct.clone()).contains(said));
    assert!(
        text(Route { ready: Vec::new(), ..direct }).contains("past the virtual address, but no API server is ready")
    );
    assert!(!text(Route::default()).contains("Route "));
}

#[test]
fn what_is_being_done_is_what_nothing_holds() {
    let doing = |holds: Vec<Hold>| {
        let mut status = outage();
        status.decisions.truncate(1);
        status.decisions[0].judgement.holds = holds;
        headline::doing(Mode::Act, &status)
    };
    let hold = |check| Hold { check, text: String::new(), lifts: Lift::Person };
    assert_eq!(doing(vec![]), "about to run restart-kubelet on cp1.");
    assert_eq!(
        doing(vec![hold("authority")]),
        "nothing: restart-kubelet on cp1 waits for a person's permission alone."
    );
    assert!(doing(vec![hold("quorum")]).starts_with("nothing: every playbook"));
}
