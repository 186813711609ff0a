//! kube-vip's rules of leadership over a Lease, as a pure function of what was read and when.
//!
//! They are those of Kubernetes' own leader election, which kube-vip uses: a candidate takes a lease over only when *it*
//! has seen the record unchanged for the lease's whole duration (clocks of different nodes are never compared); whoever
//! is named in the record renews at once; a holder that could not renew for the renew deadline is holder no longer.
//! One rule is stricter than the original: a holder that reads another's name gives up at once instead of after its
//! deadline. Left out: the jitter between two attempts, and giving a lease back before it ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a lease, a renewal and the pause between two attempts last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a record must stay unchanged before somebody else may take it; 15 s in kube-vip.
    pub lease: Duration,
    /// How long a holder may fail to renew before it gives up; 10 s.
    pub renew_deadline: Duration,
    /// Between two attempts; 2 s.
    pub retry: Duration,
}

impl Timing {
    /// kube-vip's defaults: 15, 10 and 2 s.
    pub const KUBE_VIP: Self =
        Self { lease: Duration::from_secs(15), renew_deadline: Duration::from_secs(10), retry: Duration::from_secs(2) };
}

/// The `spec` of a Lease of `coordination.k8s.io/v1`. Times are RFC 3339 with microseconds and never read back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    /// Who holds it; absent or empty: nobody.
    pub holder_identity: Option<String>,
    /// The lease's duration in seconds.
    pub lease_duration_seconds: Option<u64>,
    /// When the present holder took it.
    pub acquire_time: Option<String>,
    /// When it was renewed last.
    pub renew_time: Option<String>,
    /// How often it changed hands.
    pub lease_transitions: Option<u64>,
}

impl Record {
    fn holder(&self) -> &str {
        self.holder_identity.as_deref().unwrap_or_default()
    }
}

/// One candidate for the lease, with what it remembers between two attempts. Instants are durations since any fixed
/// point of a monotonic clock.
#[derive(Debug)]
pub struct Candidate {
    identity: String,
    timing: Timing,
    seen: Option<(Record, Duration)>,
    renewed: Option<Duration>,
}

impl Candidate {
    /// A candidate that has seen nothing and holds nothing.
    pub fn new(identity: impl Into<String>, timing: Timing) -> Self {
        Self { identity: identity.into(), timing, seen: None, renewed: None }
    }

    /// What to write after reading `found` (`None`: there is no such lease), `stamp` being the wall clock in RFC 3339
    /// with microseconds; `None`: write nothing, the lease is another's.
    pub fn propose(&mut self, found: Option<&Record>, now: Duration, stamp: &str) -> Option<Record> {
        let fresh = |transitions| Record {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(self.timing.lease.as_secs()),
            acquire_time: Some(stamp.to_owned()),
            renew_time: Some(stamp.to_owned()),
            lease_transitions: Some(transitions),
        };
        let Some(found) = found else { return Some(fresh(0)) };
        let transitions = found.lease_transitions.unwrap_or_default();
        let wanted = if found.holder() == self.identity {
            Some(Record { acquire_time: found.acquire_time.clone(), ..fresh(transitions) })
        } else if found.holder().is_empty() || self.unchanged_for(found, now) >= self.timing.lease {
            Some(fresh(transitions + 1))
        } else {
            None
        };
        if found.holder() != self.identity {
            self.renewed = None;
        }
        if self.seen.as_ref().is_none_or(|(record, _)| record != found) {
            self.seen = Some((found.clone(), now));
        }
        wanted
    }

    fn unchanged_for(&self, found: &Record, now: Duration) -> Duration {
        match &self.seen {
            Some((record, since)) if record == found => now.saturating_sub(*since),
            _ => Duration::ZERO,
        }
    }

    /// The API server has stored what [`Candidate::propose`] wanted; `asked` is when that attempt began, from which the
    /// renew deadline counts.
    pub fn stored(&mut self, record: Record, asked: Duration, now: Duration) {
        self.seen = Some((record, now));
        self.renewed = Some(asked);
    }

    /// Until when this candidate may hold the address without another renewal; `None`: it does not hold it.
    pub fn holds_until(&self) -> Option<Duration> {
        self.renewed.map(|renewed| renewed + self.timing.renew_deadline)
    }

    /// Gives up what its deadline has passed. True when it holds the lease afterwards.
    pub fn holds(&mut self, now: Duration) -> bool {
        if self.holds_until().is_some_and(|until| now >= until) {
            self.renewed = None;
        }
        self.renewed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn candidate(name: &str) -> Candidate {
        Candidate::new(name, Timing::KUBE_VIP)
    }

    fn held_by(name: &str, renewed: &str) -> Record {
        Record {
            holder_identity: Some(name.into()),
            lease_duration_seconds: Some(15),
            acquire_time: Some("a".into()),
            renew_time: Some(renewed.into()),
            lease_transitions: Some(3),
        }
    }

    #[test]
    fn creates_a_lease_that_is_not_there() {
        let mut one = candidate("cp1");
        let record = one.propose(None, s(0), "t0").expect("nobody holds it");
        assert_eq!((record.holder(), record.lease_transitions), ("cp1", Some(0)));
        assert!(!one.holds(s(0)), "a wish is not a lease");
        one.stored(record, s(0), s(1));
        assert_eq!(one.holds_until(), Some(s(10)), "counted from when the attempt began");
    }

    #[test]
    fn takes_over_only_what_it_saw_unchanged_for_the_whole_duration() {
        let mut two = candidate("cp2");
        let old = held_by("cp1", "r1");
        assert_eq!(two.propose(Some(&old), s(100), "t"), None, "however old, it was seen first at this moment");
        assert_eq!(two.propose(Some(&old), s(114), "t"), None);
        assert_eq!(two.propose(Some(&held_by("cp1", "r2")), s(115), "t"), None, "renewed: the wait begins again");
        assert_eq!(two.propose(Some(&held_by("cp1", "r2")), s(129), "t"), None);
        let taken = two.propose(Some(&held_by("cp1", "r2")), s(130), "t9").expect("15 s unchanged");
        assert_eq!((taken.holder(), taken.lease_transitions), ("cp2", Some(4)));
        assert_eq!(taken.acquire_time.as_deref(), Some("t9"));
    }

    #[test]
    fn the_same_identity_renews_at_once() {
        let mut one = candidate("cp1");
        let renewed = one.propose(Some(&held_by("cp1", "r1")), s(0), "t5").expect("its own");
        assert_eq!(renewed.acquire_time.as_deref(), Some("a"), "when it was acquired stays");
        assert_eq!((renewed.renew_time.as_deref(), renewed.lease_transitions), (Some("t5"), Some(3)));
    }

    #[test]
    fn a_lease_given_back_is_taken_at_once() {
        let free = Record { holder_identity: Some(String::new()), ..held_by("", "r") };
        assert!(candidate("cp3").propose(Some(&free), s(0), "t").is_some());
    }

    #[test]
    fn gives_up_when_renewal_fails_for_the_deadline() {
        let mut one = candidate("cp1");
        one.stored(held_by("cp1", "r"), s(4), s(5));
        assert!(one.holds(s(13)));
        assert!(!one.holds(s(14)));
        assert!(!one.holds(s(5)), "what was given up is not taken back by a clock");
    }

    #[test]
    fn gives_up_at_once_when_another_is_named() {
        let mut one = candidate("cp1");
        one.stored(held_by("cp1", "r"), s(4), s(5));
        assert_eq!(one.propose(Some(&held_by("cp2", "r2")), s(6), "t"), None);
        assert!(!one.holds(s(6)));
    }
}
