//! Metrics of the payment gateway, notifications, the HTTP API, the Kafka clients and the log lines.

use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::buckets::LATENCY;
use super::registry::{Made, Registrar};

/// Metrics of the payment gateway, notifications, the HTTP API, the Kafka clients and the log lines.
#[derive(Debug)]
pub(super) struct Edges {
    pub(super) payment_duration: HistogramVec,
    pub(super) payments_stuck: IntGauge,
    pub(super) notification_duration: HistogramVec,
    pub(super) http_duration: HistogramVec,
    pub(super) http_problems: IntCounterVec,
    pub(super) log_lines_dropped: IntCounter,
    pub(super) kafka_up: IntGauge,
    pub(super) kafka_clients_renewed: IntCounter,
    pub(super) log_intact: IntGaugeVec,
    pub(super) records_expired: IntCounterVec,
}

impl Edges {
    pub(super) fn new(r: &mut Registrar) -> Made<Self> {
        Ok(Self {
            payment_duration: r.histograms(
                "kbnt_payment_duration",
                &["operation", "outcome"],
                "Seconds that one attempt at the payment gateway took.",
                LATENCY,
            )?,
            payments_stuck: r.gauge(
                "kbnt_payments_stuck",
                "Orders whose charge or refund has failed again and again for a minute or more: somebody should look.",
            )?,
            notification_duration: r.histograms(
                "kbnt_notification_duration_seconds",
                &["outcome"],
                "How long one attempt to tell a customer took.",
                LATENCY,
            )?,
            http_duration: r.histograms(
                "kbnt_http_request_duration_seconds",
                &["method", "route", "status"],
                "How long requests took, by route and status.",
                LATENCY,
            )?,
            http_problems: r.counters(
                "kbnt_http_problems_total",
                &["code"],
                "Requests that were answered with a problem document, by its code: overloaded is more than is taken.",
            )?,
            log_lines_dropped: r.counter(
                "kbnt_log_lines_dropped_total",
                "Log lines that found no place in a buffer, on the way to stdout or to application-logs.",
            )?,
            kafka_up: r.gauge("kbnt_kafka_up", "1 while every Kafka client of the process hears from the cluster.")?,
            kafka_clients_renewed: r.counter(
                "kbnt_kafka_clients_renewed_total",
                "Kafka clients that were replaced: they heard nothing from a cluster that answers others, or have new credentials.",
            )?,
            log_intact: r.gauges(
                "kbnt_log_intact",
                &["topic"],
                "1 while a topic is the one that the services of the process know, and all of it; 0 when they do not decide.",
            )?,
            records_expired: r.counters(
                "kbnt_log_records_expired_total",
                &["topic"],
                "Records of a topic with a retention that expired before a service of the process had read them.",
            )?,
        })
    }
}
