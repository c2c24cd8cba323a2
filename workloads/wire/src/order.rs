//! Payloads of order-events, and the basket, which user-events carry on.
#![allow(clippy::trivially_copy_pass_by_ref, clippy::ref_option, reason = "serde calls them so")]

use kbnt_domain::event::{
    Basket, CancelKind, Line, OrderCancelRequested, OrderCancelled, OrderCreated, PaymentMethod, PlaceOrder,
};
use kbnt_domain::{Money, OrderId, ProductId, Quantity, Reason, ReservationId, TransactionId, UserId};
use serde::{Deserialize, Serialize};

use super::field;

/// The longest name of a payment method, in characters.
const METHOD_MOST: usize = 1_000;

/// The longest token of a card processor, in characters.
const TOKEN_MOST: usize = 16_000;

/// An event that carries a basket, whose fields are written beside its own. They are read one by one: serde's `flatten` would
/// first put all of them into a map.
pub(super) trait Carries {
    fn basket(&self) -> &Basket;

    fn user(&self) -> &UserId {
        &self.basket().user
    }

    fn lines(&self) -> &Vec<Line> {
        &self.basket().lines
    }

    fn payment(&self) -> &PaymentMethod {
        &self.basket().payment
    }
}

impl Carries for PlaceOrder {
    fn basket(&self) -> &Basket {
        &self.basket
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PlaceOrder")]
pub(super) struct PlaceOrderDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "userId", getter = "Carries::user", with = "field::text")]
    user: UserId,
    #[serde(rename = "items", getter = "Carries::lines", with = "lines")]
    lines: Vec<Line>,
    #[serde(getter = "Carries::payment", with = "PaymentMethodDef")]
    payment: PaymentMethod,
}

impl From<PlaceOrderDef> for PlaceOrder {
    fn from(PlaceOrderDef { order, user, lines, payment }: PlaceOrderDef) -> Self {
        Self { order, basket: Basket { user, lines, payment } }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OrderCancelRequested", rename_all = "camelCase")]
pub(super) struct OrderCancelRequestedDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OrderCreated", rename_all = "camelCase")]
pub(super) struct OrderCreatedDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "userId", with = "field::text")]
    user: UserId,
    #[serde(rename = "reservationId", with = "field::text")]
    reservation: ReservationId,
    #[serde(with = "field::money")]
    amount: Money,
    #[serde(rename = "transactionId", with = "field::text")]
    transaction: TransactionId,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OrderCancelled", rename_all = "camelCase")]
pub(super) struct OrderCancelledDef {
    #[serde(rename = "orderId", with = "field::text")]
    order: OrderId,
    #[serde(rename = "userId", with = "field::text")]
    user: UserId,
    #[serde(rename = "status", with = "field::CancelKindDef")]
    kind: CancelKind,
    #[serde(with = "field::text")]
    reason: Reason,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PaymentMethod", rename_all = "camelCase")]
pub(super) struct PaymentMethodDef {
    #[serde(deserialize_with = "field::short_text::<METHOD_MOST, _>")]
    method: String,
    #[serde(default, deserialize_with = "field::optional_short_text::<TOKEN_MOST, _>")]
    token: Option<String>,
}

/// `payment`, which may be missing or null.
pub(super) mod optional_payment {
    use super::{Deserialize, PaymentMethod, PaymentMethodDef, Serialize};
    use serde::{Deserializer, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Wire(#[serde(with = "PaymentMethodDef")] PaymentMethod);

    pub(in super::super) fn serialize<S: Serializer>(
        payment: &Option<PaymentMethod>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        payment.clone().map(Wire).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<PaymentMethod>, D::Error> {
        Ok(Option::<Wire>::deserialize(from)?.map(|Wire(payment)| payment))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Line", rename_all = "camelCase")]
struct LineDef {
    #[serde(rename = "productId", with = "field::text")]
    product: ProductId,
    #[serde(with = "field::quantity")]
    quantity: Quantity,
}

/// 1 to 100 order lines.
pub(super) mod lines {
    use super::{Deserialize, Line, LineDef, Serialize};
    use serde::de::Error as _;
    use serde::{Deserializer, Serializer};

    #[derive(Serialize)]
    struct Out<'a>(#[serde(with = "LineDef")] &'a Line);

    #[derive(Deserialize)]
    struct In(#[serde(with = "LineDef")] Line);

    pub(in super::super) fn serialize<S: Serializer>(lines: &[Line], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(lines.iter().map(Out))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Line>, D::Error> {
        let lines: Vec<In> = Vec::deserialize(from)?;
        if !(1..=100).contains(&lines.len()) {
            return Err(D::Error::custom("an order has 1 to 100 items"));
        }
        Ok(lines.into_iter().map(|In(line)| line).collect())
    }
}
