//! Forwards requests that only another process can answer.

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

/// Marks forwarded requests, so that two standby processes do not send them in circles.
const FORWARDED: HeaderName = HeaderName::from_static("x-kbnt-forwarded");

/// How long a request waits while leadership changes.
const HANDOVER: Duration = Duration::from_secs(3);
/// The pause between tries.
const AGAIN: Duration = Duration::from_millis(50);

/// Hop-by-hop headers (RFC 9110, 7.6.1), and those that the client sets itself.
const OF_A_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Forwards requests while this process is on standby.
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
    /// Forwards to `active`, by `client`, what `inventory` cannot answer.
    pub fn new(
        inventory: Arc<dyn Callable<InventoryMachine>>,
        active: Arc<dyn Active>,
        client: Client,
    ) -> Self {
        Self { inventory, active, client }
    }

    /// Forwards to the active process. If there is none, that is about to change: the former one is gone, and
    /// this process or another one follows. A forwarded request is not forwarded again, so that it does not
    /// go in circles.
    async fn forward_request(&self, request: Request, next: Next) -> Result<Response, Problem> {
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
                // A request that may have taken effect is not repeated.
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

    /// The response of the active process, if there is one.
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

/// Answers here, or forwards.
pub(super) async fn forward(State(forward): State<Forward>, request: Request, next: Next) -> Response {
    if !forward.inventory.is_standing_by() {
        return next.run(request).await;
    }
    forward.forward_request(request, next).await.unwrap_or_else(IntoResponse::into_response)
}

/// The detail if the active process cannot be reached, or is lost while it answers.
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
