//! What the ledger shows.

use crate::{OrderId, ProductId, ReservationId};

use super::closed_orders::{ClosedOrder, End, NUMBERS, Number};
use super::index::Place;
use super::ledger::Ledger;
use super::reservations::{Active, Claim};
use super::view::{
    Held, LevelPage, Portion, ProductLevel, ReservationFilter, ReservationPage, ReservationPlace,
    ReservationState, ReservationView, StockFilter, Totals,
};

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
            Place::Closed(number) => {
                self.closed_orders.get(number).and_then(|closed| self.view_ended(closed))
            }
        }
    }

    /// A reservation that is active, or the last one of an order that is remembered.
    pub fn reservation(&self, id: ReservationId) -> Option<ReservationView> {
        (0..ATTEMPTS_MOST)
            .flat_map(|attempt| id.orders(attempt))
            .filter_map(|order| self.reservation_of(order))
            .find(|view| view.reservation == id)
    }

    /// The products after `after` that pass `filter`, a portion of them.
    pub fn level_page(&self, filter: &StockFilter, after: Option<&ProductId>, portion: Portion) -> LevelPage {
        let mut page = LevelPage::default();
        let mut last = None;
        for (looked, product) in self.catalogue.declared_after(after).enumerate() {
            let passes = filter
                .source
                .as_ref()
                .is_none_or(|source| self.catalogue.received(product, source).is_some());
            if looked >= portion.looks || passes && page.levels.len() >= portion.most {
                page.next = last.map(|last| self.catalogue.at(last).id.clone());
                break;
            }
            if passes {
                page.levels.push(self.catalogue.show(product));
            }
            last = Some(product);
        }
        page
    }

    /// The reservations from `from` on that pass `filter`, a portion of them. One that is active all the time is shown once; one
    /// that ends meanwhile is shown again as ended.
    pub fn reservations(
        &self,
        filter: &ReservationFilter,
        from: ReservationPlace,
        portion: Portion,
    ) -> ReservationPage {
        let product = filter.product.as_ref().map(|product| self.catalogue.find(product));
        let passes = |state, claim: Option<&Claim>| {
            filter.state.is_none_or(|wanted| wanted == state)
                && product.is_none_or(|product| {
                    claim.is_some_and(|claim| claim.lines.iter().any(|line| Some(line.product) == product))
                })
        };
        let (mut page, mut at) = (ReservationPage::default(), from);
        for _ in 0..portion.looks {
            let (here, view) = match at {
                ReservationPlace::Active(slot) if slot as usize >= self.reservations.slots() => {
                    at = ReservationPlace::Closed(self.closed_orders.first());
                    if !self.closed_orders.archived().is_empty() {
                        // What comes next must be recalled before.
                        break;
                    }
                    continue;
                }
                ReservationPlace::Active(slot) => {
                    let active = self.reservations.get(slot);
                    let active =
                        active.filter(|active| passes(ReservationState::Reserved, Some(&active.claim)));
                    (at, active.map(|active| self.view(active)))
                }
                ReservationPlace::Closed(number) => match self.closed_orders.at_or_after(number) {
                    None => return page,
                    Some(number) => {
                        // What lies in the archive and is not recalled is not shown.
                        let closed = self.closed_orders.get(number);
                        let view = closed.and_then(|closed| self.view_remembered(number, closed, &passes));
                        (ReservationPlace::Closed(number), view)
                    }
                },
            };
            if let Some(view) = view {
                if page.found.len() >= portion.most {
                    page.next = Some(here);
                    return page;
                }
                page.found.push(view);
            }
            at = match here {
                ReservationPlace::Active(slot) => ReservationPlace::Active(slot.saturating_add(1)),
                ReservationPlace::Closed(number) => {
                    ReservationPlace::Closed(number.wrapping_add(1) % NUMBERS)
                }
            };
        }
        page.next = Some(at);
        page
    }

    /// A remembered order's last reservation, if that is what stands and it passes.
    fn view_remembered(
        &self,
        number: Number,
        closed: &ClosedOrder,
        passes: &impl Fn(ReservationState, Option<&Claim>) -> bool,
    ) -> Option<ReservationView> {
        let wanted = state_of(closed.end).is_some_and(|state| passes(state, closed.claim.as_deref()));
        let stands = || self.find(closed.order).is_some_and(|known| known.place == Place::Closed(number));
        if wanted && stands() { self.view_ended(closed) } else { None }
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

    fn view_ended(&self, closed: &ClosedOrder) -> Option<ReservationView> {
        let reason = match closed.end {
            End::Released(reason) => Some(reason),
            End::Confirmed | End::Expired | End::Refused(_) => None,
        };
        Some(ReservationView {
            reservation: ReservationId::derive(&closed.order, closed.attempts.checked_sub(1)?),
            order: closed.order,
            state: state_of(closed.end)?,
            reason,
            held: closed.claim.as_deref().map(|claim| self.held(claim)),
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
