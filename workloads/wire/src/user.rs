//! Payloads of user-events.

use kbnt_domain::event::{
    Basket, Line, PaymentMethod, UserRegistered, UserRejected, UserStatus, UserStatusChanged, UserValidated,
};
use kbnt_domain::{OrderId, Reason, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::field;
use super::order::{Carries, PaymentMethodDef, lines};

#[derive(Serialize, Deserialize)]
#[serde(remote = "UserRegistered", rename_all = "camelCase")]
pub(super) struct UserRegisteredDef {
    #[serde(rename = "userId", with = "field::text")]
    user: UserId,
    name: String,
    email: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "UserStatusChanged", rename_all = "camelCase")]
pub(super) struct UserStatusChangedDef {
    #[serde(rename = "userId", with = "field::text")]
    user: UserId,
    #[serde(with = "field::UserStatusDef")]
    status: UserStatus,
}

impl Carries for UserValidated {
    fn basket(&self) -> &Basket {
        &self.basket
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "UserValidated")]
pub(super) struct UserValidatedDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "userId", getter = "Carries::user", with = "field::text")]
    user: UserId,
    #[serde(rename = "items", getter = "Carries::lines", with = "lines")]
    lines: Vec<Line>,
    #[serde(getter = "Carries::payment", with = "PaymentMethodDef")]
    payment: PaymentMethod,
    #[serde(rename = "placedAt", with = "field::instant")]
    placed_at: Timestamp,
}

impl From<UserValidatedDef> for UserValidated {
    fn from(UserValidatedDef { order, user, lines, payment, placed_at }: UserValidatedDef) -> Self {
        Self { order, basket: Basket { user, lines, payment }, placed_at }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "UserRejected", rename_all = "camelCase")]
pub(super) struct UserRejectedDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "userId", with = "field::text")]
    user: UserId,
    #[serde(with = "field::text")]
    reason: Reason,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    repeated: bool,
}
