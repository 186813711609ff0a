//! How long to wait for a sign of life: from the round trips that a target has shown, not from the worst that is allowed.
//! Pure: time is an argument.
//!
//! The estimate is Jacobson's (RFC 6298): a smoothed round trip and its mean deviation. The deadline is four times both,
//! for a fresh connection takes up to four round trips; never under [`FLOOR`], which a lost packet that is sent again
//! survives; and never over what the kind allows. Before the first answer, it is that. A silence doubles it, so that one
//! that is merely slow is heard at the second or third question; an answer takes the doubling back.
//!
//! Who says that it has too many requests (429) is left alone: as long as it asks, or ever longer, at most
//! [`REST_MAX`], so that what is known of it does not grow stale.

use std::time::Duration;

use defib_engine::observation::ProbeKind;

/// No deadline is shorter: on a held connection the kernel sends again after 200 ms.
pub const FLOOR: Duration = Duration::from_millis(500);
/// Who has too many requests is left alone for so long at most.
pub const REST_MAX: Duration = Duration::from_secs(5);
/// So long at the first time, where the target names no time.
const REST_MIN: Duration = Duration::from_secs(1);
/// A deadline is doubled at most so often; beyond that every kind's own bound counts.
const DOUBLINGS_MAX: u32 = 4;

/// The deadlines of one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For the first thing that proves that somebody is there.
    pub sign: Duration,
    /// For the whole exchange.
    pub whole: Duration,
}

impl Deadlines {
    /// The same for both.
    #[must_use]
    pub fn only(whole: Duration) -> Deadlines {
        Deadlines { sign: whole, whole }
    }
}

/// What one target and kind has taught.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    /// The smoothed round trip and its mean deviation.
    usual: Option<(Duration, Duration)>,
    /// Silences since the last answer.
    silent: u32,
    /// 429s since the last other answer.
    turned_away: u32,
    rest: Duration,
}

impl Patience {
    /// The deadlines of the next question of this kind. Silence is what must be noticed of a process and of a machine; a
    /// linearizable read may wait for an election, and what is only read for its figures has time.
    #[must_use]
    pub fn deadlines(&self, kind: ProbeKind, late: Duration) -> Deadlines {
        let whole = kind.deadline();
        match kind {
            ProbeKind::Apiserver | ProbeKind::Vip => Deadlines { sign: self.within(whole, late), whole },
            ProbeKind::EtcdStatus | ProbeKind::EtcdReadSerializable | ProbeKind::TalosServices | ProbeKind::Canary => {
                Deadlines::only(self.within(whole, late))
            }
            _ => Deadlines::only(whole),
        }
    }

    /// How long to wait for a sign of life, at most `bound`. `late` is how late our own timers ran lately: our slowness
    /// is not the target's.
    fn within(&self, bound: Duration, late: Duration) -> Duration {
        let Some((round_trip, deviation)) = self.usual else { return bound };
        let usual = (round_trip + deviation).saturating_mul(4).max(FLOOR);
        (usual.saturating_mul(1 << self.silent) + late.saturating_mul(2)).min(bound)
    }

    /// It gave a sign of life after this time.
    pub fn answered(&mut self, took: Duration) {
        self.usual = Some(match self.usual {
            None => (took, took / 2),
            Some((round_trip, deviation)) => {
                ((round_trip * 7 + took) / 8, (deviation * 3 + round_trip.abs_diff(took)) / 4)
            }
        });
        (self.silent, self.turned_away, self.rest) = (0, 0, Duration::ZERO);
    }

    /// It was silent until the deadline.
    pub fn was_silent(&mut self) {
        self.silent = (self.silent + 1).min(DOUBLINGS_MAX);
    }

    /// It has too many requests, and asks to be left alone for a while, perhaps.
    pub fn was_turned_away(&mut self, asked: Option<Duration>) {
        let growing = REST_MIN.saturating_mul(1 << self.turned_away);
        self.turned_away = (self.turned_away + 1).min(DOUBLINGS_MAX);
        self.rest = asked.unwrap_or_default().max(growing).min(REST_MAX);
    }

    /// How long its rounds are put off.
    #[must_use]
    pub fn rest(&self) -> Duration {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_millis(1_500);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_stranger_gets_all_the_time_and_a_quick_one_the_floor() {
        let mut patience = Patience::default();
        assert_eq!(patience.within(BOUND, ms(0)), BOUND);
        patience.answered(ms(2));
        assert_eq!(patience.within(BOUND, ms(0)), FLOOR);
        assert_eq!(patience.within(BOUND, ms(100)), FLOOR + ms(200), "our own slowness stretches it");
        assert_eq!(patience.within(ms(300), ms(0)), ms(300), "the kind's own bound counts");
    }

    #[test]
    fn silence_doubles_it_and_an_answer_takes_that_back() {
        let mut patience = Patience::default();
        patience.answered(ms(2));
        let mut waits = Vec::new();
        for _ in 0..4 {
            patience.was_silent();
            waits.push(patience.within(BOUND, ms(0)));
        }
        assert_eq!(waits, [ms(1_000), BOUND, BOUND, BOUND]);
        patience.answered(ms(2));
        assert_eq!(patience.within(BOUND, ms(0)), FLOOR);
    }

    #[test]
    fn rests_grow_stay_bounded_and_end_with_an_answer() {
        let mut patience = Patience::default();
        let mut rests = Vec::new();
        for _ in 0..5 {
            patience.was_turned_away(None);
            rests.push(patience.rest().as_secs());
        }
        assert_eq!(rests, [1, 2, 4, 5, 5]);
        patience.answered(ms(1));
        assert_eq!(patience.rest(), Duration::ZERO);
        patience.was_turned_away(Some(Duration::from_secs(3)));
        assert_eq!(patience.rest(), Duration::from_secs(3));
        patience.was_turned_away(Some(Duration::MAX));
        assert_eq!(patience.rest(), REST_MAX);
    }

    proptest::proptest! {
        #[test]
        fn whatever_was_heard_the_deadline_lies_between_its_bounds(
            heard in proptest::collection::vec(proptest::option::of(0_u64..1_000_000), 0..200),
            bound_ms in 1_u64..10_000,
            late_ms in 0_u64..100_000,
        ) {
            let mut patience = Patience::default();
            let bound = ms(bound_ms);
            for one in heard {
                match one {
                    Some(took) => patience.answered(ms(took)),
                    None => patience.was_silent(),
                }
                let within = patience.within(bound, ms(late_ms));
                proptest::prop_assert!(within <= bound && within >= FLOOR.min(bound));
            }
        }

        #[test]
        fn steady_round_trips_never_time_out(round_trip_ms in 1_u64..300, jitter_ms in 0_u64..50) {
            let mut patience = Patience::default();
            for turn in 0..50_u64 {
                let took = ms(round_trip_ms + jitter_ms * (turn % 2));
                proptest::prop_assert!(took < patience.within(ms(5_000), ms(0)));
                patience.answered(took);
            }
        }
    }
}
