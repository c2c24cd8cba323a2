//! Stock levels, declarations of stock, and reservations.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use kbnt_application::inventory::InventoryMachine;
use kbnt_domain::ids::InvalidId;
use kbnt_domain::stock::{Declaration, DeclareError, ProductLevel, ReservationFilter, ReservationState};
use kbnt_domain::{ProductId, ReservationId, SourceId, rules};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::JsonBody;
use super::calls::{self, asked, told};
use super::dto::{
    ReservationBody, ReservationPage, StockBody, StockPage, StockPut, StockSummary, parse_state,
};
use super::params::{Id, Params, header};
use super::problem::{Code, Problem};
use super::responses::{BadBody, Conflict, Malformed, NotFound, NotReady};
use crate::runtime::Handle;

/// Who declares where no header says so.
const DEFAULT_SOURCE: &str = "api";

/// How many reservations are listed unless `limit` says otherwise, and at most.
const LISTED: (usize, usize) = (50, 200);

/// How long a declaration is tried again that needs units freed a moment ago.
const SETTLE_WAIT: Duration = Duration::from_secs(2);

/// The pause between two such tries.
const SETTLE_PAUSE: Duration = Duration::from_millis(20);

type Inventory = Handle<InventoryMachine>;

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

/// All products and their levels
#[utoipa::path(get, path = "/v1/stock", tag = "stock", responses(
    (status = 200, description = "All products", body = StockPage), Malformed, NotReady))]
async fn list_stock(State(inventory): State<Inventory>, params: Params) -> Result<Json<StockPage>, Problem> {
    params.only(&[])?;
    let levels = inventory.call(|machine, _| machine.levels()).await.map_err(asked)?;
    Ok(Json(StockPage::new(&levels)))
}

/// One product and its levels
#[utoipa::path(get, path = "/v1/stock/{productId}", tag = "stock", params(("productId" = String, Path)), responses(
    (status = 200, description = "The product", body = StockBody), NotFound, Malformed, NotReady))]
async fn get_stock(
    State(inventory): State<Inventory>,
    Id(product): Id<ProductId>,
    params: Params,
) -> Result<Json<StockBody>, Problem> {
    params.only(&[])?;
    let wanted = product.clone();
    let level = inventory.call(move |machine, _| machine.level(&wanted)).await.map_err(asked)?;
    let level = level.ok_or_else(|| {
        Problem::new(Code::ProductNotFound, format!("nobody has declared product {product}"))
    })?;
    Ok(Json((&level).into()))
}

/// Declares how many units a source has ever received
///
/// Cumulative: declaring the same again changes nothing, declaring more is a receipt, declaring less is a write-off.
#[utoipa::path(put, path = "/v1/stock/{productId}", tag = "stock", request_body = StockPut, params(
    ("productId" = String, Path),
    ("X-Stock-Source" = Option<String>, Header, description = "Who declares; `api` by default")), responses(
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
        let answer =
            inventory.call(move |machine, outbox| machine.declare(&wish, outbox)).await.map_err(told)?;
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
        DeclareError::TooMany { .. } => Problem::field("received", error.to_string()),
        DeclareError::Unsettled { .. } | DeclareError::NotOpen => {
            Problem::new(Code::NotReady, error.to_string())
        }
    }
}

/// Totals, invariants, writer term and all products at a glance
///
/// With `since` and `wait` it answers as soon as its version differs, at the latest after `wait`.
#[utoipa::path(get, path = "/v1/stock/summary", tag = "stock", params(
    ("since" = Option<String>, Query, description = "The version that is known"),
    ("wait" = Option<String>, Query, description = "Such as 20s, at most 60s")), responses(
    (status = 200, description = "The inventory at a glance", body = StockSummary), Malformed, NotReady))]
async fn stock_summary(
    State(inventory): State<Inventory>,
    params: Params,
) -> Result<Json<StockSummary>, Problem> {
    let params = params.only(&["since", "wait"])?;
    if let (Some(since), Some(wait)) = (params.text("since"), params.wait()?) {
        let differs = || async {
            let version = inventory.call(|machine, _| machine.version()).await.map_err(asked)?;
            Ok(version.to_string() != since)
        };
        calls::until(inventory.progress(), wait, differs).await?;
    }
    let summary = inventory.call(|machine, _| machine.summary()).await.map_err(asked)?;
    Ok(Json((&summary).into()))
}

/// Active and remembered reservations
#[utoipa::path(get, path = "/v1/reservations", tag = "reservations", params(
    ("productId" = Option<String>, Query, description = "Only those that hold units of it"),
    ("state" = Option<super::dto::ReservationStateText>, Query),
    ("limit" = Option<usize>, Query, description = "1 to 200; 50 by default")), responses(
    (status = 200, description = "The reservations", body = ReservationPage), Malformed, NotReady))]
async fn list_reservations(
    State(inventory): State<Inventory>,
    params: Params,
) -> Result<Json<ReservationPage>, Problem> {
    let params = params.only(&["productId", "state", "limit"])?;
    let filter = ReservationFilter { product: params.get("productId")?, state: state(&params)? };
    let most = params.number("limit", LISTED.0, LISTED.1)?;
    let found = inventory.call(move |machine, _| machine.reservations(&filter, most)).await.map_err(asked)?;
    Ok(Json(ReservationPage::new(&found)))
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
    Id(id): Id<ReservationId>,
    params: Params,
) -> Result<Json<ReservationBody>, Problem> {
    params.only(&[])?;
    let found = inventory.call(move |machine, _| machine.reservation(id)).await.map_err(asked)?;
    let found = found.ok_or_else(|| {
        Problem::new(Code::ReservationNotFound, format!("no reservation {id} is active or remembered"))
    })?;
    Ok(Json((&found).into()))
}
