//! Places an order.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kbnt_application::order::place_order as write_place_order;
use kbnt_application::projections::{OrderView, Placement};
use kbnt_domain::OrderId;
use kbnt_domain::event::Basket;
use kbnt_domain::ids::InvalidId;
use kbnt_domain::order::OrderStatus;
use uuid::Uuid;

use super::OrderApi;
use super::history::placement;
use crate::body::JsonBody;
use crate::dto::{OrderAccepted, OrderBody, PlaceOrderBody};
use crate::params::{Params, header as read_header};
use crate::problem::{Code, Problem};
use crate::responses::{BadBody, Conflict, Malformed, NotReady};
use crate::trace::TraceParent;

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A client's name for a request: for each user and name there is one order.
struct IdempotencyKey(String);

impl std::str::FromStr for IdempotencyKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        // RFC 9651 puts a string in quotes, which are not part of it.
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        // Keys use the alphabet of ids.
        quoted.unwrap_or(text).parse::<kbnt_domain::UserId>().map(|id| Self(id.to_string()))
    }
}

/// Places an order
///
/// The order id follows from the user and the `Idempotency-Key`: the same key of the same user is the same order. With
/// `wait` it answers with the whole order as soon as it has ended.
#[utoipa::path(post, path = "/v1/orders", tag = "orders", request_body = PlaceOrderBody, params(
    ("Idempotency-Key" = Option<String>, Header, pattern = r#"^([A-Za-z0-9._-]{1,64}|"[A-Za-z0-9._-]{1,64}")$"#, description = "1 to 64 letters, digits, '-', '_' and '.', with or without quotes; without it each request is a new order"),
    ("wait" = Option<String>, Query, pattern = "^([1-5]?[0-9]{1,4}ms|60000ms|[1-5]?[0-9]s|60s|1m)$", description = "Such as 10s, at most 60s")), responses(
    (status = 202, description = "Taken in", body = OrderAccepted, headers(
        ("Location" = String), ("Idempotent-Replayed" = String, description = "true if it was placed before"))),
    (status = 200, description = "Ended, with `wait`", body = OrderBody),
    Conflict,
    BadBody, Malformed, NotReady))]
pub(super) async fn place_order(
    State(api): State<OrderApi>,
    params: Params,
    headers: HeaderMap,
    JsonBody(body): JsonBody<PlaceOrderBody>,
) -> Result<Response, Problem> {
    let wait = params.only(&["wait"])?.wait()?;
    let key = read_header::<IdempotencyKey>(&headers, "idempotency-key")?;
    let basket = Basket::from(body);
    api.check_ready()?;
    let placed = api.place(key, basket.clone(), TraceParent::of(&headers)).await?;
    let order = placed.order.order;
    if let Some(wait) = wait.filter(|_| placed.order.status == OrderStatus::Pending)
        && let Some(ended) = api.views.read(|views| views.once_ended(order))
    {
        // Whether the order has ended, time is up, or the process stops: the response is its present state.
        let _ = api.shutdown.run_until_cancelled(tokio::time::timeout(wait, ended)).await;
    }
    // The order may turn out to have ended long ago, perhaps with another basket.
    let view = match api.views.read(|views| views.book.placement(&order, &basket)) {
        Placement::Same(view) => *view,
        Placement::Conflict => return Err(conflict()),
        Placement::New => placed.order,
    };
    Ok(answer(&view, placed.replayed || view.repeated, wait.is_some()))
}

/// An order in the log.
struct Placed {
    order: OrderView,
    /// The order existed before.
    replayed: bool,
}

impl OrderApi {
    /// Ensures that the order of this key is in the log with this basket. An order that was read from the log stays in it; of any other
    /// one the log decides.
    async fn place(
        &self,
        key: Option<IdempotencyKey>,
        basket: Basket,
        trace: Option<TraceParent>,
    ) -> Result<Placed, Problem> {
        let is_named = key.is_some();
        let key = key.map_or_else(|| Uuid::new_v4().to_string(), |IdempotencyKey(key)| key);
        let order = OrderId::derive(&basket.user, &key);
        let known = match (self.views.read(|views| views.book.placement(&order, &basket)), &self.history) {
            (Placement::New, Some(history)) if is_named => placement(history.as_ref(), order, &basket).await,
            (known, _) => known,
        };
        match known {
            Placement::Same(order) => return Ok(Placed { order: *order, replayed: true }),
            Placement::Conflict => return Err(conflict()),
            Placement::New => {}
        }
        let _placing = self.begin_order(&basket.user, order)?;
        let mut command = self.command(|outbox| {
            write_place_order(order, basket.clone(), outbox);
        });
        if let (Some(trace), Some(append)) = (trace, command.first_mut()) {
            let message = Arc::make_mut(&mut append.message);
            message.trace = trace.continued_by(&message.id);
        }
        let position = self.append(command).await.inspect_err(|_| {
            self.views.read(|views| views.underway().give_up(&order));
        })?;
        match self.views.read(|views| views.book.placement(&order, &basket)) {
            Placement::Same(order) => {
                let replayed = order.timeline.iter().all(|entry| entry.at != position);
                Ok(Placed { order: *order, replayed })
            }
            Placement::Conflict => Err(conflict()),
            Placement::New => {
                Err(Problem::new(Code::OutcomeUnknown, "the order was written but is not shown any more"))
            }
        }
    }
}

fn conflict() -> Problem {
    Problem::new(Code::IdempotencyConflict, "this Idempotency-Key was used for another order of this user")
}

fn answer(order: &OrderView, replayed: bool, waited: bool) -> Response {
    let location = [(header::LOCATION, format!("/v1/orders/{}", order.order))];
    let mut response = if waited && order.status != OrderStatus::Pending {
        (location, Json(OrderBody::from(order))).into_response()
    } else {
        // A new order is reported as pending, however fast it ends.
        let status = if replayed || waited { order.status } else { OrderStatus::Pending };
        let body = OrderAccepted { order_id: order.order.to_string(), status: status.into() };
        (StatusCode::ACCEPTED, location, Json(body)).into_response()
    };
    if replayed {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, header::HeaderValue::from_static("true"));
    }
    response
}
