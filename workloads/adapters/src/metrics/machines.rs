//! Metrics of the machines and their log.

use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec};

use super::buckets::{BATCH, LATENCY, STEPS};
use super::registry::{Made, Registrar};

/// Metrics of the machines and their log.
#[derive(Debug)]
pub(super) struct Machines {
    pub(super) events_processed: IntCounterVec,
    pub(super) events_written: IntCounterVec,
    pub(super) event_age: HistogramVec,
    pub(super) step_duration: HistogramVec,
    pub(super) append_duration: HistogramVec,
    pub(super) batch_records: HistogramVec,
    pub(super) consumer_lag: IntGaugeVec,
    pub(super) unreadable: IntCounterVec,
    pub(super) dead_letters: IntCounterVec,
    pub(super) fenced: IntCounterVec,
    pub(super) log_retries: IntCounterVec,
    pub(super) halted: IntCounterVec,
    pub(super) clock_off: IntGaugeVec,
    pub(super) replay_seconds: GaugeVec,
    pub(super) replayed: IntGaugeVec,
}

impl Machines {
    pub(super) fn new(r: &mut Registrar) -> Made<Self> {
        Ok(Self {
            events_processed: r.counters(
                "kbnt_events_processed_total",
                &["topic"],
                "Records handled, by topic.",
            )?,
            events_written: r.counters(
                "kbnt_events_written_total",
                &["topic"],
                "Records written and durable, by topic.",
            )?,
            event_age: r.histograms(
                "kbnt_event_age_seconds",
                &["service"],
                "Age of a record when it was handled.",
                LATENCY,
            )?,
            step_duration: r.histograms(
                "kbnt_step_duration_seconds",
                &["service"],
                "How long the steps over one batch took, without input and output.",
                STEPS,
            )?,
            append_duration: r.histograms(
                "kbnt_append_duration_seconds",
                &["service"],
                "How long it took until what one batch wrote was durable.",
                LATENCY,
            )?,
            batch_records: r.histograms(
                "kbnt_batch_records",
                &["service"],
                "Records in one batch.",
                BATCH,
            )?,
            consumer_lag: r.gauges(
                "kbnt_consumer_lag",
                &["service", "topic", "partition"],
                "Records of an input partition that are still to be handled.",
            )?,
            unreadable: r.counters(
                "kbnt_unreadable_records_total",
                &["service", "topic"],
                "Records that could not be understood and were passed over.",
            )?,
            dead_letters: r.counters(
                "kbnt_dead_letters_total",
                &["topic"],
                "Records that nobody understands and that were kept, by the topic in which they lie.",
            )?,
            fenced: r.counters(
                "kbnt_fenced_records_total",
                &["service"],
                "Records of a writer that had been fenced before; they were dropped.",
            )?,
            log_retries: r.counters(
                "kbnt_log_retries_total",
                &["service", "stage"],
                "Times that the log could not read, append or commit and was tried again.",
            )?,
            halted: r.counters(
                "kbnt_halted_total",
                &["service", "reason"],
                "Times that a service stopped itself: fenced by a newer writer, broken by a bug, or without its archive of closed orders.",
            )?,
            clock_off: r.gauges(
                "kbnt_clock_off",
                &["service"],
                "1 while the system's clock is off by more than it may be, and the service decides nothing.",
            )?,
            replay_seconds: r.seconds(
                "kbnt_replay_seconds",
                &["service", "partition"],
                "How long it took to fold a partition's state before handling input.",
            )?,
            replayed: r.gauges(
                "kbnt_replayed_records",
                &["service", "partition"],
                "Records that were folded for that.",
            )?,
        })
    }
}
