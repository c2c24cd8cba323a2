//! The ledger's state as plain data, to be kept outside and taken up again.
//!
//! An image stands for the events that a ledger has emitted so far, once all of them are safe: folding goes on from it where
//! they end. It also knows what inputs taught the ledger that is in no event (see [`Ledger::reject`]).

use std::sync::Arc;

use thiserror::Error;

use crate::{Currency, ProductId, SourceId, Span, Timestamp};

pub use super::archive::Chunk;
pub use super::closed_orders::{ClosedOrder, End};
pub use super::product::ProductIx;
pub use super::reservations::{Active, Claim, Line, Lines};

use super::archive::Archived;
use super::decision::StockTerms;
use super::ledger::Ledger;

/// A product of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductImage {
    /// Which; its place in the catalogue is its place in the image.
    pub id: ProductId,
    /// Whether anybody declared it, or only orders name it.
    pub declared: bool,
    /// For people.
    pub name: Arc<str>,
    /// Minor units, for one.
    pub unit_price: i64,
    /// Of the price.
    pub currency: Currency,
    /// Available below this is low.
    pub threshold: u64,
    /// A low-stock alert was given, and available has not risen to the threshold since.
    pub low: bool,
    /// Received less confirmed.
    pub real: i64,
    /// All units ever received, by source, in the sources' order.
    pub sources: Vec<(SourceId, u64)>,
}

/// A ledger as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerImage {
    /// The time of the last decision.
    pub clock: Timestamp,
    /// How long ended orders were remembered.
    pub window: Span,
    /// Units that were ever confirmed, of all products.
    pub confirmed: u64,
    /// The catalogue.
    pub products: Vec<ProductImage>,
    /// The active reservations, in no order that means anything.
    pub active: Vec<Active>,
    /// The oldest of the remembered orders, as far as they lie in an archive: it must have these chunks.
    pub archived: Vec<Chunk>,
    /// The others in order of ending.
    pub ended: Vec<ClosedOrder>,
}

/// Why an image is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    /// Orders are forgotten in it that are to be remembered now.
    #[error("its ended orders were remembered for {taken}, and are to be for {wanted}")]
    ShortMemory {
        /// When it was taken.
        taken: Span,
        /// Now.
        wanted: Span,
    },
    /// It is no image of any ledger.
    #[error("it contradicts itself")]
    Unsound,
}

impl Ledger {
    /// What stands in the ledger now, as if all that it emitted were safe. In time proportional to what there is.
    pub fn image(&self) -> LedgerImage {
        let product = |(ix, counters): (ProductIx, &super::product::Counters)| {
            let particulars = self.catalogue.particulars(ix);
            ProductImage {
                id: counters.id.clone(),
                declared: counters.declared,
                name: Arc::clone(&particulars.name),
                unit_price: counters.unit_price,
                currency: counters.currency,
                threshold: counters.threshold,
                low: counters.low,
                real: counters.real,
                sources: particulars.sources.clone(),
            }
        };
        LedgerImage {
            clock: self.clock,
            window: self.terms.window,
            confirmed: self.catalogue.confirmed,
            products: self.catalogue.all().map(product).collect(),
            active: self.reservations.iter().cloned().collect(),
            archived: self.archived().copied().collect(),
            ended: self.closed_orders.standing().map(|(_, closed)| closed.clone()).collect(),
        }
    }

    /// A ledger that has folded what `image` stands for, to be [recovered](Ledger::recover) from the events after that and
    /// then [opened](Ledger::open).
    pub fn restore(terms: StockTerms, image: LedgerImage) -> Result<Self, ImageError> {
        if image.window < terms.window {
            return Err(ImageError::ShortMemory { taken: image.window, wanted: terms.window });
        }
        let mut ledger = Self::new(terms);
        ledger.clock = image.clock;
        for (place, product) in (0..).zip(image.products) {
            if ledger.catalogue.intern(&product.id) != place {
                return Err(ImageError::Unsound);
            }
            let alerted_at = product.low.then_some(image.clock);
            ledger.catalogue.restore(place, product, alerted_at);
        }
        ledger.catalogue.confirmed = image.confirmed;
        ledger.closed_orders.restore(Archived::new(image.archived)?);
        for ended in image.ended {
            ledger.check(ended.claim.as_deref())?;
            if ledger.knows(ended.order) {
                return Err(ImageError::Unsound);
            }
            ledger.end(ended, None);
        }
        let mut active = image.active;
        // In order of deadlines they take the least room and time.
        active.sort_by_key(|active| active.claim.deadline);
        for Active { order, claim } in active {
            ledger.check(Some(&claim))?;
            if ledger.knows(order) {
                return Err(ImageError::Unsound);
            }
            ledger.hold(order, claim, None, &mut Vec::new());
        }
        Ok(ledger)
    }

    /// Whether the catalogue has what a claim is for.
    pub(super) fn check(&self, claim: Option<&Claim>) -> Result<(), ImageError> {
        let places = self.catalogue.places();
        let known = |line: &Line| places.contains(&line.product);
        if claim.is_none_or(|claim| claim.lines.iter().all(known)) {
            Ok(())
        } else {
            Err(ImageError::Unsound)
        }
    }
}
