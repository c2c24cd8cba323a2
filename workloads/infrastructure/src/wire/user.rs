//! Payloads of user-events.

use kbnt_domain::event::{
    Basket, UserRegistered, UserRejected, UserStatus, UserStatusChanged, UserValidated,
};
use kbnt_domain::{OrderId, Reason, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::field;
use super::order::BasketDef;

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

#[derive(Serialize, Deserialize)]
#[serde(remote = "UserValidated", rename_all = "camelCase")]
pub(super) struct UserValidatedDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(flatten, with = "BasketDef")]
    basket: Basket,
    #[serde(with = "field::instant")]
    placed_at: Timestamp,
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
}
