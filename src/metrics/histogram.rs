//! How long something takes.

use std::time::Duration;

/// Upper bounds of the buckets, in microseconds.
const BOUNDS: [u32; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// Durations, by how long they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Of each bucket, and of all that is longer.
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// Counts one more.
    pub fn observe(&mut self, duration: Duration) {
        let bucket = BOUNDS.partition_point(|bound| Duration::from_micros(u64::from(*bound)) < duration);
        self.counts[bucket] += 1;
        self.sum += duration;
    }

    /// Counts those of another one.
    pub fn add(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.sum += other.sum;
    }

    /// The upper bound of each bucket in seconds, and how many it holds alone.
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(|bound| f64::from(*bound) / 1e6).chain([f64::INFINITY]);
        bounds.zip(self.counts).collect()
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// In seconds.
    pub(super) fn sum(&self) -> f64 {
        self.sum.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_took_no_longer_than_its_bound() {
        let mut histogram = Histogram::default();
        for micros in [0, 100, 101, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let buckets = histogram.buckets();
        assert_eq!(
            (buckets[0], buckets[1], buckets[15], buckets[16]),
            ((1e-4, 2), (2.5e-4, 1), (10.0, 1), (f64::INFINITY, 1))
        );
        let mut both = histogram;
        both.add(&histogram);
        assert_eq!((both.count(), both.sum()), (10, 2.0 * histogram.sum()));
    }
}
