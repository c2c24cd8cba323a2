//! Reads orders.

use axum::Json;
use axum::extract::State;
use kbnt_domain::OrderId;
use kbnt_domain::order::OrderStatus;

use super::OrderApi;
use crate::calls;
use crate::dto::{OrderBody, OrderPage, OrderStatusText, OrderSummary};
use crate::params::{Hyphenated, Id, Params};
use crate::problem::{Code, Problem};
use crate::responses::{Malformed, NotFound, NotReady};

/// Orders per page: the default for `limit`, and its maximum.
const LISTED: (usize, usize) = (50, 200);

pub(crate) fn unknown(order: OrderId) -> Problem {
    Problem::new(Code::OrderNotFound, format!("there is no order {order}"))
}

/// One order and what happened to it
#[utoipa::path(get, path = "/v1/orders/{orderId}", tag = "orders",
    params(("orderId" = uuid::Uuid, Path)), responses(
    (status = 200, description = "The order", body = OrderBody), NotFound, Malformed, NotReady))]
pub(super) async fn get_order(
    State(api): State<OrderApi>,
    Id(Hyphenated(order)): Id<Hyphenated<OrderId>>,
    params: Params,
) -> Result<Json<OrderBody>, Problem> {
    params.only(&[])?;
    api.check_ready()?;
    let view = api.views.read(|views| views.book.get(&order)).ok_or_else(|| unknown(order))?;
    Ok(Json((&view).into()))
}

/// Orders, the newest first
#[utoipa::path(get, path = "/v1/orders", tag = "orders", params(
    ("status" = Option<OrderStatusText>, Query),
    ("limit" = Option<usize>, Query, minimum = 1, maximum = 200, description = "50 by default"),
    ("cursor" = Option<String>, Query, pattern = "^((0|-?[1-9][0-9]{0,14})_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?$", description = "`nextCursor` of the page before")), responses(
    (status = 200, description = "One page", body = OrderPage), Malformed, NotReady))]
pub(super) async fn list_orders(
    State(api): State<OrderApi>,
    params: Params,
) -> Result<Json<OrderPage>, Problem> {
    let params = params.only(&["status", "limit", "cursor"])?;
    let status = match params.text("status") {
        None => None,
        Some(code) => Some(
            OrderStatus::from_code(code)
                .ok_or_else(|| Problem::field("status", "PENDING, CONFIRMED, REJECTED or CANCELLED"))?,
        ),
    };
    let limit = params.number("limit", LISTED.0, LISTED.1)?;
    let cursor = params.cursor()?;
    api.check_ready()?;
    let page = api.views.read(|views| views.book.page(status, limit, cursor));
    Ok(Json(OrderPage {
        items: page.orders.iter().map(Into::into).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// How many orders stand where
///
/// With `since` and `wait` it answers as soon as its version differs, at the latest after `wait`.
#[utoipa::path(get, path = "/v1/orders/summary", tag = "orders", params(
    ("since" = Option<String>, Query, description = "The version that is known"),
    ("wait" = Option<String>, Query, pattern = "^([1-5]?[0-9]{1,4}ms|60000ms|[1-5]?[0-9]s|60s|1m)$", description = "Such as 20s, at most 60s")), responses(
    (status = 200, description = "Counts by status", body = OrderSummary), Malformed, NotReady))]
pub(super) async fn order_summary(
    State(api): State<OrderApi>,
    params: Params,
) -> Result<Json<OrderSummary>, Problem> {
    let params = params.only(&["since", "wait"])?;
    let (since, wait) = (params.text("since"), params.wait()?);
    api.check_ready()?;
    let counts = || api.views.read(|views| views.book.counts());
    if let (Some(since), Some(wait)) = (since, wait) {
        calls::until(api.views.changes(), wait, || async { Ok(counts().to_string() != since) }).await?;
    }
    let counts = counts();
    Ok(Json(OrderSummary {
        version: counts.to_string(),
        pending: counts.pending,
        confirmed: counts.confirmed,
        rejected: counts.rejected,
        cancelled: counts.cancelled,
    }))
}
