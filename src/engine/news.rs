//! Whether an observation tells anything that cannot wait: while no outage is about to open and nothing is under way, a
//! cluster is judged again at once when something about it changed, and otherwise when a wait or a hold ends, or after a
//! second, whatever is seen of it meanwhile. An outage that lasts so costs little more than none.
//!
//! Figures that move all the time (a raft index, how long an answer took, bytes, load) are no news by themselves: the rules
//! that read them wait for seconds anyway. Left out: what the news means (`diagnosis`), and when all counts (`cluster`).

use crate::observation::{Facts, KubeletLog, Observation, Seen};

/// The observation differs from the newest one of its kind in more than figures, or ends a time without any.
pub(crate) fn tells(before: Option<&Observation>, now: &Observation) -> bool {
    let Some(before) = before else { return true };
    if now.at.since(before.at) > now.kind.max_age() {
        return true;
    }
    match (&before.seen, &now.seen) {
        (Seen::Healthy(before), Seen::Healthy(now)) => differ(before, now),
        (before, now) => before != now,
    }
}

fn differ(before: &Facts, now: &Facts) -> bool {
    match (before, now) {
        (Facts::EtcdRead { .. }, Facts::EtcdRead { .. })
        | (Facts::EtcdMetrics(_), Facts::EtcdMetrics(_))
        | (Facts::TalosMachine(_), Facts::TalosMachine(_))
        | (Facts::HypervisorHost(_), Facts::HypervisorHost(_)) => false,
        (Facts::EtcdStatus(a), Facts::EtcdStatus(b)) => {
            (a.cluster_id, a.member_id, a.leader, a.term, a.learner)
                != (b.cluster_id, b.member_id, b.leader, b.term, b.learner)
                || a.errors != b.errors
                || a.version != b.version
        }
        (Facts::Apiserver(a), Facts::Apiserver(b)) => {
            (a.ready, a.live, a.certificate_not_after) != (b.ready, b.live, b.certificate_not_after)
                || a.failing != b.failing
                || a.certificate_sha256 != b.certificate_sha256
        }
        (Facts::Vip(a), Facts::Vip(b)) => {
            (a.ready, a.certificate_not_after) != (b.ready, b.certificate_not_after)
                || a.certificate_sha256 != b.certificate_sha256
        }
        (Facts::TalosKubeletLog(a), Facts::TalosKubeletLog(b)) => {
            let length = |log: &KubeletLog| log.back_off.as_ref().map(|back_off| back_off.length);
            length(a) != length(b)
        }
        (Facts::TalosDmesg(a), Facts::TalosDmesg(b)) => a.oom_kills.len() != b.oom_kills.len(),
        (Facts::HypervisorVm(a), Facts::HypervisorVm(b)) => {
            (&a.host, &a.state, &a.lock, &a.task, &a.ha, a.cpu_units)
                != (&b.host, &b.state, &b.lock, &b.task, &b.ha, b.cpu_units)
                || a.ill().is_some() != b.ill().is_some()
        }
        (before, now) => before != now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Apiserver, EtcdStatus, Failure, Path, ProbeKind, Target, Why};
    use crate::time::Tick;
    use std::time::Duration;

    fn seen(at_ms: u64, kind: ProbeKind, seen: Seen) -> Observation {
        let target = Target::Node("prod".to_owned(), "cp1".to_owned());
        Observation { target, path: Path::Direct, kind, sent: Tick(at_ms), at: Tick(at_ms), seen }
    }

    fn status(index: u64, leader: u64) -> Seen {
        Seen::Healthy(Facts::EtcdStatus(EtcdStatus { index, leader, ..EtcdStatus::default() }))
    }

    #[test]
    fn the_first_a_late_and_a_different_one_are_news_and_figures_are_not() {
        let kind = ProbeKind::EtcdStatus;
        let first = seen(0, kind, status(1, 7));
        assert!(tells(None, &first));
        assert!(!tells(Some(&first), &seen(1_000, kind, status(2, 7))));
        assert!(tells(Some(&first), &seen(1_000, kind, status(2, 8))));
        assert!(tells(Some(&first), &seen(60_000, kind, status(2, 7))));
        let refused = seen(1_000, kind, Seen::Unhealthy(Failure::Refused));
        assert!(tells(Some(&first), &refused));
        assert!(!tells(Some(&refused), &seen(2_000, kind, Seen::Unhealthy(Failure::Refused))));
        assert!(tells(Some(&refused), &seen(2_000, kind, Seen::Unhealthy(Failure::Reset))));
        assert!(tells(Some(&refused), &seen(2_000, kind, Seen::Unknown(Why::Unauthorized(String::new())))));
    }

    #[test]
    fn readiness_is_news_and_how_long_it_took_is_not() {
        let kind = ProbeKind::Apiserver;
        let ready = |ready, took_ms| {
            let took = Duration::from_millis(took_ms);
            Seen::Healthy(Facts::Apiserver(Apiserver { ready, took, ..Apiserver::default() }))
        };
        let before = seen(0, kind, ready(true, 1));
        assert!(!tells(Some(&before), &seen(1_000, kind, ready(true, 900))));
        assert!(tells(Some(&before), &seen(1_000, kind, ready(false, 1))));
    }
}
