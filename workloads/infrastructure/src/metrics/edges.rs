//! What goes out and comes in.

use prometheus::{HistogramVec, IntCounter};

use super::buckets::LATENCY;
use super::registry::{Made, Registrar};

/// What goes out and comes in.
#[derive(Debug)]
pub(super) struct Edges {
    pub(super) payment_duration: HistogramVec,
    pub(super) notification_duration: HistogramVec,
    pub(super) http_duration: HistogramVec,
    pub(super) log_lines_dropped: IntCounter,
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
            log_lines_dropped: r.counter(
                "kbnt_log_lines_dropped_total",
                "Log lines that found no place in a buffer, on the way to stdout or to application-logs.",
            )?,
        })
    }
}
