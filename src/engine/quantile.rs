//! Quantiles of what happened between two scrapes of a histogram: the same figure that Prometheus's `histogram_quantile`
//! gives for the difference of the two.
//!
//! Linear inside a bucket; the highest finite bound where the rank lies above it; no value where nothing happened between
//! the scrapes, or where they do not fit together. Left out: which two scrapes (`window`).

use crate::observation::Histogram;

/// The `q`-quantile, 0 to 1, in the histogram's own unit (seconds), of what was observed after `earlier` up to `later`.
/// None where nothing was, where a count has fallen (another process), or where the buckets differ.
#[must_use]
pub fn quantile(q: f64, earlier: &Histogram, later: &Histogram) -> Option<f64> {
    let buckets = increase(earlier, later)?;
    let (&(last_bound, total), finite) = buckets.split_last()?;
    let highest = finite.last()?.0;
    if last_bound != f64::INFINITY || total <= 0.0 || !(0.0..=1.0).contains(&q) {
        return None;
    }
    let rank = q * total;
    let Some(index) = finite.iter().position(|&(_, count)| count >= rank) else { return Some(highest) };
    let &(end, count) = finite.get(index)?;
    let below = index.checked_sub(1).and_then(|index| finite.get(index));
    let Some(&(start, before)) = below else {
        // The first bucket begins at zero, unless it ends below it. Its zeroth part of nothing is no value.
        return Some(if end <= 0.0 { end } else { end * (rank / count) }).filter(|value| value.is_finite());
    };
    Some(start + (end - start) * ((rank - before) / (count - before))).filter(|value| value.is_finite())
}

/// How many more lie at or below each bound; never falling from one bucket to the next.
fn increase(earlier: &Histogram, later: &Histogram) -> Option<Vec<(f64, f64)>> {
    let fits = |(a, b): (&(f64, f64), &(f64, f64))| a.0 == b.0 && b.1 >= a.1;
    let pairs = || earlier.buckets.iter().zip(&later.buckets);
    if earlier.buckets.len() != later.buckets.len() || !pairs().all(fits) {
        return None;
    }
    let mut most = 0.0_f64;
    let grown = |(a, b): (&(f64, f64), &(f64, f64))| {
        most = most.max(b.1 - a.1);
        (b.0, most)
    };
    Some(pairs().map(grown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(buckets: &[(f64, f64)]) -> Histogram {
        Histogram { buckets: buckets.to_vec(), sum: 0.0, count: buckets.last().map_or(0.0, |last| last.1) }
    }

    const BOUNDS: [f64; 4] = [0.001, 0.002, 0.004, f64::INFINITY];

    fn of(counts: [f64; 4]) -> Histogram {
        histogram(&BOUNDS.into_iter().zip(counts).collect::<Vec<_>>())
    }

    #[test]
    fn is_linear_inside_a_bucket() {
        let half = quantile(0.5, &of([0.0; 4]), &of([0.0, 10.0, 10.0, 10.0]));
        assert_eq!(half, Some(0.0015));
        assert_eq!(quantile(0.5, &of([0.0; 4]), &of([10.0; 4])), Some(0.0005));
        assert_eq!(quantile(1.0, &of([5.0; 4]), &of([5.0, 5.0, 6.0, 6.0])), Some(0.004));
    }

    #[test]
    fn is_the_highest_finite_bound_above_it() {
        assert_eq!(quantile(0.99, &of([0.0; 4]), &of([0.0, 0.0, 0.0, 7.0])), Some(0.004));
    }

    #[test]
    fn says_nothing_where_nothing_happened_or_nothing_fits() {
        assert_eq!(quantile(0.99, &of([3.0; 4]), &of([3.0; 4])), None);
        assert_eq!(quantile(0.99, &of([3.0; 4]), &of([2.0, 4.0, 4.0, 4.0])), None, "a count has fallen");
        assert_eq!(quantile(0.99, &Histogram::default(), &of([1.0; 4])), None);
        assert_eq!(quantile(0.99, &Histogram::default(), &Histogram::default()), None);
        assert_eq!(quantile(1.5, &of([0.0; 4]), &of([1.0; 4])), None);
        assert_eq!(quantile(f64::NAN, &of([0.0; 4]), &of([1.0; 4])), None);
        let finite = histogram(&[(0.001, 1.0), (0.002, 2.0)]);
        assert_eq!(quantile(0.5, &histogram(&[(0.001, 0.0), (0.002, 0.0)]), &finite), None, "no +inf bucket");
    }
}
