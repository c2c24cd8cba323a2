//! Payloads of payment-events.

use kbnt_domain::event::{PaymentFailed, PaymentProcessed, PaymentRefunded};
use kbnt_domain::{Money, OrderId, Reason, ReservationId, TransactionId};
use serde::{Deserialize, Serialize};

use super::field;

#[derive(Serialize, Deserialize)]
#[serde(remote = "PaymentProcessed", rename_all = "camelCase")]
pub(super) struct PaymentProcessedDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "reservationId", with = "field::text")]
    reservation: ReservationId,
    #[serde(with = "field::money")]
    amount: Money,
    #[serde(rename = "transactionId", with = "field::text")]
    transaction: TransactionId,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PaymentFailed", rename_all = "camelCase")]
pub(super) struct PaymentFailedDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "reservationId", with = "field::text")]
    reservation: ReservationId,
    #[serde(with = "field::money")]
    amount: Money,
    #[serde(with = "field::text")]
    reason: Reason,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    refund_due: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PaymentRefunded", rename_all = "camelCase")]
pub(super) struct PaymentRefundedDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(with = "field::money")]
    amount: Money,
    #[serde(rename = "transactionId", with = "field::text")]
    transaction: TransactionId,
    #[serde(with = "field::text")]
    reason: Reason,
}
