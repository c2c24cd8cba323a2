//! Orders, stock and reservations.

use std::collections::HashMap;
use std::sync::Mutex;

use kbnt_domain::{OrderId, Timestamp};
use prometheus::{HistogramVec, IntCounterVec, IntGauge, IntGaugeVec};

use super::buckets::ORDERS;
use super::registry::{Made, Registrar};

/// Orders, stock and reservations.
#[derive(Debug)]
pub(super) struct Business {
    /// When orders that have not ended were placed.
    pub(super) placed: Mutex<HashMap<OrderId, Timestamp>>,
    pub(super) orders_total: IntCounterVec,
    pub(super) orders_pending: IntGauge,
    pub(super) orders_admitted: IntGauge,
    pub(super) order_duration: HistogramVec,
    pub(super) stock_level: IntGaugeVec,
    pub(super) reservations_active: IntGauge,
    pub(super) invariant_violations: IntGauge,
    pub(super) writer_term: IntGauge,
}

impl Business {
    pub(super) fn new(r: &mut Registrar) -> Made<Self> {
        Ok(Self {
            placed: Mutex::default(),
            orders_total: r.counters(
                "kbnt_orders_total",
                &["status"],
                "Orders that ended, by status: confirmed, rejected or cancelled.",
            )?,
            orders_pending: r.gauge("kbnt_orders_pending", "Orders that have not ended yet.")?,
            orders_admitted: r.gauge(
                "kbnt_orders_admitted",
                "Orders that may wait for the inventory at a time; it falls when they take longer than usual.",
            )?,
            order_duration: r.histograms(
                "kbnt_order_duration_seconds",
                &["status"],
                "From the placing of an order to its end, of orders whose user may order.",
                ORDERS,
            )?,
            stock_level: r.gauges(
                "kbnt_stock_level",
                &["product", "kind"],
                "Units of a product: real, reserved and available. At most 1,000 products.",
            )?,
            reservations_active: r.gauge("kbnt_reservations_active", "Reservations that hold units.")?,
            invariant_violations: r.gauge(
                "kbnt_invariant_violations",
                "What is wrong with the stock ledger; anything but 0 is a bug.",
            )?,
            writer_term: r.gauge("kbnt_writer_term", "The term of the elected writer of the inventory.")?,
        })
    }
}
