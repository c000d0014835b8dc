//! Families and series, as the exposition format has them.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::histogram::Histogram;

/// Where families are written to.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

/// The labels of one series.
pub(super) type LabelSet<'a, const N: usize> = [(&'static str, &'a str); N];

impl Page<'_> {
    /// A family of counters. The encoder appends `_total`.
    pub(super) fn counters<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (LabelSet<'a, N>, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        series.into_iter().try_for_each(|(labels, value)| {
            labelled(&mut family, &labels, |series| series.encode_counter::<NoLabelSet, _, u64>(&value, None))
        })
    }

    /// The same of what is no whole number.
    pub(super) fn fractions<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (LabelSet<'a, N>, f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        series.into_iter().try_for_each(|(labels, value)| {
            labelled(&mut family, &labels, |series| series.encode_counter::<NoLabelSet, _, u64>(&value, None))
        })
    }

    /// A family of gauges.
    pub(super) fn gauges<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (LabelSet<'a, N>, f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        series
            .into_iter()
            .try_for_each(|(labels, value)| labelled(&mut family, &labels, |series| series.encode_gauge(&value)))
    }

    /// One counter.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.counters(name, help, [([], value)])
    }

    /// One gauge.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.gauges(name, help, [([], value)])
    }

    /// A family of histograms.
    pub(super) fn histograms<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (LabelSet<'a, N>, &'a Histogram)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        series.into_iter().try_for_each(|(labels, histogram)| {
            labelled(&mut family, &labels, |series| {
                let (sum, count) = (histogram.sum(), histogram.count());
                series.encode_histogram::<NoLabelSet>(sum, count, &histogram.buckets(), None)
            })
        })
    }
}

fn labelled<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &LabelSet<'_, N>,
    encode: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    if N == 0 { encode(family) } else { encode(&mut family.encode_family(labels)?) }
}

#[cfg(test)]
pub(super) mod tests {
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use super::*;

    type Encode = dyn Fn(&mut Page<'_>) -> fmt::Result + Send + Sync;

    struct Written(Box<Encode>);

    impl fmt::Debug for Written {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Written")
        }
    }

    impl Collector for Written {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            (self.0)(&mut Page(encoder))
        }
    }

    /// The text of what is written to a page.
    pub(in crate::metrics) fn text_of(encode: impl Fn(&mut Page<'_>) -> fmt::Result + Send + Sync + 'static) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Written(Box::new(encode))));
        let mut text = String::new();
        text::encode(&mut text, &registry).expect("a string takes everything");
        text
    }

    #[test]
    fn what_a_name_holds_does_not_end_a_label() {
        let text = text_of(|page| page.counters("named", "Names.", [([("name", "a\"\\\nb")], 1)]));
        assert_eq!(text, "# HELP named Names.\n# TYPE named counter\nnamed_total{name=\"a\\\"\\\\\\nb\"} 1\n# EOF\n");
    }
}
