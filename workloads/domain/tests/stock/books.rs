//! The books recomputed from events, naively and from scratch: what the ledger is compared with.

use std::collections::{BTreeMap, BTreeSet};

use kbnt_domain::event::Event;
use kbnt_domain::{OrderId, ReservationId, Timestamp};

/// A reservation as its events tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) order: OrderId,
    pub(crate) attempt: u32,
    pub(crate) units: BTreeMap<String, u64>,
    pub(crate) deadline: Timestamp,
    /// How it ended: the event's name.
    pub(crate) end: Option<&'static str>,
}

/// All that follows from some events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    received: BTreeMap<(String, String), u64>,
    pub(crate) thresholds: BTreeMap<String, u64>,
    pub(crate) holds: BTreeMap<ReservationId, Hold>,
    /// The answers to each order's request, by name.
    pub(crate) answers: BTreeMap<OrderId, Vec<&'static str>>,
    /// Orders of which a late request is to be refused.
    promised: BTreeSet<OrderId>,
    /// Confirmations and losses of each order.
    pub(crate) paid: BTreeMap<OrderId, Vec<&'static str>>,
}

impl Books {
    /// The books after `events`; those of one order, and those of one product's declarations, in their order.
    ///
    /// Panics at events that contradict each other.
    pub(crate) fn of<'a>(events: impl IntoIterator<Item = (Timestamp, &'a Event)>) -> Self {
        let mut books = Self::default();
        for (at, event) in events {
            books.enter(at, event);
        }
        books
    }

    /// Takes in one more event.
    pub(crate) fn enter(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::StockDeclared(e) => {
                self.received.insert((e.product.to_string(), e.source.to_string()), e.received);
                self.thresholds.insert(e.product.to_string(), e.low_stock_threshold);
            }
            Event::VirtualStockReserved(e) => {
                let units = e.lines.iter().map(|line| (line.product.to_string(), line.units)).collect();
                let (order, attempt, deadline) = (e.order, e.attempt, e.expires_at);
                let others = self.holds.values().filter(|hold| hold.order == order).count();
                assert_eq!(others, attempt as usize, "reserved twice: {e:?}");
                assert!(self.active(order).is_none(), "two at once: {e:?}");
                self.holds.insert(e.reservation, Hold { order, attempt, units, deadline, end: None });
                if attempt == 0 {
                    self.answers.entry(order).or_default().push("reserved");
                }
            }
            Event::ReservationConfirmed(e) => {
                assert!(at < self.end(e.reservation, "confirmed"), "confirmed after the deadline: {e:?}");
                self.paid.entry(e.order).or_default().push("confirmed");
            }
            Event::ReservationReleased(e) => {
                if let Some(reservation) = e.reservation {
                    assert!(at < self.end(reservation, "released"), "released after the deadline: {e:?}");
                } else {
                    assert!(self.active(e.order).is_none(), "it has a reservation: {e:?}");
                    self.promised.insert(e.order);
                }
            }
            Event::ReservationExpired(e) => {
                let deadline = self.end(e.reservation, "expired");
                assert_eq!(deadline, e.deadline);
                assert!(at >= deadline, "expired early: {e:?}");
            }
            Event::ReservationLost(e) => {
                self.paid.entry(e.order).or_default().push("lost");
                if self.last(e.order).is_none() && !self.answers.contains_key(&e.order) {
                    self.promised.insert(e.order);
                }
            }
            Event::InsufficientStock(e) => self.answers.entry(e.order).or_default().push("insufficient"),
            Event::ProductNotFound(e) => self.answers.entry(e.order).or_default().push("not-found"),
            Event::ReservationRefused(e) => self.answers.entry(e.order).or_default().push("refused"),
            _ => {}
        }
    }

    fn end(&mut self, reservation: ReservationId, end: &'static str) -> Timestamp {
        let hold = self.holds.get_mut(&reservation).expect("it was reserved");
        assert_eq!(hold.end, None, "{reservation} ended twice, the second time {end}");
        hold.end = Some(end);
        hold.deadline
    }

    /// Whether a release was told for an order that has never had a reservation.
    #[allow(dead_code, reason = "the tests of the machine use these books, too")]
    pub(crate) fn promised(&self, order: OrderId) -> bool {
        self.promised.contains(&order) && self.last(order).is_none()
    }

    /// The active reservation of an order.
    pub(crate) fn active(&self, order: OrderId) -> Option<&Hold> {
        self.holds.values().find(|hold| hold.order == order && hold.end.is_none())
    }

    /// The last reservation of an order.
    pub(crate) fn last(&self, order: OrderId) -> Option<&Hold> {
        self.holds.values().filter(|hold| hold.order == order).max_by_key(|hold| hold.attempt)
    }

    /// Whether anybody declared it.
    #[allow(dead_code, reason = "the tests of the machine use these books, too")]
    pub(crate) fn declared(&self, product: &str) -> bool {
        self.thresholds.contains_key(product)
    }

    pub(crate) fn real(&self, product: &str) -> i64 {
        let received: u64 =
            self.received.iter().filter(|((p, _), _)| p == product).map(|(_, units)| units).sum();
        signed(received) - self.held(product, Some("confirmed"))
    }

    pub(crate) fn reserved(&self, product: &str) -> i64 {
        self.held(product, None)
    }

    pub(crate) fn available(&self, product: &str) -> i64 {
        self.real(product) - self.reserved(product)
    }

    /// No product has less than nothing available.
    pub(crate) fn check(&self) {
        let reserved = self.holds.values().flat_map(|hold| hold.units.keys());
        for product in self.thresholds.keys().chain(reserved) {
            assert!(self.available(product) >= 0, "oversold: {product} in {self:#?}");
        }
    }

    fn held(&self, product: &str, end: Option<&str>) -> i64 {
        let in_it = self.holds.values().filter(|hold| hold.end == end);
        in_it.filter_map(|hold| hold.units.get(product)).map(|&units| signed(units)).sum()
    }
}

fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap()
}
