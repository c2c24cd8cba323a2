//! How the inventory behaves.

use kbnt_domain::Span;
use kbnt_domain::stock::StockTerms;

/// How the inventory behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryConfig {
    /// Who this process is. It must be another one at each start of a process, or two of them could hold one term.
    pub writer_name: String,
    /// How long a reservation holds.
    pub ttl: Span,
    /// For products that name no threshold of their own.
    pub low_stock_threshold: u64,
    /// How long an ended order is remembered; commands that are older are refused.
    pub window: Span,
}

impl InventoryConfig {
    /// 15 minutes, 10 units, 24 hours.
    pub fn new(writer_name: impl Into<String>) -> Self {
        let StockTerms { ttl, low_stock_threshold, window } = StockTerms::default();
        Self { writer_name: writer_name.into(), ttl, low_stock_threshold, window }
    }

    pub(super) const fn terms(&self) -> StockTerms {
        StockTerms { ttl: self.ttl, low_stock_threshold: self.low_stock_threshold, window: self.window }
    }
}
