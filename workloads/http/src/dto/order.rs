//! Orders.

use kbnt_domain::event::{Basket, Line, PaymentMethod};
use kbnt_domain::{ProductId, Quantity, UserId, rules};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::object::object;
use super::text::{MoneyBody, parsed, whole_number};

/// The most lines of one order.
const LINES_MOST: usize = 100;

/// One line of an order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OrderItem {
    #[serde(deserialize_with = "parsed")]
    #[schema(value_type = String, pattern = "^[A-Za-z0-9._-]{1,64}$", examples("PROD-001"))]
    product_id: ProductId,
    #[serde(deserialize_with = "quantity")]
    #[schema(value_type = u32, minimum = 1, maximum = 1_000_000)]
    quantity: Quantity,
}

fn quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Quantity, D::Error> {
    Quantity::new(whole_number(deserializer)?).map_err(D::Error::custom)
}

fn lines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<OrderItem>, D::Error> {
    let lines = Vec::<OrderItem>::deserialize(deserializer)?;
    if (1..=LINES_MOST).contains(&lines.len()) {
        Ok(lines)
    } else {
        Err(D::Error::custom(format!("1 to {LINES_MOST} lines")))
    }
}

/// How the customer pays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct PaymentBody {
    /// Such as `credit_card`; the gateway gives it a meaning.
    #[serde(deserialize_with = "word::<_, 32>")]
    #[schema(pattern = "^[A-Za-z0-9._-]{1,32}$", examples("credit_card"))]
    method: String,
    /// The card processor's token, never a card number.
    #[serde(default, deserialize_with = "some_word::<_, 128>")]
    #[schema(pattern = "^[A-Za-z0-9._-]{1,128}$", examples("tok_ok"))]
    token: Option<String>,
}

fn check_word<const MOST: usize, E: Error>(text: String) -> Result<String, E> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=MOST).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text)
    } else {
        Err(E::custom(format!("1 to {MOST} characters of letters, digits, '-', '_' and '.'")))
    }
}

fn word<'de, D: Deserializer<'de>, const MOST: usize>(deserializer: D) -> Result<String, D::Error> {
    check_word::<MOST, _>(String::deserialize(deserializer)?)
}

fn some_word<'de, D: Deserializer<'de>, const MOST: usize>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer)?.map(check_word::<MOST, _>).transpose()
}

/// A user who could not be registered cannot order.
fn user<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UserId, D::Error> {
    let user: UserId = parsed(deserializer)?;
    if rules::is_user_id(user.as_str()) { Ok(user) } else { Err(D::Error::custom(rules::USER_ID_ADVICE)) }
}

/// An order to be placed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = OrderRequest)]
pub(crate) struct PlaceOrderBody {
    #[serde(deserialize_with = "user")]
    #[schema(value_type = String, pattern = r"^([A-Za-z0-9_-][A-Za-z0-9._-]{0,63}|\.[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}|\.\.[A-Za-z0-9._-]{1,62})$", examples("USER-12345"))]
    user_id: UserId,
    /// A product may stand in several lines; they are added up.
    #[serde(deserialize_with = "lines")]
    #[schema(min_items = 1, max_items = 100)]
    items: Vec<OrderItem>,
    payment: PaymentBody,
}

object!(OrderItem);
object!(PaymentBody);
object!(PlaceOrderBody);

impl From<PlaceOrderBody> for Basket {
    fn from(body: PlaceOrderBody) -> Self {
        let line = |item: OrderItem| Line { product: item.product_id, quantity: item.quantity };
        Self {
            user: body.user_id,
            lines: body.items.into_iter().map(line).collect(),
            payment: PaymentMethod { method: body.payment.method, token: body.payment.token },
        }
    }
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = OrderStatus)]
pub(crate) enum OrderStatusText {
    /// Under way.
    Pending,
    /// Paid, and the stock is diminished.
    Confirmed,
    /// Refused before anything was reserved.
    Rejected,
    /// Undone after.
    Cancelled,
}

/// An order that was taken in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderAccepted {
    pub(crate) order_id: String,
    pub(crate) status: OrderStatusText,
}

/// An event of an order, and where it lies in the log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TimelineEntry {
    #[schema(examples("VirtualStockReservedEvent"))]
    pub(crate) event_name: &'static str,
    #[schema(examples("inventory-events"))]
    pub(crate) topic: &'static str,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    /// RFC 3339.
    pub(crate) timestamp: String,
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Order)]
pub(crate) struct OrderBody {
    pub(crate) order_id: String,
    pub(crate) user_id: String,
    pub(crate) status: OrderStatusText,
    /// Why it is not confirmed.
    pub(crate) reason: Option<&'static str>,
    /// The last reservation made for it.
    pub(crate) reservation_id: Option<String>,
    /// What it costs; known from the reservation on.
    pub(crate) amount: Option<MoneyBody>,
    /// What happened so far.
    pub(crate) timeline: Vec<TimelineEntry>,
}

/// One page of orders.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderList)]
pub(crate) struct OrderPage {
    pub(crate) items: Vec<OrderBody>,
    /// For the next page; null on the last.
    pub(crate) next_cursor: Option<String>,
}

/// Orders by status.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderSummary)]
pub(crate) struct OrderSummary {
    /// Changes whenever anything here does; for `since`.
    pub(crate) version: String,
    pub(crate) pending: u64,
    pub(crate) confirmed: u64,
    pub(crate) rejected: u64,
    pub(crate) cancelled: u64,
}
