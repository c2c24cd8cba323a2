//! Stock levels, declarations of stock, and reservations.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use kbnt_application::Outbox;
use kbnt_application::inventory::InventoryMachine;
use kbnt_domain::ids::InvalidId;
use kbnt_domain::stock::{
    Declaration, DeclareError, LevelPage, Portion, ProductLevel, ReservationFilter, ReservationPlace,
    ReservationState, StockFilter,
};
use kbnt_domain::{ProductId, ReservationId, SourceId, rules};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::JsonBody;
use super::calls::{self, command_problem, query_problem};
use super::dto::{
    ReservationBody, ReservationCursor, ReservationPage, StockBody, StockCursor, StockPage, StockPut,
    StockSummary, parse_state,
};
use super::params::{Hyphenated, Id, Params, header};
use super::problem::{Code, Problem};
use super::responses::{BadBody, Conflict, Gone, Malformed, NotFound, NotReady};
use kbnt_application::ports::Callable;

/// The source of declarations without a header that names one.
const DEFAULT_SOURCE: &str = "api";

/// Reservations per page: the default for `limit`, and its maximum.
const LISTED: (usize, usize) = (50, 200);

/// The same for products.
const PRODUCTS: (usize, usize) = (1000, 1000);

/// How many products or reservations the writer looks at in one call: a fraction of a millisecond.
const LOOKS: usize = 2000;

/// How long to search for reservations that pass a filter; the next page continues the search.
const LOOK_WAIT: Duration = Duration::from_secs(2);

/// How long to retry a declaration that needs units freed a moment ago.
const SETTLE_WAIT: Duration = Duration::from_secs(2);

/// The pause between these tries.
const SETTLE_PAUSE: Duration = Duration::from_millis(20);

type Inventory = Arc<dyn Callable<InventoryMachine>>;

/// The routes of inventory-service.
pub(super) fn routes(inventory: Inventory) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_stock))
        .routes(routes!(get_stock, put_stock))
        .routes(routes!(stock_summary))
        .routes(routes!(list_reservations))
        .routes(routes!(get_reservation))
        .with_state(inventory)
}

/// Products and their levels, by id
#[utoipa::path(get, path = "/v1/stock", tag = "stock", params(
    ("source" = Option<String>, Query, pattern = "^[A-Za-z0-9._-]{1,64}$", description = "Only products of which this source has declared something"),
    ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "1,000 by default"),
    ("cursor" = Option<String>, Query, pattern = "^(product:[A-Za-z0-9._-]{1,64})?$", description = "`nextCursor` of the page before")), responses(
    (status = 200, description = "One page", body = StockPage), Malformed, NotReady))]
async fn list_stock(State(inventory): State<Inventory>, params: Params) -> Result<Json<StockPage>, Problem> {
    let wanted = WantedStock::of(&params.only(&["source", "limit", "cursor"])?)?;
    Ok(Json(wanted.page(&inventory).await?.into()))
}

/// Which products, from where, and how many.
struct WantedStock {
    filter: StockFilter,
    after: Option<ProductId>,
    most: usize,
}

impl WantedStock {
    fn of(params: &Params) -> Result<Self, Problem> {
        let filter = StockFilter { source: params.get("source")? };
        let after = params.cursor()?.map(|StockCursor(after)| after);
        Ok(Self { filter, after, most: params.number("limit", PRODUCTS.0, PRODUCTS.1)? })
    }

    /// Reads the page in portions: the writer decides about orders in between.
    async fn page(self, inventory: &Inventory) -> Result<LevelPage, Problem> {
        let Self { filter, after, most } = self;
        let mut page = LevelPage { levels: Vec::new(), next: after };
        loop {
            let (filter, after) = (filter.clone(), page.next.take());
            let portion = Portion { most: most - page.levels.len(), looks: LOOKS };
            let more = inventory.call(move |machine, _| machine.level_page(&filter, after.as_ref(), portion));
            let more = more.await.map_err(query_problem)?;
            page.levels.extend(more.levels);
            page.next = more.next;
            if page.levels.len() >= most || page.next.is_none() {
                return Ok(page);
            }
        }
    }
}

/// One product and its levels
#[utoipa::path(get, path = "/v1/stock/{productId}", tag = "stock", params(("productId" = String, Path, pattern = "^[A-Za-z0-9._-]{1,64}$")), responses(
    (status = 200, description = "The product", body = StockBody), NotFound, Malformed, NotReady))]
