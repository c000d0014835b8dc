//! What was done in the measured time.

use std::time::Duration;

use serde_json::{Value, json};

#[derive(Default)]
pub(crate) struct Tally {
    /// Nanoseconds, one for each operation.
    latencies: Vec<u64>,
    pub(crate) resumed: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, latency: Duration, operations: usize) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.latencies.extend(std::iter::repeat_n(nanoseconds, operations));
    }

    /// The latencies in microseconds.
    pub(crate) fn json(&self) -> Value {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        json!({
            "operations": sorted.len(),
            "p50": percentile(&sorted, 50),
            "p99": percentile(&sorted, 99),
            "resumed": self.resumed,
        })
    }
}

/// Of nanoseconds, in microseconds; none of nothing.
fn percentile(sorted: &[u64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map(|nanoseconds| *nanoseconds as f64 / 1000.0)
}
