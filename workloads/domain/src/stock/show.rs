//! What the ledger shows.

use crate::{OrderId, ProductId, ReservationId};

use super::ended::{End, Ended};
use super::held::{Active, Claim};
use super::index::Place;
use super::ledger::Ledger;
use super::view::{Held, ProductLevel, ReservationFilter, ReservationState, ReservationView, Totals};

/// How many reservations an order may have had when it is looked for by one of them.
const ATTEMPTS_MOST: u32 = 16;

impl Ledger {
    /// Sums over all products.
    pub const fn totals(&self) -> Totals {
        self.catalogue.totals
    }

    /// All declared products, by id.
    pub fn levels(&self) -> Vec<ProductLevel> {
        self.catalogue.show_all().collect()
    }

    /// One declared product.
    pub fn level(&self, product: &ProductId) -> Option<ProductLevel> {
        self.catalogue.find(product).map(|product| self.catalogue.show(product))
    }

    /// The present or last reservation of an order.
    pub fn reservation_of(&self, order: OrderId) -> Option<ReservationView> {
        match self.find(order)?.place {
            Place::Active(slot) => self.reservations.get(slot).map(|active| self.view(active)),
            Place::Ended(number) => self.memory.get(number).and_then(|ended| self.view_ended(ended)),
        }
    }

    /// A reservation that is active, or the last one of an order that is remembered.
    pub fn reservation(&self, id: ReservationId) -> Option<ReservationView> {
        (0..ATTEMPTS_MOST)
            .flat_map(|attempt| id.orders(attempt))
            .filter_map(|order| self.reservation_of(order))
            .find(|view| view.reservation == id)
    }

    /// At most `most` reservations that pass `filter`: the active ones, then the remembered ones from the oldest on.
    pub fn reservations(&self, filter: &ReservationFilter, most: usize) -> Vec<ReservationView> {
        let product = filter.product.as_ref().map(|product| self.catalogue.find(product));
        let passes = |state, claim: Option<&Claim>| {
            filter.state.is_none_or(|wanted| wanted == state)
                && product.is_none_or(|product| {
                    claim.is_some_and(|claim| claim.lines.iter().any(|line| Some(line.product) == product))
                })
        };
        let active = self
            .reservations
            .iter()
            .filter(|active| passes(ReservationState::Reserved, Some(&active.claim)))
            .map(|active| self.view(active));
        let ended = self
            .memory
            .iter()
            .filter(|(number, ended)| {
                self.find(ended.order).is_some_and(|known| known.place == Place::Ended(*number))
            })
            .filter(|(_, ended)| {
                state_of(ended.end).is_some_and(|state| passes(state, ended.claim.as_deref()))
            })
            .filter_map(|(_, ended)| self.view_ended(ended));
        active.chain(ended).take(most).collect()
    }

    fn view(&self, active: &Active) -> ReservationView {
        ReservationView {
            reservation: active.id(),
            order: active.order,
            state: ReservationState::Reserved,
            reason: None,
            held: Some(self.held(&active.claim)),
        }
    }

    fn view_ended(&self, ended: &Ended) -> Option<ReservationView> {
        let reason = match ended.end {
            End::Released(reason) => Some(reason),
            End::Confirmed | End::Expired | End::Refused(_) => None,
        };
        Some(ReservationView {
            reservation: ReservationId::derive(&ended.order, ended.attempts.checked_sub(1)?),
            order: ended.order,
            state: state_of(ended.end)?,
            reason,
            held: ended.claim.as_deref().map(|claim| self.held(claim)),
        })
    }

    fn held(&self, claim: &Claim) -> Held {
        Held {
            user: claim.user.clone(),
            lines: self.priced_lines(claim),
            amount: claim.money(claim.amount),
            expires_at: claim.deadline,
        }
    }
}

/// The state of the last reservation of an order that ended so; a refused order has none.
const fn state_of(end: End) -> Option<ReservationState> {
    match end {
        End::Confirmed => Some(ReservationState::Confirmed),
        End::Released(_) => Some(ReservationState::Released),
        End::Expired => Some(ReservationState::Expired),
        End::Refused(_) => None,
    }
}
