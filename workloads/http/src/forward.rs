//! Requests that only another process can answer are handed to it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use kbnt_application::inventory::InventoryMachine;
use reqwest::Client;
use tokio::time::Instant;

use super::body::{BODY_MOST, BODY_WAIT, check_length, late};
use super::problem::{Code, Problem};
use kbnt_application::ports::{Active, Callable};

/// Marks what was handed on, so that two processes that both stand by do not send it round.
const FORWARDED: HeaderName = HeaderName::from_static("x-kbnt-forwarded");

/// How long a request waits while one process hands over to the next.
const HANDOVER: Duration = Duration::from_secs(3);
/// How long until it is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// What concerns one connection only (RFC 9110, 7.6.1), and what the client sets by itself.
const OF_A_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Hands requests on while this process stands by.
#[derive(Clone)]
pub struct Forward {
    inventory: Arc<dyn Callable<InventoryMachine>>,
    active: Arc<dyn Active>,
    client: Client,
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forward").finish_non_exhaustive()
    }
}

impl Forward {
    /// Hands on what `inventory` cannot answer, to `active`, by `client`.
    pub fn new(
        inventory: Arc<dyn Callable<InventoryMachine>>,
        active: Arc<dyn Active>,
        client: Client,
    ) -> Self {
        Self { inventory, active, client }
    }

    /// Has the process at work answer. Where none is, that is about to change: whoever was at work has gone, and this or another
    /// process follows. What was handed on already is not handed on again, so that it does not go round.
    async fn hand_on(&self, request: Request, next: Next) -> Result<Response, Problem> {
        let handed_on = request.headers().contains_key(FORWARDED);
        check_length(request.headers())?;
        let (head, body) = request.into_parts();
        let body = tokio::time::timeout(BODY_WAIT, to_bytes(body, BODY_MOST))
            .await
            .map_err(|_| late())?
            .map_err(|_| Problem::new(Code::BodyTooLarge, "the body is larger than 1 MiB, or broke off"))?;
        let give_up = Instant::now() + HANDOVER;
        loop {
            if self.inventory.is_ready() {
                return Ok(next.run(Request::from_parts(head, Body::from(body))).await);
            }
            let answer = if handed_on { None } else { self.ask(&head, &body).await };
            let nobody = match answer {
                Some(Ok(answer)) => return Ok(answer),
                // What may have been done is not asked for again.
                Some(Err(error)) if !error.is_connect() && !head.method.is_safe() => {
                    return Err(Problem::new(Code::OutcomeUnknown, NO_ANSWER));
                }
                Some(Err(_)) => NO_ANSWER,
                None => "no process is at work",
            };
            if Instant::now() > give_up {
                return Err(not_ready(nobody));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// What the process at work answers, if there is one.
    async fn ask(&self, head: &Parts, body: &Bytes) -> Option<Result<Response, reqwest::Error>> {
        let address = self.active.address().await?;
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = self
            .client
            .request(head.method.clone(), format!("http://{address}{path}"))
            .headers(end_to_end(&head.headers))
            .header(FORWARDED, HeaderValue::from_static("1"))
            .body(body.clone());
        let answer = async {
            let answer = request.send().await?;
            let (status, headers) = (answer.status(), end_to_end(answer.headers()));
            let body = answer.bytes().await?;
            Ok((status, headers, Body::from(body)).into_response())
        };
        Some(answer.await)
    }
}

/// Answers here, or has another process answer.
pub(super) async fn forward(State(forward): State<Forward>, request: Request, next: Next) -> Response {
    if !forward.inventory.is_standing_by() {
        return next.run(request).await;
    }
    forward.hand_on(request, next).await.unwrap_or_else(IntoResponse::into_response)
}

/// What is said where the process at work cannot be reached, or is lost while it answers.
const NO_ANSWER: &str = "the process that is at work does not answer";

fn not_ready(detail: &str) -> Problem {
    Problem::new(Code::NotReady, detail)
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| !OF_A_CONNECTION.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
