//! An independent bookkeeper: reads the raw inventory topic, knows nothing of the ledger, and sums up.

use std::collections::{BTreeMap, BTreeSet};

use kbnt_application::Delivered;
use kbnt_application::event::{RecordedEvent, Writer};
use kbnt_domain::event::{Event, VirtualStockReserved};
use kbnt_domain::{EventId, OrderId, ProductId, ReservationId, SourceId, Timestamp};

/// What became of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Reserved,
    Confirmed,
    Released,
    Expired,
}

#[derive(Clone, Debug)]
pub(crate) struct Reservation {
    pub(crate) order: OrderId,
    pub(crate) state: State,
    pub(crate) expires_at: Timestamp,
    pub(crate) units: BTreeMap<ProductId, u64>,
}

/// One product, as the log tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Units {
    pub(crate) received: BTreeMap<SourceId, u64>,
    pub(crate) confirmed: u64,
    pub(crate) reserved: u64,
}

impl Units {
    pub(crate) fn real(&self) -> Option<u64> {
        self.received.values().sum::<u64>().checked_sub(self.confirmed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Books {
    newest: BTreeMap<u32, Writer>,
    seen: BTreeSet<EventId>,
    pub(crate) products: BTreeMap<ProductId, Units>,
    pub(crate) reservations: BTreeMap<ReservationId, Reservation>,
}

impl Books {
    /// Takes in a record as it gets into the log.
    pub(crate) fn take(&mut self, record: &Delivered) -> Result<(), String> {
        if !self.counts(record) || !self.seen.insert(record.message.id) {
            return Ok(());
        }
        match record.message.event.business() {
            Some(Event::StockDeclared(e)) => {
                let units = self.products.entry(e.product.clone()).or_default();
                units.received.insert(e.source.clone(), e.received);
            }
            Some(Event::VirtualStockReserved(e)) => self.reserve(e)?,
            Some(Event::ReservationConfirmed(e)) => self.end(e.order, e.reservation, State::Confirmed)?,
            Some(Event::ReservationReleased(e)) => {
                if let Some(reservation) = e.reservation {
                    self.end(e.order, reservation, State::Released)?;
                }
            }
            Some(Event::ReservationExpired(e)) => self.end(e.order, e.reservation, State::Expired)?,
            _ => {}
        }
        self.balanced()
    }

    /// Whether it is the elected writer's.
    pub(crate) fn counts(&mut self, record: &Delivered) -> bool {
        let newest = self.newest.get(&record.at.partition);
        if let RecordedEvent::WriterElected(e) = &record.message.event {
            if newest.is_none_or(|newest| e.writer > *newest) {
                self.newest.insert(record.at.partition, e.writer.clone());
            }
            return false;
        }
        record.message.writer.as_deref().is_some_and(|writer| newest.is_some_and(|newest| writer == newest))
    }

    fn reserve(&mut self, event: &VirtualStockReserved) -> Result<(), String> {
        let mut units: BTreeMap<ProductId, u64> = BTreeMap::new();
        for line in &event.lines {
            *units.entry(line.product.clone()).or_default() += line.units;
        }
        for (product, count) in &units {
            self.products.entry(product.clone()).or_default().reserved += count;
        }
        let active = self.of_order(event.order).any(|other| other.state == State::Reserved);
        if active || self.reservations.contains_key(&event.reservation) {
            return Err(format!("order {} is reserved twice", event.order));
        }
        let (order, expires_at) = (event.order, event.expires_at);
        let reservation = Reservation { order, state: State::Reserved, expires_at, units };
        self.reservations.insert(event.reservation, reservation);
        Ok(())
    }

    fn end(&mut self, order: OrderId, id: ReservationId, end: State) -> Result<(), String> {
        let reservation = self.reservations.get_mut(&id).filter(|reservation| reservation.order == order);
        let Some(reservation) = reservation else {
            return Err(format!("{end:?} reservation {id}, which the log does not have"));
        };
        if reservation.state != State::Reserved {
            return Err(format!("reservation {id} is {:?} and then {end:?}", reservation.state));
        }
        reservation.state = end;
        for (product, count) in &reservation.units {
            let units = self.products.entry(product.clone()).or_default();
            units.reserved = units.reserved.checked_sub(*count).ok_or("more given back than reserved")?;
            if end == State::Confirmed {
                units.confirmed += count;
            }
        }
        Ok(())
    }

    fn balanced(&self) -> Result<(), String> {
        for (product, units) in &self.products {
            if units.real().is_none_or(|real| real < units.reserved) {
                return Err(format!("{product} is oversold: {units:?}"));
            }
        }
        Ok(())
    }

    /// The last reservation of an order.
    pub(crate) fn last_of(&self, order: OrderId) -> Option<(ReservationId, &Reservation)> {
        let ids = (0..).map(|attempt| ReservationId::derive(&order, attempt));
        ids.map_while(|id| Some((id, self.reservations.get(&id)?))).last()
    }

    pub(crate) fn of_order(&self, order: OrderId) -> impl Iterator<Item = &Reservation> {
        self.reservations.values().filter(move |reservation| reservation.order == order)
    }
}
