//! Combines the routes of one service, or of all.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use kbnt_application::inventory::InventoryMachine;
use kbnt_application::user::UserMachine;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::dto::PriceObject;
use super::forward::{Forward, forward};
use super::health::{self, Health};
use super::orders::{self, OrderApi};
use super::params::Params;
use super::problem::{Code, FieldError, Problem, ProblemBody};
use super::shares::{Share, Shares};
use super::{stock, users};
use kbnt_application::ports::{Callable, HttpMetrics};

/// An `OpenAPI` description.
pub use utoipa::openapi::OpenApi as Description;

/// What the description says before it comes to the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "KBNT Virtual Stock",
        description = "Orders over virtual stock that never oversells. Errors are problem documents (RFC 9457) with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    // Shared responses do not register their schemas themselves.
    components(schemas(ProblemBody, FieldError, PriceObject)),
    tags(
        (name = "orders", description = "Placing, asking, cancelling"),
        (name = "events", description = "Server-sent events"),
        (name = "stock", description = "Virtual stock"),
        (name = "reservations", description = "Who holds what until when"),
        (name = "users", description = "Who may order"),
        (name = "operations", description = "On every service")
    )
)]
struct Head;

/// Default limits of concurrent requests, in all and per client.
pub const REQUESTS: Share = Share { all: 4096, each: 2048 };

/// The APIs that this process serves, besides the common routes.
#[derive(Clone, Debug)]
pub struct Apis {
    /// Limits of concurrent requests; more are refused at once. An event stream counts until it is open.
    pub requests: Shares,
    /// Orders and events.
    pub orders: Option<OrderApi>,
    /// Stock and reservations.
    pub inventory: Option<Arc<dyn Callable<InventoryMachine>>>,
    /// Forwards their requests while this process is on standby.
    pub standby: Option<Forward>,
    /// Users.
    pub users: Option<Arc<dyn Callable<UserMachine>>>,
}

impl Default for Apis {
    fn default() -> Self {
        Self { requests: Shares::new(REQUESTS), orders: None, inventory: None, standby: None, users: None }
    }
}

/// The common routes alone, for a port that only operators of the process can reach.
pub fn probes(health: Health) -> Router {
    let (router, _) = OpenApiRouter::<()>::new().merge(health::routes(health)).split_for_parts();
    with_fallbacks(router)
}

/// All routes, and their description.
pub fn router(apis: Apis, health: Health) -> (Router, Description) {
    let metrics = Arc::clone(&health.metrics);
    let mut described = OpenApiRouter::with_openapi(Head::openapi()).merge(health::routes(health));
    if let Some(orders) = apis.orders {
        described = described.merge(orders::routes(orders));
    }
    if let Some(inventory) = apis.inventory {
        let routes = stock::routes(inventory);
        described = described.merge(match apis.standby {
            Some(standby) => routes.layer(middleware::from_fn_with_state(standby, forward)),
            None => routes,
        });
    }
    if let Some(users) = apis.users {
        described = described.merge(users::routes(users));
    }
    let (router, description) = described.split_for_parts();
    let shown = Arc::new(description.clone());
    let show = move |params: Params| async move {
        params.only(&[])?;
        Ok::<_, Problem>(Json(shown.as_ref().clone()))
    };
    let router = router.route("/openapi.json", get(show));
    let router = with_fallbacks(router)
        .layer(middleware::from_fn_with_state(apis.requests, admit))
        .layer(middleware::from_fn_with_state(metrics, measure));
    (router, description)
}

/// An unknown route or method gets a problem document, too.
pub(super) fn with_fallbacks(router: Router) -> Router {
    router.fallback(not_found).method_not_allowed_fallback(method_not_allowed)
}

async fn not_found() -> Problem {
    Problem::new(Code::NotFound, "no route has this path")
}

async fn method_not_allowed() -> Problem {
    Problem::new(Code::MethodNotAllowed, "the header `allow` names the methods of this path")
}

/// Routes that monitor the process: they are answered however busy it is.
const ALWAYS: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/v1/log"];

/// Answers as many concurrent requests as the limits allow.
async fn admit(State(requests): State<Shares>, request: Request, next: Next) -> Response {
    if ALWAYS.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match requests.take(request.extensions()) {
        Some(_place) => next.run(request).await,
        None => Problem::new(Code::Overloaded, "as many requests are in hand as are taken").into_response(),
    }
}

/// Counts and times every response.
async fn measure(State(metrics): State<Arc<dyn HttpMetrics>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    // Methods are bounded, too: a client can invent any.
    let method =
        if route == "none" || !method.is_safe() && !is_known(&method) { "other" } else { method.as_str() };
    metrics.http_answered(method, route, response.status().as_u16(), start.elapsed());
    if let Some(code) = response.extensions().get::<Code>() {
        metrics.http_refused(code.row().0);
    }
    response
}

fn is_known(method: &axum::http::Method) -> bool {
    use axum::http::Method;
    [Method::POST, Method::PUT, Method::DELETE, Method::PATCH].contains(method)
}
