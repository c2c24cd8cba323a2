//! The catalogue and its counters.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::event::Level;
use crate::{Currency, Money, ProductId, SourceId, Timestamp};

use super::view::{ProductLevel, Totals};

/// A product's place in the catalogue; never reused.
pub(super) type ProductIx = u32;

/// What every decision about a product reads.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) id: ProductId,
    pub(super) unit_price: Money,
    /// Sum over all sources.
    pub(super) received: u64,
    pub(super) confirmed: u64,
    pub(super) reserved: u64,
    /// Freed or received, but not to be promised before the record that says so is safe.
    pub(super) unsettled: u64,
    pub(super) threshold: u64,
    pub(super) declared: bool,
    /// Low stock was told, and available has not risen to the threshold since.
    pub(super) low: bool,
}

impl Counters {
    /// The levels; `None` where confirmed or reserved exceed what there is, which only a recovery may see.
    pub(super) fn level(&self) -> Option<Level> {
        let real = self.received.checked_sub(self.confirmed)?;
        (self.reserved <= real).then_some(Level { real, reserved: self.reserved })
    }

    /// What may be promised now.
    pub(super) fn grantable(&self) -> u64 {
        self.available().saturating_sub(self.unsettled)
    }

    /// Real less reserved.
    pub(super) fn available(&self) -> u64 {
        self.level().unwrap_or_default().available()
    }
}

/// What only declarations, views and recoveries read.
#[derive(Debug, Default)]
pub(super) struct Particulars {
    pub(super) name: Arc<str>,
    pub(super) sources: Vec<(SourceId, u64)>,
    /// When low stock was last told, while recovering.
    pub(super) told_at: Option<Timestamp>,
    /// When an order last gave units back, while recovering.
    pub(super) freed_at: Option<Timestamp>,
}

/// All products.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    index: HashMap<ProductId, ProductIx, RandomState>,
    counters: Vec<Counters>,
    particulars: Vec<Particulars>,
    /// The declared ones, by id.
    sorted: Vec<ProductIx>,
    pub(super) totals: Totals,
}

impl Catalogue {
    /// The place of a declared product.
    pub(super) fn find(&self, product: &ProductId) -> Option<ProductIx> {
        self.index.get(product).copied().filter(|&ix| self.at(ix).declared)
    }

    /// The place of a product, made if it has none. A recovery may meet its reservations before its declaration.
    pub(super) fn intern(&mut self, product: &ProductId) -> ProductIx {
        if let Some(&ix) = self.index.get(product) {
            return ix;
        }
        // More than four thousand million products do not fit into memory.
        let ix = ProductIx::try_from(self.counters.len()).unwrap_or(ProductIx::MAX);
        self.index.insert(product.clone(), ix);
        self.particulars.push(Particulars::default());
        self.counters.push(Counters {
            id: product.clone(),
            unit_price: Money::zero(Currency::BRL),
            received: 0,
            confirmed: 0,
            reserved: 0,
            unsettled: 0,
            threshold: 0,
            declared: false,
            low: false,
        });
        ix
    }

    pub(super) fn at(&self, ix: ProductIx) -> &Counters {
        &self.counters[ix as usize]
    }

    pub(super) fn at_mut(&mut self, ix: ProductIx) -> &mut Counters {
        &mut self.counters[ix as usize]
    }

    pub(super) fn particulars(&self, ix: ProductIx) -> &Particulars {
        &self.particulars[ix as usize]
    }

    pub(super) fn particulars_mut(&mut self, ix: ProductIx) -> &mut Particulars {
        &mut self.particulars[ix as usize]
    }

    /// All places, declared or not.
    pub(super) fn all(&self) -> impl Iterator<Item = (ProductIx, &Counters)> {
        (0..).zip(&self.counters)
    }

    /// All places, to change what stands there.
    pub(super) fn places(&self) -> std::ops::Range<ProductIx> {
        // As in `intern`.
        0..ProductIx::try_from(self.counters.len()).unwrap_or(ProductIx::MAX)
    }

    /// What a source has declared; `None` if it has not.
    pub(super) fn received(&self, ix: ProductIx, source: &SourceId) -> Option<u64> {
        let sources = &self.particulars(ix).sources;
        sources.binary_search_by(|(known, _)| known.cmp(source)).ok().map(|at| sources[at].1)
    }

    /// Whether a product is declared with these terms.
    pub(super) fn is_on_terms(&self, ix: ProductIx, terms: Terms<'_>) -> bool {
        let counters = self.at(ix);
        *self.particulars(ix).name == *terms.name
            && counters.unit_price == terms.unit_price
            && counters.threshold == terms.threshold
    }

    /// Sets what a declaration says, and the new count of its source.
    pub(super) fn declare(&mut self, ix: ProductIx, terms: Terms<'_>, source: &SourceId, received: u64) {
        let particulars = &mut self.particulars[ix as usize];
        if *particulars.name != *terms.name {
            particulars.name = terms.name.into();
        }
        let known = match particulars.sources.binary_search_by(|(known, _)| known.cmp(source)) {
            Ok(at) => &mut particulars.sources[at].1,
            Err(at) => {
                particulars.sources.insert(at, (source.clone(), 0));
                &mut particulars.sources[at].1
            }
        };
        let before = std::mem::replace(known, received);
        let counters = &mut self.counters[ix as usize];
        counters.received = counters.received - before + received;
        self.totals.real = self.totals.real.wrapping_sub(before).wrapping_add(received);
        counters.unit_price = terms.unit_price;
        counters.threshold = terms.threshold;
        if !counters.declared {
            counters.declared = true;
            self.totals.products += 1;
            let at = self
                .sorted
                .partition_point(|&other| self.counters[other as usize].id < self.counters[ix as usize].id);
            self.sorted.insert(at, ix);
        }
    }

    /// How a declared product is shown.
    pub(super) fn show(&self, ix: ProductIx) -> ProductLevel {
        let (counters, particulars) = (self.at(ix), self.particulars(ix));
        let level = counters.level().unwrap_or_default();
        ProductLevel {
            product: counters.id.clone(),
            name: Arc::clone(&particulars.name),
            unit_price: counters.unit_price,
            level,
            low_stock: level.available() < counters.threshold,
            low_stock_threshold: counters.threshold,
            received: particulars.sources.clone(),
        }
    }

    /// All declared products, by id.
    pub(super) fn show_all(&self) -> impl Iterator<Item = ProductLevel> {
        self.sorted.iter().map(|&ix| self.show(ix))
    }
}

/// What a declaration says besides the count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub(super) name: &'a str,
    pub(super) unit_price: Money,
    pub(super) threshold: u64,
}
