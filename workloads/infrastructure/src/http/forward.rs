//! Requests that only another process can answer are handed to it.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use kbnt_application::inventory::InventoryMachine;
use reqwest::Client;

use super::body::BODY_MOST;
use super::problem::{Code, Problem};
use crate::outbound::{OutboundError, streaming_client};
use crate::runtime::Handle;

/// Marks what was forwarded, so that two processes that both stand by do not send it round.
const FORWARDED: HeaderName = HeaderName::from_static("x-kbnt-forwarded");

/// What concerns one connection only (RFC 9110, 7.6.1), and what the client sets by itself.
const OF_A_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Knows where the process is that is at work.
#[async_trait]
pub trait Active: Send + Sync + 'static {
    /// Its address; `None` where none is at work or nobody can tell.
    async fn address(&self) -> Option<SocketAddr>;
}

/// Hands requests on while this process stands by.
#[derive(Clone)]
pub struct Forward {
    inventory: Handle<InventoryMachine>,
    active: Arc<dyn Active>,
    client: Client,
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forward").finish_non_exhaustive()
    }
}

impl Forward {
    /// Hands on what `inventory` cannot answer, to `active`.
    pub fn new(inventory: Handle<InventoryMachine>, active: Arc<dyn Active>) -> Result<Self, OutboundError> {
        Ok(Self { inventory, active, client: streaming_client()? })
    }

    async fn hand_on(&self, request: Request) -> Result<Response, Problem> {
        let Some(address) = self.active.address().await else {
            return Err(not_ready("no process is at work"));
        };
        let (head, body) = request.into_parts();
        let body = to_bytes(body, BODY_MOST)
            .await
            .map_err(|_| Problem::new(Code::BodyTooLarge, "the body is larger than 1 MiB, or broke off"))?;
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let answer = self
            .client
            .request(head.method, format!("http://{address}{path}"))
            .headers(end_to_end(&head.headers))
            .header(FORWARDED, HeaderValue::from_static("1"))
            .body(body)
            .send()
            .await
            .map_err(|error| problem_of(&error))?;
        let (status, headers) = (answer.status(), end_to_end(answer.headers()));
        let body = answer.bytes().await.map_err(|error| problem_of(&error))?;
        Ok((status, headers, Body::from(body)).into_response())
    }
}

/// Answers here, or has another process answer.
pub(super) async fn forward(State(forward): State<Forward>, request: Request, next: Next) -> Response {
    if !forward.inventory.is_standing_by() {
        return next.run(request).await;
    }
    if request.headers().contains_key(FORWARDED) {
        return not_ready("the process that was at work stands by now").into_response();
    }
    forward.hand_on(request).await.unwrap_or_else(IntoResponse::into_response)
}

fn not_ready(detail: &str) -> Problem {
    Problem::new(Code::NotReady, detail)
}

fn problem_of(error: &reqwest::Error) -> Problem {
    let code = if error.is_connect() { Code::NotReady } else { Code::OutcomeUnknown };
    Problem::new(code, "the process that is at work does not answer")
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| !OF_A_CONNECTION.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
