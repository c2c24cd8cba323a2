//! Whether the process lives and is ready, and its metrics: the same on every service.

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

/// A part of the process that must be ready before the whole is, and that may have figures to show.
#[async_trait]
pub trait Part: Send + Sync + 'static {
    /// What it is called in `/readyz`.
    fn name(&self) -> &'static str;

    /// Whether its state is folded and the log answers.
    fn is_ready(&self) -> bool;

    /// Brings the gauges up to date that are read only when somebody looks.
    async fn refresh(&self);
}

/// What these routes look at.
#[derive(Clone)]
pub struct Health {
    /// All parts of the process.
    pub parts: Arc<[Box<dyn Part>]>,
    /// Where figures go.
    pub metrics: Arc<dyn HttpMetrics>,
    /// What is wrong with the log.
    pub integrity: Arc<Integrity>,
    /// Cancelled when nothing new is to be taken any more; the process is not ready from then on.
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
