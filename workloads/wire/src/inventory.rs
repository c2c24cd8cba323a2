//! Payloads of inventory-events.

use kbnt_application::event::{Writer, WriterElected};
use kbnt_domain::event::{
    InsufficientStock, Level, LowStock, OrderRepeated, PaymentMethod, PricedLine, ProductNotFound,
    ReservationConfirmed, ReservationExpired, ReservationLost, ReservationRefused, ReservationReleased,
    StockDeclared, VirtualStockReserved,
};
use kbnt_domain::order::OrderStatus;
use kbnt_domain::stock::UNITS_MOST;
use kbnt_domain::{
    Money, OrderId, ProductId, Reason, ReservationId, SourceId, Timestamp, TransactionId, UserId,
};
use serde::{Deserialize, Serialize};

use super::field;
use super::order::optional_payment;

/// The longest name of a writer, in characters: readers note it with their offsets, where a broker takes 4,096 bytes.
const WRITER_MOST: usize = 500;

/// The most reservations of one order: far more than an order ever has.
const ATTEMPTS_MOST: u64 = 1_000;

/// A writer, in the envelope and in its election.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Writer", rename_all = "camelCase")]
pub(super) struct WriterDef {
    term: u64,
    #[serde(deserialize_with = "field::short_text::<WRITER_MOST, _>")]
    name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "WriterElected", rename_all = "camelCase")]
pub(super) struct WriterElectedDef {
    #[serde(with = "WriterDef")]
    writer: Writer,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "StockDeclared", rename_all = "camelCase")]
pub(super) struct StockDeclaredDef {
    #[serde(rename = "productId", with = "field::text")]
    product: ProductId,
    name: String,
    #[serde(with = "field::money")]
    unit_price: Money,
    low_stock_threshold: u64,
    #[serde(with = "field::text")]
    source: SourceId,
    #[serde(deserialize_with = "field::at_most::<UNITS_MOST, _, _>")]
    received: u64,
    #[serde(with = "field::level")]
    level: Level,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "LowStock", rename_all = "camelCase")]
pub(super) struct LowStockDef {
    #[serde(rename = "productId", with = "field::text")]
    product: ProductId,
    threshold: u64,
    #[serde(with = "field::level")]
    level: Level,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "VirtualStockReserved", rename_all = "camelCase")]
pub(super) struct VirtualStockReservedDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "reservationId", with = "field::text")]
    reservation: ReservationId,
    #[serde(rename = "userId", with = "field::text")]
    user: UserId,
    #[serde(deserialize_with = "field::at_most::<ATTEMPTS_MOST, _, _>")]
    attempt: u32,
    #[serde(rename = "items", with = "priced_lines")]
    lines: Vec<PricedLine>,
    #[serde(with = "field::money")]
    amount: Money,
    #[serde(default, with = "optional_payment")]
    payment: Option<PaymentMethod>,
    #[serde(with = "field::instant")]
    expires_at: Timestamp,
    #[serde(with = "field::hex64")]
    fingerprint: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "InsufficientStock", rename_all = "camelCase")]
pub(super) struct InsufficientStockDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "userId", with = "field::text")]
    user: UserId,
    #[serde(rename = "productId", with = "field::text")]
    product: ProductId,
    requested: u64,
    available: u64,
    #[serde(with = "field::hex64")]
    fingerprint: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ProductNotFound", rename_all = "camelCase")]
pub(super) struct ProductNotFoundDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "userId", with = "field::text")]
    user: UserId,
    #[serde(rename = "productId", with = "field::text")]
    product: ProductId,
    #[serde(with = "field::hex64")]
    fingerprint: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ReservationRefused", rename_all = "camelCase")]
pub(super) struct ReservationRefusedDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "userId", with = "field::text")]
    user: UserId,
    #[serde(with = "field::text")]
    reason: Reason,
    #[serde(with = "field::hex64")]
    fingerprint: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ReservationConfirmed", rename_all = "camelCase")]
pub(super) struct ReservationConfirmedDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "reservationId", with = "field::text")]
    reservation: ReservationId,
    #[serde(rename = "userId", with = "field::text")]
    user: UserId,
    #[serde(with = "field::money")]
    amount: Money,
    #[serde(rename = "transactionId", with = "field::text")]
    transaction: TransactionId,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ReservationReleased", rename_all = "camelCase")]
pub(super) struct ReservationReleasedDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(default, rename = "reservationId", with = "field::optional_text")]
    reservation: Option<ReservationId>,
    #[serde(with = "field::text")]
    reason: Reason,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ReservationExpired", rename_all = "camelCase")]
pub(super) struct ReservationExpiredDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "reservationId", with = "field::text")]
    reservation: ReservationId,
    #[serde(rename = "expiresAt", with = "field::instant")]
    deadline: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ReservationLost", rename_all = "camelCase")]
pub(super) struct ReservationLostDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(default, rename = "reservationId", with = "field::optional_text")]
    reservation: Option<ReservationId>,
    #[serde(with = "field::money")]
    amount: Money,
    #[serde(rename = "transactionId", with = "field::text")]
    transaction: TransactionId,
    #[serde(with = "field::text")]
    reason: Reason,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OrderRepeated", rename_all = "camelCase")]
pub(super) struct OrderRepeatedDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "userId", with = "field::text")]
    user: UserId,
    #[serde(with = "field::EndStatusDef")]
    status: OrderStatus,
    #[serde(default, with = "field::optional_text")]
    reason: Option<Reason>,
    #[serde(default, rename = "reservationId", with = "field::optional_text")]
    reservation: Option<ReservationId>,
    #[serde(with = "field::hex64")]
    fingerprint: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PricedLine", rename_all = "camelCase")]
struct PricedLineDef {
    #[serde(rename = "productId", with = "field::text")]
    product: ProductId,
    #[serde(rename = "quantity")]
    units: u64,
    #[serde(with = "field::money")]
    unit_price: Money,
}

/// The lines of a reservation.
mod priced_lines {
    use super::{Deserialize, PricedLine, PricedLineDef, Serialize};
    use serde::{Deserializer, Serializer};

    #[derive(Serialize)]
    struct Out<'a>(#[serde(with = "PricedLineDef")] &'a PricedLine);

    #[derive(Deserialize)]
    struct In(#[serde(with = "PricedLineDef")] PricedLine);

    pub(super) fn serialize<S: Serializer>(lines: &[PricedLine], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(lines.iter().map(Out))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PricedLine>, D::Error> {
        let lines: Vec<In> = Vec::deserialize(from)?;
        Ok(lines.into_iter().map(|In(line)| line).collect())
    }
}
