//! The summaries of stock and orders that the services serve, and the declaration of stock.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::client::{CallError, ServiceClient};

/// The source of a VirtualStock's declarations.
pub const SOURCE: &str = "virtualstock";
/// Declarations that run at the same time.
const AT_ONCE: usize = 16;
/// How long one declaration may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The summary of the ledger, as inventory-service serves it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StockSummary {
    /// Changes whenever anything else in the summary changes.
    pub version: String,
    /// Sums over all products.
    pub totals: StockTotals,
    /// Whether the books balance.
    pub invariants: Invariants,
    /// By product; incomplete if `next_cursor` is set.
    pub products: Vec<ProductSummary>,
    /// Where the remaining products begin.
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
    /// Whether they balance.
    pub balanced: bool,
    /// What is wrong.
    #[serde(default)]
    pub violations: Vec<String>,
}

/// One product.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ProductSummary {
    /// Id of the product.
    pub product_id: String,
    /// Name for people.
    pub name: String,
    /// Price of one unit.
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
    /// Changes whenever anything else in the summary changes.
    pub version: String,
    /// Orders in progress.
    pub pending: i64,
    /// Confirmed orders.
    pub confirmed: i64,
    /// Rejected orders.
    pub rejected: i64,
    /// Cancelled orders.
    pub cancelled: i64,
}

/// The declaration of one product.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Declaration {
    /// Id of the product.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Decimal text.
    pub unit_price: String,
    /// Units ever received.
    pub received: i64,
    /// Stock is low below this many units.
    pub low_stock_threshold: i64,
}

impl Declaration {
    /// Whether the ledger already agrees with it.
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
    let (integer, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = format!("{fraction:0<2}");
    integer.parse::<i64>().ok()?.checked_mul(100)?.checked_add(fraction.get(..2)?.parse().ok()?)
}

/// Declares the products that differ from the summary. Returns the declarations that failed, and why.
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
