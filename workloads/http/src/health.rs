//! Liveness, readiness and metrics of the process, the same on every service.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::params::Params;
use super::problem::Problem;
use super::responses::Malformed;
use kbnt_application::intact::Integrity;
use kbnt_application::ports::HttpMetrics;

/// A part of the process. The process is ready only if all parts are. A part may have metrics of its own.
#[async_trait]
pub trait Part: Send + Sync + 'static {
    /// Its name in `/readyz`.
    fn name(&self) -> &'static str;

    /// Whether its state is folded and the log answers.
    fn is_ready(&self) -> bool;

    /// Updates gauges that are read only on demand.
    async fn refresh(&self);
}

/// The state behind these routes.
#[derive(Clone)]
pub struct Health {
    /// All parts of the process.
    pub parts: Arc<[Box<dyn Part>]>,
    /// The metrics.
    pub metrics: Arc<dyn HttpMetrics>,
    /// The damage of the log, if any.
    pub integrity: Arc<Integrity>,
    /// Cancelled when nothing new is accepted any more; from then on the process is not ready.
    pub shutdown: CancellationToken,
}

/// The routes of every service.
pub(super) fn routes(health: Health) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .routes(routes!(super::log::log))
        .with_state(health)
}

/// Whether it is ready, and if not, what is awaited.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Readiness {
    ready: bool,
    /// Parts that are not ready yet.
    waiting_for: Vec<&'static str>,
}

/// The process lives
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = 200, description = "As text", body = String, content_type = "text/plain"), Malformed))]
async fn healthz(params: Params) -> Result<&'static str, Problem> {
    params.only(&[])?;
    Ok("ok\n")
}

/// The process is ready: its state is folded and the log answers
#[utoipa::path(get, path = "/readyz", tag = "operations", responses(
    (status = 200, description = "Ready", body = Readiness), (status = 503, description = "Not ready yet, or stopping", body = Readiness), Malformed))]
async fn readyz(State(health): State<Health>, params: Params) -> Result<Response, Problem> {
    params.only(&[])?;
    let mut waiting_for: Vec<_> =
        health.parts.iter().filter(|part| !part.is_ready()).map(|part| part.name()).collect();
    if !health.integrity.is_intact() {
        waiting_for.push("log-intact");
    }
    if health.shutdown.is_cancelled() {
        waiting_for.push("shutdown");
    }
    let ready = waiting_for.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Json(Readiness { ready, waiting_for })).into_response())
}

/// Metrics in Prometheus' text format
#[utoipa::path(get, path = "/metrics", tag = "operations", responses((status = 200, description = "As text", body = String, content_type = "text/plain"), Malformed))]
async fn metrics(State(health): State<Health>, params: Params) -> Result<Response, Problem> {
    params.only(&[])?;
    let refresh = async {
        health.metrics.show_log(&health.integrity);
        for part in health.parts.iter() {
            if part.is_ready() {
                part.refresh().await;
            }
        }
    };
    let content_type = [(header::CONTENT_TYPE, health.metrics.content_type())];
    Ok((content_type, health.metrics.shown(Box::pin(refresh)).await.to_string()).into_response())
}
