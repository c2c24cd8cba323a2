//! What the services report of stock and orders, and how stock is declared.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::client::{CallError, ServiceClient};

/// The source of what a VirtualStock declares.
pub const SOURCE: &str = "virtualstock";
/// Declarations under way at a time.
const AT_ONCE: usize = 16;
/// How long one declaration may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The ledger, as inventory-service sums it up.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StockSummary {
    /// Differs when anything else does.
    pub version: String,
    /// Sums over all products.
    pub totals: StockTotals,
    /// Whether the books balance.
    pub invariants: Invariants,
    /// By product; not all where `next_cursor` is given.
    pub products: Vec<ProductSummary>,
    /// Where the other products begin.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// Sums over all products.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StockTotals {
    /// Units that exist.
    pub real: i64,
    /// Units held by reservations.
    pub reserved: i64,
    /// Units that can be reserved.
    pub available: i64,
    /// Reservations that hold units.
    pub active_reservations: i64,
    /// Products known.
    pub products: i64,
}

/// Whether the books balance.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct Invariants {
    /// Whether they do.
    pub balanced: bool,
    /// What is wrong.
    #[serde(default)]
    pub violations: Vec<String>,
}

/// One product.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ProductSummary {
    /// Which one.
    pub product_id: String,
    /// What people call it.
    pub name: String,
    /// Of one unit.
    pub unit_price: Price,
    /// Units that exist.
    pub real: i64,
    /// Units held by reservations.
    pub reserved: i64,
    /// Units that can be reserved.
    pub available: i64,
    /// Whether available is below the threshold.
    pub low_stock: bool,
    /// The threshold.
    pub low_stock_threshold: i64,
    /// Units ever received, by source.
    pub received: BTreeMap<String, i64>,
}

/// Money.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct Price {
    /// Decimal text.
    pub value: String,
}

/// Orders by their state.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct OrderSummary {
    /// Differs when anything else does.
    pub version: String,
    /// Under way.
    pub pending: i64,
    /// Confirmed.
    pub confirmed: i64,
    /// Refused.
    pub rejected: i64,
    /// Undone.
    pub cancelled: i64,
}

/// One product as it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Declaration {
    /// Which one.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Decimal text.
    pub unit_price: String,
    /// Units ever received.
    pub received: i64,
    /// Low below this.
    pub low_stock_threshold: i64,
}

impl Declaration {
    /// Whether the ledger already has it so.
    pub fn is_met_by(&self, product: &ProductSummary) -> bool {
        product.product_id == self.id
            && product.name == self.name
            && cents(&product.unit_price.value) == cents(&self.unit_price)
            && product.low_stock_threshold == self.low_stock_threshold
            && product.received.get(SOURCE) == Some(&self.received)
    }
}

/// Decimal text in hundredths, so that "5" and "5.00" are the same.
fn cents(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = format!("{fraction:0<2}");
    whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(fraction.get(..2)?.parse().ok()?)
}

/// Declares what differs from the summary. The declarations that failed, and why.
pub async fn declare(
    url: &str,
    wanted: &[Declaration],
    summary: &StockSummary,
) -> Vec<(Declaration, CallError)> {
    let known: BTreeMap<_, _> =
        summary.products.iter().map(|product| (product.product_id.as_str(), product)).collect();
    let is_met = |declaration: &Declaration| {
        known.get(declaration.id.as_str()).is_some_and(|product| declaration.is_met_by(product))
    };
    let calls: Vec<_> = wanted
        .iter()
        .filter(|declaration| !is_met(declaration))
        .map(|declaration| declare_one(format!("{url}/v1/stock/{}", declaration.id), declaration.clone()))
        .collect();
    stream::iter(calls).buffered(AT_ONCE).filter_map(std::future::ready).collect().await
}

async fn declare_one(url: String, wanted: Declaration) -> Option<(Declaration, CallError)> {
    let body = json!({
        "name": wanted.name,
        "unitPrice": wanted.unit_price,
        "received": wanted.received,
        "lowStockThreshold": wanted.low_stock_threshold,
    });
    let mut client = ServiceClient::default();
    let answer: Result<IgnoredAny, _> = client.put(&url, &[("x-stock-source", SOURCE)], &body, TIMEOUT).await;
    answer.err().map(|error| (wanted, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_met_by_the_same_numbers_however_the_price_is_written() {
        let declaration = Declaration {
            id: "P".into(),
            name: "Phone".into(),
            unit_price: "5".into(),
            received: 7,
            low_stock_threshold: 10,
        };
        let product = ProductSummary {
            product_id: "P".into(),
            name: "Phone".into(),
            unit_price: Price { value: "5.00".into() },
            low_stock_threshold: 10,
            received: BTreeMap::from([(SOURCE.into(), 7), ("api".into(), 3)]),
            ..ProductSummary::default()
        };
        assert!(declaration.is_met_by(&product));
        assert!(!Declaration { received: 8, ..declaration.clone() }.is_met_by(&product));
        assert!(!Declaration { unit_price: "5.01".into(), ..declaration.clone() }.is_met_by(&product));
        assert!(!Declaration { name: "Tablet".into(), ..declaration }.is_met_by(&product));
        assert_eq!((cents("599.9"), cents("0.05"), cents("x")), (Some(59_990), Some(5), None));
    }
}
