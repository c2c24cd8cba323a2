//! Stock levels and declarations.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use kbnt_application::inventory::Summary;
use kbnt_application::projections::InvalidCursor;
use kbnt_domain::stock::{LevelPage, ProductLevel, UNITS_MOST};
use kbnt_domain::{Money, ProductId};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};

use super::object::object;
use super::text::{MoneyBody, money, plain_text, whole_number};

/// What a source declares about a product.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = StockDeclaration)]
pub(crate) struct StockPut {
    /// For people, 1 to 200 characters.
    #[serde(deserialize_with = "plain_text::<_, 200>")]
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    pub(crate) name: String,
    /// For one unit: decimal text in BRL, or an object with value and currency.
    #[serde(deserialize_with = "money")]
    #[schema(schema_with = price_schema)]
    pub(crate) unit_price: Money,
    /// All units that this source has ever received.
    #[serde(deserialize_with = "units")]
    #[schema(value_type = u64, minimum = 0, maximum = 9_007_199_254_740_992_i64)]
    pub(crate) received: u64,
    /// Available below this is low; left out, it stays as it is.
    #[serde(default, deserialize_with = "some_units")]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 9_007_199_254_740_992_i64)]
    pub(crate) low_stock_threshold: Option<u64>,
}

object!(StockPut);

fn price_schema() -> Schema {
    OneOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^[0-9]{1,16}(\.[0-9]{1,2})?$")))
        .item(Ref::from_schema_name("Price"))
        .build()
        .into()
}

fn units<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let units = whole_number(deserializer)?;
    if units <= UNITS_MOST { Ok(units) } else { Err(D::Error::custom(format!("at most {UNITS_MOST}"))) }
}

/// Units that may be absent.
#[derive(Deserialize)]
struct Units(#[serde(deserialize_with = "whole_number")] u64);

fn some_units<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match Option::<Units>::deserialize(deserializer)?.map(|Units(units)| units) {
        Some(units) if units > UNITS_MOST => Err(D::Error::custom(format!("at most {UNITS_MOST}"))),
        units => Ok(units),
    }
}

/// A product and its units.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Stock)]
pub(crate) struct StockBody {
    #[schema(examples("PROD-001"))]
    product_id: String,
    name: String,
    unit_price: MoneyBody,
    /// Units physically there: received less confirmed.
    real: u64,
    /// Units held by active reservations.
    reserved: u64,
    /// Units that may still be promised: real less reserved.
    available: u64,
    /// Whether available is below the threshold.
    low_stock: bool,
    low_stock_threshold: u64,
    /// All units ever received, by source.
    received: BTreeMap<String, u64>,
}

impl From<&ProductLevel> for StockBody {
    fn from(product: &ProductLevel) -> Self {
        Self {
            product_id: product.product.to_string(),
            name: product.name.to_string(),
            unit_price: product.unit_price.into(),
            real: product.level.real,
            reserved: product.level.reserved,
            available: product.level.available(),
            low_stock: product.low_stock,
            low_stock_threshold: product.low_stock_threshold,
            received: product.received.iter().map(|(source, units)| (source.to_string(), *units)).collect(),
        }
    }
}

/// The position in a list of products. Its prefix distinguishes it from the cursors of other lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StockCursor(pub(crate) ProductId);

/// The prefix.
const STOCK_CURSOR: &str = "product:";

impl fmt::Display for StockCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STOCK_CURSOR}{}", self.0)
    }
}

impl FromStr for StockCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let product = text.strip_prefix(STOCK_CURSOR).and_then(|id| id.parse().ok());
        product.map(Self).ok_or(InvalidCursor)
    }
}

/// One page of products.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StockList)]
pub(crate) struct StockPage {
    /// By product id.
    items: Vec<StockBody>,
    /// For the next page; null on the last.
    next_cursor: Option<String>,
}

impl From<LevelPage> for StockPage {
    fn from(page: LevelPage) -> Self {
        Self {
            items: page.levels.iter().map(Into::into).collect(),
            next_cursor: page.next.map(|next| StockCursor(next).to_string()),
        }
    }
}

/// Sums over all products.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StockTotals {
    real: u64,
    reserved: u64,
    available: u64,
    active_reservations: u64,
    products: u64,
}

/// Whether the books balance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invariants {
    /// False only if there is a bug.
    balanced: bool,
    /// What is wrong.
    violations: Vec<String>,
}

/// The inventory at a glance.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StockSummary {
    /// Changes whenever anything here does; for `since`.
    #[schema(examples("3-17"))]
    version: String,
    /// Grows with each election of a writer.
    writer_term: u64,
    totals: StockTotals,
    invariants: Invariants,
    /// By product id.
    products: Vec<StockBody>,
    /// For the next page of products; null on the last.
    next_cursor: Option<String>,
}

impl StockSummary {
    pub(crate) fn new(summary: &Summary, page: LevelPage) -> Self {
        let StockPage { items, next_cursor } = page.into();
        let totals = summary.totals;
        Self {
            version: summary.version.to_string(),
            writer_term: summary.version.term,
            totals: StockTotals {
                real: totals.real,
                reserved: totals.reserved,
                available: totals.available(),
                active_reservations: totals.active_reservations,
                products: totals.products,
            },
            invariants: Invariants {
                balanced: summary.violations.is_empty(),
                violations: summary.violations.clone(),
            },
            products: items,
            next_cursor,
        }
    }
}
