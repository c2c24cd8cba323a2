//! Declaring stock: a cumulative count of units ever received, per source.

use smallvec::smallvec;
use thiserror::Error;

use crate::event::StockDeclared;
use crate::{Money, ProductId, SourceId, Timestamp};

use super::decision::EmittedEvent;
use super::ledger::Ledger;
use super::product::{ProductIx, Terms};
use super::view::ProductLevel;

/// The most units that all sources together may have received of one product: what JSON readers keep exact.
pub const UNITS_MOST: u64 = kbnt_rules::UNITS_MOST;

/// The most sources of one product. A log may tell of more, from a time when there was no bound; they count on.
pub const SOURCES_MOST: usize = 64;

/// What a source says about a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The product.
    pub product: ProductId,
    /// What it is called.
    pub name: String,
    /// For one unit.
    pub unit_price: Money,
    /// All units that this source has ever received.
    pub received: u64,
    /// Available below this is low; `None` keeps what is set.
    pub low_stock_threshold: Option<u64>,
    /// Who says so.
    pub source: SourceId,
}

/// Why a declaration has no effect.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DeclareError {
    /// It would write off units that are promised (or sold).
    #[error(
        "{product}: {source_id} had received {received} units; {declared} would take away more than the {available} that \
         are available"
    )]
    WriteOffRefused {
        /// The product.
        product: ProductId,
        /// Who declared.
        source_id: SourceId,
        /// What this source had declared before.
        received: u64,
        /// What it declares now.
        declared: u64,
        /// What could be written off at most.
        available: u64,
    },
    /// It needs units that were freed a moment ago and whose record is not safe yet: try again in a moment.
    #[error("{product}: units were freed a moment ago; try again")]
    Unsettled {
        /// The product.
        product: ProductId,
    },
    /// More than [`UNITS_MOST`] in all.
    #[error("{product}: more than {max} units in all", max = UNITS_MOST)]
    TooMany {
        /// The product.
        product: ProductId,
    },
    /// [`SOURCES_MOST`] others have declared something of it.
    #[error("{product}: {max} sources have declared it, and there are no more", max = SOURCES_MOST)]
    TooManySources {
        /// The product.
        product: ProductId,
    },
    /// The ledger decides nothing: it is not open (any more).
    #[error("the stock ledger is not open")]
    NotOpen,
}

impl Ledger {
    /// Takes in what a source says. The same again changes nothing and emits nothing.
    pub fn declare(
        &mut self,
        declaration: &Declaration,
        now: Timestamp,
        emitted: &mut Vec<EmittedEvent>,
    ) -> Result<ProductLevel, DeclareError> {
        if !self.begin(now, emitted) {
            return Err(DeclareError::NotOpen);
        }
        let threshold = self.threshold(declaration);
        let terms = Terms { name: &declaration.name, unit_price: declaration.unit_price, threshold };
        let known = self.catalogue.find(&declaration.product);
        let before = known.and_then(|product| self.catalogue.received(product, &declaration.source));
        if let Some(product) = known
            && before == Some(declaration.received)
            && self.catalogue.is_on_terms(product, terms)
        {
            return Ok(self.catalogue.show(product));
        }
        if before.is_none()
            && known.is_some_and(|product| self.catalogue.particulars(product).sources.len() >= SOURCES_MOST)
        {
            return Err(DeclareError::TooManySources { product: declaration.product.clone() });
        }
        let before = before.unwrap_or(0);
        self.check_count(declaration, known, before)?;

        let product = self.catalogue.intern(&declaration.product);
        self.catalogue.declare(product, terms, &declaration.source, declaration.received);
        let receipt = declaration.received.saturating_sub(before);
        let frees = (receipt > 0).then(|| {
            self.catalogue.unsettle(product, |units| units + receipt);
            self.credits.note(smallvec![(product, receipt)])
        });
        self.changes += 1;
        let shown = self.catalogue.show(product);
        let event = StockDeclared {
            product: declaration.product.clone(),
            name: declaration.name.clone(),
            unit_price: declaration.unit_price,
            low_stock_threshold: threshold,
            source: declaration.source.clone(),
            received: declaration.received,
            level: shown.level,
        };
        emitted.push(EmittedEvent { event: event.into(), frees });
        self.inspect(product, emitted);
        Ok(shown)
    }

    fn threshold(&self, declaration: &Declaration) -> u64 {
        let set =
            || self.catalogue.find(&declaration.product).map(|product| self.catalogue.at(product).threshold);
        declaration.low_stock_threshold.or_else(set).unwrap_or(self.terms.low_stock_threshold)
    }

    /// Whether a source that had received `before` may now say what it declares.
    fn check_count(
        &self,
        declaration: &Declaration,
        known: Option<ProductIx>,
        before: u64,
    ) -> Result<(), DeclareError> {
        let product = || declaration.product.clone();
        let in_all = known.map_or(0, |product| self.catalogue.particulars(product).received());
        let written_off = before.saturating_sub(declaration.received);
        let available = known.map_or(0, |product| self.catalogue.at(product).available());
        if written_off > available {
            return Err(DeclareError::WriteOffRefused {
                product: product(),
                source_id: declaration.source.clone(),
                received: before,
                declared: declaration.received,
                available,
            });
        }
        if written_off > known.map_or(0, |product| self.catalogue.grantable(product)) {
            return Err(DeclareError::Unsettled { product: product() });
        }
        if (in_all - before).checked_add(declaration.received).is_none_or(|sum| sum > UNITS_MOST) {
            return Err(DeclareError::TooMany { product: product() });
        }
        Ok(())
    }
}
