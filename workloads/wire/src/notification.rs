//! Payloads of notification-events.

use kbnt_domain::event::{NotificationFailed, NotificationSent};
use kbnt_domain::{OrderId, UserId};
use serde::{Deserialize, Serialize};

use super::field;

#[derive(Serialize, Deserialize)]
#[serde(remote = "NotificationSent", rename_all = "camelCase")]
pub(super) struct NotificationSentDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "userId", with = "field::text")]
    user: UserId,
    channel: String,
    template: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "NotificationFailed", rename_all = "camelCase")]
pub(super) struct NotificationFailedDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "userId", with = "field::text")]
    user: UserId,
    channel: String,
    detail: String,
}
