//! Requests to cancel an order.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use kbnt_application::order::request_cancel;
use kbnt_domain::OrderId;
use kbnt_domain::order::OrderStatus;

use super::OrderApi;
use super::history::end_of;
use super::list::unknown;
use crate::dto::OrderAccepted;
use crate::params::{Hyphenated, Id, Params};
use crate::problem::{Code, Problem};
use crate::responses::{Conflict, Malformed, NotFound, NotReady};

/// Asks to cancel an order
///
/// Its units are free again at once. A confirmed order cannot be cancelled; of one that ended otherwise nothing changes.
#[utoipa::path(delete, path = "/v1/orders/{orderId}", tag = "orders",
    params(("orderId" = uuid::Uuid, Path)), responses(
    (status = 202, description = "Asked", body = OrderAccepted),
    NotFound, Conflict,
    Malformed, NotReady))]
pub(super) async fn cancel_order(
    State(api): State<OrderApi>,
    Id(Hyphenated(order)): Id<Hyphenated<OrderId>>,
    params: Params,
) -> Result<(StatusCode, Json<OrderAccepted>), Problem> {
    params.only(&[])?;
    api.check_ready()?;
    let mut status = api.cancellable(order).await?;
    if status == OrderStatus::Pending {
        let command = api.command(|outbox| {
            request_cancel(order, outbox);
        });
        api.append(command).await?;
        // It may have been confirmed meanwhile.
        status = api.cancellable(order).await?;
    }
    Ok((StatusCode::ACCEPTED, Json(OrderAccepted { order_id: order.to_string(), status: status.into() })))
}

impl OrderApi {
    /// The status of the order, unless it has ended in a way that cannot be undone.
    async fn cancellable(&self, order: OrderId) -> Result<OrderStatus, Problem> {
        let status = match (self.views.read(|views| views.book.status(&order)), &self.history) {
            (Some(status), _) => status,
            (None, Some(history)) => end_of(history.as_ref(), order).await?,
            (None, None) => return Err(unknown(order)),
        };
        if status == OrderStatus::Confirmed {
            return Err(Problem::new(Code::OrderAlreadyConfirmed, format!("order {order} is confirmed")));
        }
        Ok(status)
    }
}
