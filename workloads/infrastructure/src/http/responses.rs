//! Answers that many routes have in common, for the API description.

use utoipa::IntoResponses;

use super::problem::ProblemBody;

/// Something in the request is malformed.
#[derive(IntoResponses)]
#[response(
    status = 400,
    description = "Malformed; `errors` names the fields",
    content_type = "application/problem+json"
)]
#[allow(dead_code, reason = "it only describes")]
pub(super) struct Malformed(#[to_schema] ProblemBody<'static>);

/// The service cannot answer now.
#[derive(IntoResponses)]
#[response(
    status = 503,
    description = "Not ready, or the outcome is unknown: try again",
    content_type = "application/problem+json"
)]
#[allow(dead_code, reason = "it only describes")]
pub(super) struct NotReady(#[to_schema] ProblemBody<'static>);
