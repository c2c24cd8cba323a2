//! Orders that ended long ago: answers from the history, which say how far that has come.

use std::str::FromStr;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use kbnt_application::history::{Filter, Search};
use kbnt_application::ports::{History, HistoryError, Standing};
use kbnt_application::projections::{OrderView, Placement};
use kbnt_domain::event::Basket;
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{OrderId, Timestamp};
use kbnt_wire::text::{instant, rfc3339};

use super::list::unknown;
use super::{OrderApi, OrderViews};
use crate::dto::{OrderBody, OrderPage};
use crate::params::Params;
use crate::problem::{Code, Problem};

/// Orders per page: the default for `limit`, and its maximum.
const PER_PAGE: (usize, usize) = (50, 200);

/// Parameters of the list where there is no history.
pub(super) const LISTED: &[&str] = &["status", "limit", "cursor"];

/// Parameters of the list where there is one.
pub(super) const SEARCHED: &[&str] =
    &["user", "product", "status", "reason", "from", "to", "minAmount", "maxAmount", "limit", "cursor"];

/// Why the history does not answer yet.
pub(super) const BEING_BUILT: &str = "the history of orders is being built from the log";

/// How long an answer waits until the history has what the read model shows, so that who has placed an order finds it.
const CATCH_UP: Duration = Duration::from_millis(250);

/// How long a new order waits for the history to say whether it is one of long ago.
const PLACING: Duration = Duration::from_millis(50);

const AS_OF: HeaderName = HeaderName::from_static("kbnt-as-of");

/// An instant in a parameter.
struct Instant(Timestamp);

impl FromStr for Instant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let advice = "write one such as 2026-01-31T12:00:00Z, with %2B for a plus sign";
        instant(text).map(Self).map_err(|error| format!("this {error}; {advice}"))
    }
}

/// The search that the parameters of the list ask for.
pub(super) fn search(params: &Params) -> Result<Search, Problem> {
    let status = match params.text("status") {
        None => None,
        Some(code) => Some(
            OrderStatus::from_code(code)
                .ok_or_else(|| Problem::field("status", "PENDING, CONFIRMED, REJECTED or CANCELLED"))?,
        ),
    };
    let time = |name| Ok::<_, Problem>(params.get::<Instant>(name)?.map(|Instant(at)| at));
    let filter = Filter {
        user: params.get("user")?,
        product: params.get("product")?,
        status,
        reason: params.get("reason")?,
        from: time("from")?,
        to: time("to")?,
        least: params.get("minAmount")?,
        most: params.get("maxAmount")?,
    };
    if filter.from.zip(filter.to).is_some_and(|(from, to)| from >= to) {
        return Err(Problem::field("to", "later than from"));
    }
    if filter.least.zip(filter.most).is_some_and(|(least, most)| least > most) {
        return Err(Problem::field("maxAmount", "not less than minAmount"));
    }
    let limit = params.number("limit", PER_PAGE.0, PER_PAGE.1)?;
    Ok(Search { filter, limit, after: params.cursor()? })
}

/// Whether the read model can answer it, too, as far back as it goes.
pub(super) fn is_by_status(filter: &Filter) -> bool {
    *filter == Filter { status: filter.status, ..Filter::default() }
}

/// The page of a search.
pub(super) async fn page_of(
    history: &dyn History,
    api: &OrderApi,
    search: Search,
) -> Result<Response, Problem> {
    let positions = api.views.read(OrderViews::positions);
    // If it does not come so far in time, the answer says how far it has come.
    let _ = tokio::time::timeout(CATCH_UP, history.reached(&positions)).await;
    let standing = history.standing();
    let page = history.search(search).await.map_err(|error| failed(&error))?;
    Ok(as_of(standing, Json(OrderPage::from(&page)).into_response()))
}

/// One order, of which the read model shows this.
pub(super) async fn one_of(
    history: &dyn History,
    order: OrderId,
    shown: Option<OrderView>,
) -> Result<Response, Problem> {
    let standing = history.standing();
    let found = history.get(order).await.map(|found| found.and_then(|entry| entry.view(order)));
    let found = match (found, &shown) {
        // What the read model shows is newer, if the history does not know yet how the order ended.
        (Ok(found), Some(_)) => found.filter(|view| view.status != OrderStatus::Pending),
        (Ok(found), None) => found,
        (Err(_), Some(_)) => None,
        (Err(error), None) => return Err(failed(&error)),
    };
    match (found, shown) {
        (Some(view), _) => Ok(as_of(standing, Json(OrderBody::from(&view)).into_response())),
        (None, Some(view)) => Ok(Json(OrderBody::from(&view)).into_response()),
        (None, None) if standing.ready => Ok(as_of(standing, unknown(order).into_response())),
        (None, None) => Err(Problem::new(Code::NotReady, BEING_BUILT)),
    }
}

/// What placing `basket` under the id of this order comes to, by the history. An order that the history cannot tell of, or not soon, is
/// new to it: the log decides.
pub(super) async fn placement(history: &dyn History, order: OrderId, basket: &Basket) -> Placement {
    let Ok(Ok(Some(entry))) = tokio::time::timeout(PLACING, history.get(order)).await else {
        return Placement::New;
    };
    // One that has not ended is in memory, unless the history does not know yet how it ended.
    if entry.status == OrderStatus::Pending { Placement::New } else { entry.placement(order, basket) }
}

/// How an order ended that the read model does not show.
pub(super) async fn end_of(history: &dyn History, order: OrderId) -> Result<OrderStatus, Problem> {
    let standing = history.standing();
    let found = history.get(order).await.map_err(|error| failed(&error))?;
    match found.filter(|entry| entry.placed.is_some()) {
        Some(entry) if entry.status != OrderStatus::Pending => Ok(entry.status),
        None if standing.ready => Err(unknown(order)),
        _ => Err(Problem::new(Code::NotReady, BEING_BUILT)),
    }
}

/// The answer, which says how far the history has come.
fn as_of(standing: Standing, mut response: Response) -> Response {
    let value = standing.as_of.and_then(|at| HeaderValue::try_from(rfc3339(at)).ok());
    if let Some(value) = value {
        response.headers_mut().insert(AS_OF, value);
    }
    response
}

/// The history failed. The details go only to the process's own log lines.
fn failed(error: &HistoryError) -> Problem {
    if *error == HistoryError::Busy {
        return Problem::new(Code::Overloaded, "as many searches are in hand as are taken");
    }
    tracing::warn!(operation = "request-failed", %error, "a request was answered not_ready: the history failed");
    Problem::new(Code::NotReady, "the history of orders cannot be read now")
}