async fn get_stock(
    State(inventory): State<Inventory>,
    Id(product): Id<ProductId>,
    params: Params,
) -> Result<Json<StockBody>, Problem> {
    params.only(&[])?;
    let wanted = product.clone();
    let level = inventory.call(move |machine, _| machine.level(&wanted)).await.map_err(query_problem)?;
    let level = level.ok_or_else(|| {
        Problem::new(Code::ProductNotFound, format!("nobody has declared product {product}"))
    })?;
    Ok(Json((&level).into()))
}

/// Declares how many units a source has ever received
///
/// Cumulative: declaring the same again changes nothing, declaring more is a receipt, declaring less is a write-off.
#[utoipa::path(put, path = "/v1/stock/{productId}", tag = "stock", request_body = StockPut, params(
    ("productId" = String, Path, pattern = r"^([A-Za-z0-9_-][A-Za-z0-9._-]{0,63}|\.[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}|\.\.[A-Za-z0-9._-]{1,62})$"),
    ("X-Stock-Source" = Option<String>, Header, pattern = "^[A-Za-z0-9._-]{1,64}$", description = "Who declares; `api` by default. It is in no address, so `.` and `..` are names, too")), responses(
    (status = 200, description = "The product", body = StockBody),
    Conflict,
    Malformed, BadBody, NotReady))]
async fn put_stock(
    State(inventory): State<Inventory>,
    Id(product): Id<ProductId>,
    params: Params,
    headers: HeaderMap,
    JsonBody(body): JsonBody<StockPut>,
) -> Result<Json<StockBody>, Problem> {
    params.only(&[])?;
    if !product.can_be_declared() {
        return Err(Problem::field("productId", rules::PRODUCT_ID_ADVICE));
    }
    let source = match header::<SourceId>(&headers, "x-stock-source")? {
        Some(source) => source,
        None => DEFAULT_SOURCE
            .parse()
            .map_err(|error: InvalidId| Problem::field("x-stock-source", error.to_string()))?,
    };
    let declaration = Declaration {
        product,
        name: body.name,
        unit_price: body.unit_price,
        received: body.received,
        low_stock_threshold: body.low_stock_threshold,
        source,
    };
    let level = declare(&inventory, declaration).await?;
    Ok(Json((&level).into()))
}

/// Declares, and waits a moment for units that were freed a moment ago.
async fn declare(inventory: &Inventory, declaration: Declaration) -> Result<ProductLevel, Problem> {
    let give_up = Instant::now() + SETTLE_WAIT;
    loop {
        let wish = declaration.clone();
        let answer = inventory
            .call(move |machine, outbox| machine.declare(&wish, outbox))
            .await
            .map_err(command_problem)?;
        match answer {
            Ok(level) => return Ok(level),
            Err(DeclareError::Unsettled { .. }) if Instant::now() < give_up => {
                tokio::time::sleep(SETTLE_PAUSE).await;
            }
            Err(error) => return Err(refused(&error)),
        }
    }
}

fn refused(error: &DeclareError) -> Problem {
    match error {
        DeclareError::WriteOffRefused { .. } => Problem::new(Code::WriteOffWouldOversell, error.to_string()),
        DeclareError::TooManySources { .. } => Problem::new(Code::TooManySources, error.to_string()),
        DeclareError::TooMany { .. } => Problem::field("received", error.to_string()),
        DeclareError::Unsettled { .. } | DeclareError::NotOpen => {
            Problem::new(Code::NotReady, error.to_string())
        }
    }
}

/// Totals, invariants, writer term and products at a glance
///
/// With `since` and `wait` it answers as soon as its version differs, at the latest after `wait`.
#[utoipa::path(get, path = "/v1/stock/summary", tag = "stock", params(
    ("since" = Option<String>, Query, description = "The version that is known"),
    ("wait" = Option<String>, Query, pattern = "^([1-5]?[0-9]{1,4}ms|60000ms|[1-5]?[0-9]s|60s|1m)$", description = "Such as 20s, at most 60s"),
    ("source" = Option<String>, Query, pattern = "^[A-Za-z0-9._-]{1,64}$", description = "Of the products only those of which this source has declared something"),
    ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "Of the products; 1,000 by default"),
    ("cursor" = Option<String>, Query, pattern = "^(product:[A-Za-z0-9._-]{1,64})?$", description = "`nextCursor` of the page before")), responses(
    (status = 200, description = "The inventory at a glance", body = StockSummary), Malformed, NotReady))]
