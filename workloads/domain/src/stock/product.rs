//! The catalogue and its counters.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::event::Level;
use crate::{Currency, Money, ProductId, SourceId, Timestamp};

use super::image::ProductImage;
use super::view::{ProductLevel, Totals};

/// A product's place in the catalogue; never reused.
pub type ProductIx = u32;

/// What every decision about a product reads: one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Counters {
    pub(super) id: ProductId,
    /// Received less confirmed. Less than nothing only in a recovery, which may meet a confirmation before the receipt.
    pub(super) real: i64,
    pub(super) reserved: u64,
    pub(super) threshold: u64,
    /// Minor units, for one.
    pub(super) unit_price: i64,
    pub(super) currency: Currency,
    pub(super) declared: bool,
    /// A low-stock alert was given, and available has not risen to the threshold since.
    pub(super) low: bool,
    /// Some of it is not settled.
    in_flight: bool,
}

impl Counters {
    /// The levels; `None` where more is confirmed or reserved than there is.
    pub(super) fn level(&self) -> Option<Level> {
        let real = u64::try_from(self.real).ok()?;
        (self.reserved <= real).then_some(Level { real, reserved: self.reserved })
    }

    /// Real less reserved.
    pub(super) fn available(&self) -> u64 {
        self.level().map_or(0, Level::available)
    }

    pub(super) fn price(&self) -> Money {
        // Holds by construction: prices come from `Money`, which is never negative.
        Money::from_minor(self.unit_price, self.currency).unwrap_or(Money::zero(self.currency))
    }
}

/// What only declarations, views and recoveries read.
#[derive(Debug, Default)]
pub(super) struct Particulars {
    pub(super) name: Arc<str>,
    pub(super) sources: Vec<(SourceId, u64)>,
    /// Freed or received, but not to be promised before the record that says so is safe.
    pub(super) unsettled: u64,
    /// When the last low-stock alert was given, while recovering.
    pub(super) alerted_at: Option<Timestamp>,
    /// When an order last gave units back, while recovering.
    pub(super) freed_at: Option<Timestamp>,
}

impl Particulars {
    /// Sum over all sources.
    pub(super) fn received(&self) -> u64 {
        self.sources.iter().map(|(_, received)| received).sum()
    }
}

/// All products.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    index: HashTable<ProductIx>,
    /// Product ids come from outside, so they are hashed with a key of our own.
    hasher: RandomState,
    counters: Vec<Counters>,
    particulars: Vec<Particulars>,
    /// The declared ones, by id.
    sorted: Vec<ProductIx>,
    /// Units that were ever confirmed, of all products.
    pub(super) confirmed: u64,
    pub(super) totals: Totals,
}

impl Catalogue {
    /// The place of a declared product.
    pub(super) fn find(&self, product: &ProductId) -> Option<ProductIx> {
        self.seek(product).filter(|&ix| self.at(ix).declared)
    }

    /// The place of a product, made if it has none. A recovery may meet its reservations before its declaration.
    pub(super) fn intern(&mut self, product: &ProductId) -> ProductIx {
        if let Some(ix) = self.seek(product) {
            return ix;
        }
        // More than four thousand million products do not fit into memory.
        let ix = ProductIx::try_from(self.counters.len()).unwrap_or(ProductIx::MAX);
        let (hasher, counters) = (&self.hasher, &self.counters);
        let rehash = |&other: &ProductIx| hasher.hash_one(counters[other as usize].id.as_str());
        self.index.insert_unique(hasher.hash_one(product.as_str()), ix, rehash);
        self.particulars.push(Particulars::default());
        self.counters.push(Counters {
            id: product.clone(),
            real: 0,
            reserved: 0,
            threshold: 0,
            unit_price: 0,
            currency: Currency::BRL,
            declared: false,
            low: false,
            in_flight: false,
        });
        ix
    }

    fn seek(&self, product: &ProductId) -> Option<ProductIx> {
        let hash = self.hasher.hash_one(product.as_str());
        self.index.find(hash, |&ix| self.at(ix).id == *product).copied()
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

    /// Whether a product's books are not sound, or its stock is low or high again: seldom.
    pub(super) fn wants_attention(&self, ix: ProductIx) -> bool {
        let counters = self.at(ix);
        match counters.level() {
            Some(level) => {
                let available = level.available();
                (available < counters.threshold) != counters.low
                    || counters.in_flight && available < self.particulars(ix).unsettled
            }
            None => true,
        }
    }

    /// What may be promised now.
    pub(super) fn grantable(&self, ix: ProductIx) -> u64 {
        self.at(ix).available().saturating_sub(self.unsettled(ix))
    }

    /// What was freed or received, and is not settled.
    pub(super) fn unsettled(&self, ix: ProductIx) -> u64 {
        if self.at(ix).in_flight { self.particulars(ix).unsettled } else { 0 }
    }

    /// Changes what is not settled; less than nothing there cannot be.
    pub(super) fn unsettle(&mut self, ix: ProductIx, change: impl FnOnce(u64) -> u64) {
        let unsettled = &mut self.particulars[ix as usize].unsettled;
        *unsettled = change(*unsettled);
        self.counters[ix as usize].in_flight = *unsettled > 0;
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
            && counters.price() == terms.unit_price
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
        // Both are at most what is kept exact.
        let units = received.cast_signed() - before.cast_signed();
        counters.real += units;
        self.totals.real = self.totals.real.wrapping_add_signed(units);
        counters.unit_price = terms.unit_price.minor();
        counters.currency = terms.unit_price.currency();
        counters.threshold = terms.threshold;
        self.show_from_now_on(ix);
    }

    /// A product is declared.
    fn show_from_now_on(&mut self, ix: ProductIx) {
        if !std::mem::replace(&mut self.at_mut(ix).declared, true) {
            self.totals.products += 1;
            let at = self.sorted.partition_point(|&other| self.at(other).id < self.at(ix).id);
            self.sorted.insert(at, ix);
        }
    }

    /// Sets what an image says of a product that has nothing yet; of a low-stock alert, when it was given at the latest.
    pub(super) fn restore(&mut self, ix: ProductIx, image: ProductImage, alerted_at: Option<Timestamp>) {
        let particulars = &mut self.particulars[ix as usize];
        (particulars.name, particulars.sources) = (image.name, image.sources);
        particulars.alerted_at = alerted_at;
        let counters = &mut self.counters[ix as usize];
        counters.real = image.real;
        counters.unit_price = image.unit_price;
        counters.currency = image.currency;
        counters.threshold = image.threshold;
        self.totals.real = self.totals.real.wrapping_add_signed(image.real);
        if image.declared {
            self.show_from_now_on(ix);
        }
    }

    /// How a declared product is shown.
    pub(super) fn show(&self, ix: ProductIx) -> ProductLevel {
        let (counters, particulars) = (self.at(ix), self.particulars(ix));
        let level = counters.level().unwrap_or_default();
        ProductLevel {
            product: counters.id.clone(),
            name: Arc::clone(&particulars.name),
            unit_price: counters.price(),
            level,
            low_stock: level.available() < counters.threshold,
            low_stock_threshold: counters.threshold,
            received: particulars.sources.clone(),
        }
    }

    /// The declared products after `after`, by id.
    pub(super) fn declared_after(&self, after: Option<&ProductId>) -> impl Iterator<Item = ProductIx> {
        let first = after.map_or(0, |after| self.sorted.partition_point(|&ix| self.at(ix).id <= *after));
        self.sorted[first..].iter().copied()
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
