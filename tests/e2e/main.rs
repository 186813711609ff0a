//! End to end: defib against a control plane of real parts. One lab serves every test; it is raised before the first,
//! healed before each, and taken down after the last.
//!
//! It needs root. Without it these tests fail, unless `DEFIB_WITHOUT_LAB=1` leaves them out, and then they say how many.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what went wrong by panicking")]
#![expect(clippy::print_stderr, reason = "a lab takes a while to come up, and a person waits")]

mod browser;
mod check;
mod command;
mod daemon;
mod dashboard;
mod detect;
mod drill;
mod figures;
mod isolation;
mod leader;
mod playbooks;
mod reboot;
mod replace;
mod snapshot;
mod space;
mod support;
mod teardown;
mod traffic;
mod wire;

use libtest_mimic::{Arguments, Trial};
use support::Stage;

type Case = (&'static str, fn(&Stage));

/// In order: what breaks nothing first, the long drill last but for a reboot, which no guard lets be in a young lab.
const CASES: &[Case] = &[
    ("wire::versions_services_and_containers_are_read_from_real_parts", wire::reads),
    ("wire::a_reader_may_not_restart", wire::reader_may_not_restart),
    ("wire::talos_refuses_to_restart_etcd", wire::etcd_is_not_restarted),
    ("wire::a_stranger_is_turned_away_at_the_first_call", wire::stranger),
    ("wire::the_kubelet_log_is_bounded_and_read", wire::kubelet_log),
    ("reboot::a_call_reboots_one_machine", reboot::by_the_call),
    ("figures::etcd_machines_and_credentials_tell_theirs", figures::seen),
    ("figures::a_clock_that_is_off_is_seen", figures::clock),
    ("figures::a_slow_disk_shows_in_fsyncs_and_is_found", figures::slow_disk),
    ("figures::a_starved_machine_shows_stolen_time", figures::starved),
    ("check::a_healthy_cluster_is_healthy", check::healthy),
    ("check::nothing_is_known_where_no_credential_can_be_read", check::without_credentials),
    ("snapshot::a_snapshot_holds_what_was_put", snapshot::holds_what_was_put),
    ("snapshot::a_schedule_keeps_the_newest_and_tells_of_failures", snapshot::on_a_schedule),
    ("check::a_hung_member_is_named", check::hung_member),
    ("check::a_frozen_machine_is_named_and_explains_alone", check::frozen_machine),
    ("daemon::it_serves_its_health_and_metrics_and_ends_on_sigterm", daemon::endpoints),
    ("daemon::a_second_one_says_who_holds_the_journal", daemon::second),
    ("detect::a_death_is_suspected_and_a_silence_is_not_and_both_are_found", detect::death_and_silence),
    ("command::nothing_to_recover_and_a_pause_round_trip", command::round_trip),
    ("dashboard::it_is_live_says_when_it_is_not_and_acts_once", dashboard::in_a_browser),
    ("traffic::two_hundred_connections_go_through_the_lifeline", traffic::through_the_lifeline),
    ("isolation::cut_off_it_names_itself_and_touches_nothing", isolation::cut_off),
    ("playbooks::a_container_is_restarted_and_a_running_kubelet_left_alone", playbooks::container),
    ("playbooks::a_hung_api_server_is_restarted", playbooks::hung_apiserver),
    ("leader::it_is_handed_over_once", leader::is_handed_over),
    ("space::a_full_etcd_takes_writes_again", space::is_reclaimed),
    ("replace::a_corrupt_member_joins_anew_by_a_persons_word", replace::joins_anew),
    ("drill::vip_lost", drill::vip_lost),
    ("drill::back_off", drill::back_off),
    ("reboot::a_person_has_one_machine_rebooted", reboot::by_a_person),
    ("teardown::an_up_that_was_killed_is_cleared_away", teardown::killed_up),
];

fn main() {
    let mut arguments = Arguments::from_args();
    // One lab, one test at a time.
    arguments.test_threads = Some(1);
    if std::env::var("DEFIB_WITHOUT_LAB").is_ok_and(|value| value == "1") {
        eprintln!("left out: {} tests that need the lab (DEFIB_WITHOUT_LAB=1)", CASES.len());
        let none = libtest_mimic::run(&arguments, Vec::new());
        none.exit();
    }
    rustls::crypto::ring::default_provider().install_default().expect("no provider is installed yet");
    let wanted = !arguments.list && CASES.iter().any(|(name, _)| matches(&arguments, name));
    let stage = if wanted { Some(support::raise()) } else { None };
    let trials = CASES.iter().map(|&(name, case)| {
        let stage = stage.clone();
        Trial::test(name, move || {
            let stage = stage.ok_or("the lab was not raised")?;
            stage.healed();
            case(&stage);
            Ok(())
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    drop(stage);
    support::lower();
    conclusion.exit();
}

fn matches(arguments: &Arguments, name: &str) -> bool {
    let hit = |wanted: &String| if arguments.exact { name == wanted } else { name.contains(wanted.as_str()) };
    arguments.filter.as_ref().is_none_or(hit) && !arguments.skip.iter().any(hit)
}
