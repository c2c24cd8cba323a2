//! What the ledger shows of itself.

use std::sync::Arc;

use crate::event::{Level, PricedLine};
use crate::{Money, OrderId, ProductId, Reason, ReservationId, SourceId, Timestamp, UserId};

/// A product and its units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductLevel {
    /// The product.
    pub product: ProductId,
    /// For people.
    pub name: Arc<str>,
    /// For one unit.
    pub unit_price: Money,
    /// Units.
    pub level: Level,
    /// Whether available is below the threshold.
    pub low_stock: bool,
    /// Available below this is low.
    pub low_stock_threshold: u64,
    /// All units ever received, by source, in the sources' order.
    pub received: Vec<(SourceId, u64)>,
}

/// Sums over all products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Units physically there.
    pub real: u64,
    /// Units held by active reservations.
    pub reserved: u64,
    /// Active reservations.
    pub active_reservations: u64,
    /// Declared products.
    pub products: u64,
}

impl Totals {
    /// Units that may still be promised.
    pub const fn available(self) -> u64 {
        self.real.saturating_sub(self.reserved)
    }
}

/// The state of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReservationState {
    /// Holds its units until its deadline.
    Reserved,
    /// Paid; its units have left the stock.
    Confirmed,
    /// Undone.
    Released,
    /// Its time was up.
    Expired,
}

/// A reservation that the ledger holds or remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationView {
    /// The reservation.
    pub reservation: ReservationId,
    /// Whose order.
    pub order: OrderId,
    /// Its state.
    pub state: ReservationState,
    /// Why it was released.
    pub reason: Option<Reason>,
    /// What is known only while it is active, and of an expired one that a late payment may still revive.
    pub held: Option<Held>,
}

/// What a reservation holds or held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The customer.
    pub user: UserId,
    /// What.
    pub lines: Vec<PricedLine>,
    /// The sum over the lines.
    pub amount: Money,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Which products to list.
#[derive(Clone, Debug, Default)]
pub struct StockFilter {
    /// Only those of which this source has declared something.
    pub source: Option<SourceId>,
}

/// How much of a list is wanted at a time. The ledger decides nothing meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    /// At most so many of those that pass the filter.
    pub most: usize,
    /// After so many were looked at, however many of them passed.
    pub looks: usize,
}

impl Portion {
    /// All that there is.
    pub const ALL: Self = Self { most: usize::MAX, looks: usize::MAX };
}

/// Part of the list of products.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LevelPage {
    /// By id.
    pub levels: Vec<ProductLevel>,
    /// After which one the next part begins; `None` where there is nothing more.
    pub next: Option<ProductId>,
}

/// Where a list of reservations goes on: of one ledger, as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationPlace {
    /// With the active one at this place.
    Active(u32),
    /// With the remembered one of this number.
    Closed(u32),
}

impl Default for ReservationPlace {
    fn default() -> Self {
        Self::Active(0)
    }
}

/// Part of the list of reservations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReservationPage {
    /// The active ones, then the remembered ones from the oldest on.
    pub found: Vec<ReservationView>,
    /// Where the next part begins; `None` where there is nothing more.
    pub next: Option<ReservationPlace>,
}

/// Which reservations to list.
#[derive(Clone, Debug, Default)]
pub struct ReservationFilter {
    /// Only those that hold units of this product.
    pub product: Option<ProductId>,
    /// Only those in this state.
    pub state: Option<ReservationState>,
}
