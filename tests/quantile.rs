//! Our quantiles are Prometheus's: equal to what promtool computed on the same data, and true to what a quantile is.

use defib_engine::observation::Histogram;
use defib_engine::quantile::quantile;
use proptest::prelude::*;

/// etcd's bounds in seconds, and the last.
fn bounds() -> impl Iterator<Item = f64> {
    (0..14).map(|n| 0.001 * f64::from(1 << n)).chain([f64::INFINITY])
}

fn histogram(counts: &[f64]) -> Histogram {
    let buckets: Vec<_> = bounds().zip(counts.iter().copied()).collect();
    Histogram { count: buckets.last().map_or(0.0, |last| last.1), buckets, sum: 0.0 }
}

#[test]
fn equals_promtool_on_the_same_data() {
    let mut values = 0;
    for (number, line) in include_str!("quantile/promtool.txt").lines().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        let fields: Vec<_> = line.split(" | ").collect();
        let counts = |text: &str| text.split(' ').map(|count| count.parse().unwrap()).collect::<Vec<f64>>();
        let [q, before, after, expected] = fields.as_slice() else { panic!("line {}: {line}", number + 1) };
        let ours = quantile(q.parse().unwrap(), &histogram(&counts(before)), &histogram(&counts(after)));
        let expected: f64 = expected.parse().unwrap();
        match ours {
            None => assert!(expected.is_nan(), "line {}: none, {expected} by promtool", number + 1),
            Some(ours) => {
                let close = (ours - expected).abs() <= 1e-12 * expected.abs().max(ours.abs());
                assert!(close, "line {}: {ours}, {expected} by promtool", number + 1);
                values += 1;
            }
        }
    }
    assert!(values > 40, "only {values} cases have a value");
}

/// What fell into each bucket before and between the scrapes.
fn scrapes() -> impl Strategy<Value = (Vec<u32>, Vec<u32>)> {
    let counts = || prop::collection::vec(prop_oneof![Just(0_u32), 0..1_000_u32], 15);
    (counts(), counts())
}

fn cumulative(counts: &[u32]) -> Histogram {
    let mut sum = 0.0;
    let rising = counts.iter().map(|&count| {
        sum += f64::from(count);
        sum
    });
    histogram(&rising.collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn lies_in_the_bucket_of_its_rank((before, between) in scrapes(), q in 0.001..=1.0_f64) {
        let after: Vec<u32> = before.iter().zip(&between).map(|(a, b)| a + b).collect();
        let total: u32 = between.iter().sum();
        let value = quantile(q, &cumulative(&before), &cumulative(&after));
        prop_assert_eq!(value.is_some(), total > 0);
        if let Some(value) = value {
            let rank = q * f64::from(total);
            let bounds: Vec<f64> = bounds().collect();
            let highest = bounds[bounds.len() - 2];
            let mut seen = 0.0;
            let bucket = between.iter().position(|&count| { seen += f64::from(count); seen >= rank }).unwrap();
            let start = bucket.checked_sub(1).map_or(0.0, |below| bounds[below]);
            prop_assert!(value >= start.min(highest) && value <= bounds[bucket].min(highest), "{value} in {bucket}");
        }
    }

    #[test]
    fn rises_with_its_rank((before, between) in scrapes(), a in 0.0..=1.0_f64, b in 0.0..=1.0_f64) {
        let after: Vec<u32> = before.iter().zip(&between).map(|(a, b)| a + b).collect();
        let of = |q| quantile(q, &cumulative(&before), &cumulative(&after));
        prop_assert!(of(a.min(b)) <= of(a.max(b)));
    }

    #[test]
    fn what_came_before_the_window_does_not_count((before, between) in scrapes(), q in 0.0..=1.0_f64) {
        let after: Vec<u32> = before.iter().zip(&between).map(|(a, b)| a + b).collect();
        let fresh = quantile(q, &cumulative(&[0; 15]), &cumulative(&between));
        prop_assert_eq!(quantile(q, &cumulative(&before), &cumulative(&after)), fresh);
    }

    #[test]
    fn another_process_gives_no_value((before, between) in scrapes(), q in 0.0..=1.0_f64) {
        let after: Vec<u32> = before.iter().zip(&between).map(|(a, b)| a + b).collect();
        prop_assume!(before != after);
        prop_assert_eq!(quantile(q, &cumulative(&after), &cumulative(&before)), None);
    }

    #[test]
    fn whatever_a_target_says_is_survived(
        a in prop::collection::vec((any::<f64>(), any::<f64>()), 0..20),
        b in prop::collection::vec((any::<f64>(), any::<f64>()), 0..20),
        q in any::<f64>(),
    ) {
        let of = |buckets: Vec<(f64, f64)>| Histogram { buckets, sum: 0.0, count: 0.0 };
        let _ = quantile(q, &of(a), &of(b));
    }
}
