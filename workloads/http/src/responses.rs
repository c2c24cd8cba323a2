//! Shared responses of the API description.

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
pub(super) struct Malformed(ProblemBody<'static>);

/// There is no such thing.
#[derive(IntoResponses)]
#[response(
    status = 404,
    description = "There is no such thing; `code` says of which kind",
    content_type = "application/problem+json"
)]
#[allow(dead_code, reason = "it only describes")]
pub(super) struct NotFound(ProblemBody<'static>);

/// What is asked for contradicts what is there.
#[derive(IntoResponses)]
#[response(
    status = 409,
    description = "It contradicts what is there; `code` says how",
    content_type = "application/problem+json"
)]
#[allow(dead_code, reason = "it only describes")]
pub(super) struct Conflict(ProblemBody<'static>);

/// What a cursor or an event id refers to is not here.
#[derive(IntoResponses)]
#[response(
    status = 410,
    description = "The place that it refers to is not here (any more): begin anew",
    content_type = "application/problem+json"
)]
#[allow(dead_code, reason = "it only describes")]
pub(super) struct Gone(ProblemBody<'static>);

/// The service cannot answer now.
#[derive(IntoResponses)]
#[response(
    status = 503,
    description = "Not ready, too busy, or the outcome is unknown: try again",
    content_type = "application/problem+json"
)]
#[allow(dead_code, reason = "it only describes")]
pub(super) struct NotReady(ProblemBody<'static>);

/// The body cannot be read.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it only describes")]
pub(super) enum BadBody {
    #[response(
        status = 408,
        description = "The body did not arrive in time",
        content_type = "application/problem+json"
    )]
    Late(ProblemBody<'static>),
    #[response(
        status = 413,
        description = "The body is larger than 1 MiB",
        content_type = "application/problem+json"
    )]
    TooLarge(ProblemBody<'static>),
    #[response(status = 415, description = "The body is not JSON", content_type = "application/problem+json")]
    NotJson(ProblemBody<'static>),
}
