//! Puts the routes together: those of one service, or of all.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use kbnt_application::inventory::InventoryMachine;
use kbnt_application::user::UserMachine;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::forward::{Forward, forward};
use super::health::{self, Health};
use super::orders::{self, OrderApi};
use super::params::Params;
use super::problem::{Code, FieldError, Problem, ProblemBody};
use super::{stock, users};
use crate::metrics::Metrics;
use crate::runtime::Handle;

/// A description of an API, as `OpenAPI` has it.
pub use utoipa::openapi::OpenApi as Description;

/// What the description says before it comes to the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "KBNT Virtual Stock",
        description = "Orders over virtual stock that never oversells. Errors are problem documents (RFC 9457) with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    // Answers in common do not bring their schemas along.
    components(schemas(ProblemBody, FieldError)),
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

/// The APIs that this process serves besides what every process has.
#[derive(Clone, Debug, Default)]
pub struct Apis {
    /// Orders and events.
    pub orders: Option<OrderApi>,
    /// Stock and reservations.
    pub inventory: Option<Handle<InventoryMachine>>,
    /// Who answers for them while this process stands by.
    pub standby: Option<Forward>,
    /// Users.
    pub users: Option<Handle<UserMachine>>,
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
    let router = with_fallbacks(router).layer(middleware::from_fn_with_state(metrics, measure));
    (router, description)
}

/// Whatever is no route is a problem document too.
pub(super) fn with_fallbacks(router: Router) -> Router {
    router.fallback(not_found).method_not_allowed_fallback(method_not_allowed)
}

async fn not_found() -> Problem {
    Problem::new(Code::NotFound, "no route has this path")
}

async fn method_not_allowed() -> Problem {
    Problem::new(Code::MethodNotAllowed, "the header `allow` names the methods of this path")
}

/// Counts and measures every answer.
async fn measure(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    // Methods are bounded too: anybody can invent one.
    let method =
        if route == "none" || !method.is_safe() && !is_known(&method) { "other" } else { method.as_str() };
    metrics.http_answered(method, route, response.status().as_u16(), start.elapsed());
    response
}

fn is_known(method: &axum::http::Method) -> bool {
    use axum::http::Method;
    [Method::POST, Method::PUT, Method::DELETE, Method::PATCH].contains(method)
}
