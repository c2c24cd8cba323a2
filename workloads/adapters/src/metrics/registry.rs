//! Registers metrics and remembers their descriptions, so that the documentation can be checked against them.

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// The description of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// Its help text.
    pub help: &'static str,
}

/// Registers metrics one by one.
#[derive(Debug, Default)]
pub(super) struct Registrar {
    pub(super) registry: Registry,
    pub(super) described: Vec<Described>,
}

pub(super) type Made<T> = Result<T, prometheus::Error>;

impl Registrar {
    pub(super) fn counters(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Made<IntCounterVec> {
        self.register("counter", name, labels, help, IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> Made<IntCounter> {
        self.register("counter", name, &[], help, IntCounter::new(name, help)?)
    }

    pub(super) fn gauges(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Made<IntGaugeVec> {
        self.register("gauge", name, labels, help, IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> Made<IntGauge> {
        self.register("gauge", name, &[], help, IntGauge::new(name, help)?)
    }

    pub(super) fn seconds(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Made<GaugeVec> {
        self.register("gauge", name, labels, help, GaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn histograms(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        buckets: &[f64],
    ) -> Made<HistogramVec> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register("histogram", name, labels, help, HistogramVec::new(opts, labels)?)
    }

    fn register<C: Collector + Clone + 'static>(
        &mut self,
        kind: &'static str,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        metric: C,
    ) -> Made<C> {
        self.registry.register(Box::new(metric.clone()))?;
        self.described.push(Described { name, kind, labels, help });
        Ok(metric)
    }
}
