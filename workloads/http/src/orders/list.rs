//! Reads orders.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use kbnt_application::history::Search;
use kbnt_domain::OrderId;

use super::OrderApi;
use super::history::{BEING_BUILT, LISTED, SEARCHED, is_by_status, one_of, page_of, search};
use crate::calls;
use crate::dto::{OrderBody, OrderPage, OrderStatusText, OrderSummary};
use crate::params::{Hyphenated, Id, Params};
use crate::problem::{Code, Problem};
use crate::responses::{Malformed, NotFound, NotReady};

pub(crate) fn unknown(order: OrderId) -> Problem {
    Problem::new(Code::OrderNotFound, format!("there is no order {order}"))
}

/// One order and what happened to it
///
/// An order that ended long ago comes from the history: then `Kbnt-As-Of` says how far that has come.
#[utoipa::path(get, path = "/v1/orders/{orderId}", tag = "orders",
    params(("orderId" = uuid::Uuid, Path)), responses(
    (status = 200, description = "The order", body = OrderBody, headers(
        ("Kbnt-As-Of" = String, description = "From the history: everything until then is in it"))),
    NotFound, Malformed, NotReady))]
pub(super) async fn get_order(
    State(api): State<OrderApi>,
    Id(Hyphenated(order)): Id<Hyphenated<OrderId>>,
    params: Params,
) -> Result<Response, Problem> {
    params.only(&[])?;
    api.check_ready()?;
    let shown = api.views.read(|views| views.book.get(&order));
    match &api.history {
        // Of one that was forgotten and asked for again, the history has more to show.
        Some(history) if shown.as_ref().is_none_or(|view| view.repeated) => {
            one_of(history.as_ref(), order, shown).await
        }
        _ => shown.map(|view| Json(OrderBody::from(&view)).into_response()).ok_or_else(|| unknown(order)),
    }
}

/// Orders, the newest first
///
/// All orders where order-service keeps a history; then `Kbnt-As-Of` says how far that has come, and every filter can be used. Without a
/// history, or until that has caught up with the log, those that have not ended or ended within a day, by `status` only.
#[utoipa::path(get, path = "/v1/orders", tag = "orders", params(
    ("user" = Option<String>, Query, pattern = "^[A-Za-z0-9._-]{1,64}$", description = "Only orders of this user"),
    ("product" = Option<String>, Query, pattern = "^[A-Za-z0-9._-]{1,64}$", description = "Only orders with this product"),
    ("status" = Option<OrderStatusText>, Query),
    ("reason" = Option<String>, Query, pattern = "^[A-Z_]{1,32}$", description = "Only orders that ended with this reason code"),
    ("from" = Option<String>, Query, format = DateTime, description = "Only orders placed then or later, RFC 3339"),
    ("to" = Option<String>, Query, format = DateTime, description = "Only orders placed before, RFC 3339"),
    ("minAmount" = Option<String>, Query, pattern = r"^[0-9]{1,16}(\.[0-9]{1,4})?$", description = "Only orders of this amount or more, in whatever currency"),
    ("maxAmount" = Option<String>, Query, pattern = r"^[0-9]{1,16}(\.[0-9]{1,4})?$", description = "Only orders of this amount or less, in whatever currency"),
    ("limit" = Option<usize>, Query, minimum = 1, maximum = 200, description = "50 by default"),
    ("cursor" = Option<String>, Query, pattern = "^((0|-?[1-9][0-9]{0,14})_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?$", description = "`nextCursor` of the page before")), responses(
    (status = 200, description = "One page", body = OrderPage, headers(
        ("Kbnt-As-Of" = String, description = "From the history: everything until then is in it"))),
    Malformed, NotReady))]
pub(super) async fn list_orders(State(api): State<OrderApi>, params: Params) -> Result<Response, Problem> {
    let known = if api.history.is_some() { SEARCHED } else { LISTED };
    let search = search(&params.only(known)?)?;
    api.check_ready()?;
    match &api.history {
        Some(history) if history.standing().ready => page_of(history.as_ref(), &api, search).await,
        Some(_) if !is_by_status(&search.filter) => Err(Problem::new(Code::NotReady, BEING_BUILT)),
        _ => {
            let Search { filter, limit, after } = search;
            let page = api.views.read(|views| views.book.page(filter.status, limit, after));
            Ok(Json(OrderPage::from(&page)).into_response())
        }
    }
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
