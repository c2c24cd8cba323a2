//! What the inventory shows. It may be ahead of the log by what is not safe yet.

use kbnt_domain::stock::{
    LevelPage, Portion, ProductLevel, ReservationFilter, ReservationPage, ReservationPlace, ReservationView,
    StockFilter,
};
use kbnt_domain::{ProductId, ReservationId};

use crate::event::Writer;

use super::{Counts, InventoryMachine, Summary, Version};

impl InventoryMachine {
    /// Who this process is, once it stands for election.
    pub fn writer(&self) -> Option<&Writer> {
        self.writer.as_deref()
    }

    /// All products, by id.
    pub fn levels(&self) -> Vec<ProductLevel> {
        self.ledger.levels()
    }

    /// The products after `after` that pass `filter`, a portion of them.
    pub fn level_page(&self, filter: &StockFilter, after: Option<&ProductId>, portion: Portion) -> LevelPage {
        self.ledger.level_page(filter, after, portion)
    }

    /// One product.
    pub fn level(&self, product: &ProductId) -> Option<ProductLevel> {
        self.ledger.level(product)
    }

    /// A reservation that is active, or the last one of an order that is remembered.
    pub fn reservation(&self, id: ReservationId) -> Option<ReservationView> {
        self.ledger.reservation(id)
    }

    /// The reservations from `from` on that pass `filter`, a portion of them.
    pub fn reservations(
        &self,
        filter: &ReservationFilter,
        from: ReservationPlace,
        portion: Portion,
    ) -> ReservationPage {
        self.ledger.reservations(filter, from, portion)
    }

    /// Changes whenever anything does that [`InventoryMachine::summary`] or a product's level shows.
    pub fn version(&self) -> Version {
        let term = self.writer.as_ref().map_or(0, |writer| writer.term);
        Version { term, changes: self.ledger.changes() }
    }

    /// Everything but the products at a glance.
    pub fn summary(&self) -> Summary {
        Summary {
            version: self.version(),
            totals: self.ledger.totals(),
            violations: self.ledger.violations().iter().map(ToString::to_string).collect(),
        }
    }

    /// How often inputs had no effect, since the start.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Checks all books from scratch, in time proportional to what there is. A violation halts the machine.
    pub fn verify(&mut self) -> bool {
        let sound = self.ledger.verify();
        if let Some(violation) = self.ledger.violations().first() {
            self.halted.get_or_insert_with(|| crate::machine::Halt::Broken(violation.to_string()));
        }
        sound
    }
}