async fn stock_summary(
    State(inventory): State<Inventory>,
    params: Params,
) -> Result<Json<StockSummary>, Problem> {
    let params = params.only(&["since", "wait", "source", "limit", "cursor"])?;
    let (wanted, wait) = (WantedStock::of(&params)?, params.wait()?);
    if let (Some(since), Some(wait)) = (params.text("since"), wait) {
        let differs = || async {
            let version = inventory.call(|machine, _| machine.version()).await.map_err(query_problem)?;
            Ok(version.to_string() != since)
        };
        calls::until(inventory.changes(), wait, differs).await?;
    }
    // The version comes first: a product that changes after it appears in the next response, too.
    let summary = inventory.call(|machine, _| machine.summary()).await.map_err(query_problem)?;
    let page = wanted.page(&inventory).await?;
    Ok(Json(StockSummary::new(&summary, page)))
}

/// Active and remembered reservations
///
/// A page may have fewer items than asked for, or none, and still not be the last one: that has no `nextCursor`.
#[utoipa::path(get, path = "/v1/reservations", tag = "reservations", params(
    ("productId" = Option<String>, Query, pattern = "^[A-Za-z0-9._-]{1,64}$", description = "Only those that hold units of it"),
    ("state" = Option<super::dto::ReservationStateText>, Query),
    ("limit" = Option<usize>, Query, minimum = 1, maximum = 200, description = "50 by default"),
    ("cursor" = Option<String>, Query, pattern = "^((0|[1-9][0-9]{0,18})-[ae]-(0|[1-9][0-9]{0,8}|[1-3][0-9]{9}|4[01][0-9]{8}))?$", description = "`nextCursor` of the page before")), responses(
    (status = 200, description = "One page", body = ReservationPage), Malformed, Gone, NotReady))]
async fn list_reservations(
    State(inventory): State<Inventory>,
    params: Params,
) -> Result<Json<ReservationPage>, Problem> {
    let params = params.only(&["productId", "state", "limit", "cursor"])?;
    let filter = ReservationFilter { product: params.get("productId")?, state: state(&params)? };
    let most = params.number("limit", LISTED.0, LISTED.1)?;
    let cursor: Option<ReservationCursor> = params.cursor()?;
    let give_up = Instant::now() + LOOK_WAIT;
    let term = inventory.call(|machine, _| machine.version().term).await.map_err(query_problem)?;
    let mut next = match cursor {
        Some(cursor) => Some(cursor.place_in(term)?),
        None => Some(ReservationPlace::default()),
    };
    let mut found = Vec::new();
    while let Some(from) = next
        && found.len() < most
    {
        let (filter, portion) = (filter.clone(), Portion { most: most - found.len(), looks: LOOKS });
        let look = move |machine: &mut InventoryMachine, _: &mut Outbox| {
            machine.list_reservations(&filter, from, portion)
        };
        let page = inventory.call(look).await.map_err(query_problem)?;
        found.extend(page.found);
        next = page.next;
        if Instant::now() >= give_up {
            break;
        }
    }
    Ok(Json(ReservationPage::new(&found, next.map(|place| ReservationCursor { term, place }))))
}

fn state(params: &Params) -> Result<Option<ReservationState>, Problem> {
    let Some(text) = params.text("state") else { return Ok(None) };
    let message = "RESERVED, CONFIRMED, RELEASED or EXPIRED";
    parse_state(text).map(Some).ok_or_else(|| Problem::field("state", message))
}

/// Who holds what until when
#[utoipa::path(get, path = "/v1/reservations/{reservationId}", tag = "reservations",
    params(("reservationId" = uuid::Uuid, Path)), responses(
    (status = 200, description = "The reservation", body = ReservationBody), NotFound, Malformed, NotReady))]
async fn get_reservation(
    State(inventory): State<Inventory>,
    Id(Hyphenated(id)): Id<Hyphenated<ReservationId>>,
    params: Params,
) -> Result<Json<ReservationBody>, Problem> {
    params.only(&[])?;
    let found =
        inventory.call(move |machine, _| machine.find_reservation(id)).await.map_err(query_problem)?;
    let found = found.ok_or_else(|| {
        Problem::new(Code::ReservationNotFound, format!("no reservation {id} is active or remembered"))
    })?;
    Ok(Json((&found).into()))
}
