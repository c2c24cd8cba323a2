//! Errors as RFC 9457 problem documents, each with a stable `code`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// One thing that is wrong with a request, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The path of the field in the body, or the name of the parameter or header.
    #[schema(examples("items[0].quantity"))]
    pub field: String,
    /// What is wrong with it, for people.
    pub message: String,
}

impl FieldError {
    /// `field` is wrong because of `message`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// What programs may rely on: the code, and the status that always comes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Something in the request is malformed; `errors` names the fields.
    InvalidRequest,
    /// There is no such resource.
    NotFound,
    /// There is no such order.
    OrderNotFound,
    /// There is no such product.
    ProductNotFound,
    /// There is no such reservation, or it is remembered no more.
    ReservationNotFound,
    /// There is no such user.
    UserNotFound,
    /// The resource does not take this method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The idempotency key was used with another body.
    IdempotencyConflict,
    /// A confirmed order cannot be cancelled.
    OrderAlreadyConfirmed,
    /// Lowering `received` would take away promised units.
    WriteOffWouldOversell,
    /// The body is larger than 1 MiB.
    BodyTooLarge,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// As many event streams are open as this process serves.
    TooManyStreams,
    /// The service folds its state, has lost the log, or is stopping: the request had no effect.
    NotReady,
    /// The log is not the one that the service knows: it does not decide until somebody has put that right.
    LogDamaged,
    /// The request may have had its effect or not: repeat it with the same idempotency key.
    OutcomeUnknown,
}

impl Code {
    /// Every code, as documented.
    pub const ALL: &[Self] = &[
        Self::InvalidRequest,
        Self::NotFound,
        Self::OrderNotFound,
        Self::ProductNotFound,
        Self::ReservationNotFound,
        Self::UserNotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::IdempotencyConflict,
        Self::OrderAlreadyConfirmed,
        Self::WriteOffWouldOversell,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::TooManyStreams,
        Self::NotReady,
        Self::LogDamaged,
        Self::OutcomeUnknown,
    ];

    /// The code as it is written, its status, and its title.
    pub const fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::InvalidRequest => ("invalid_request", StatusCode::BAD_REQUEST, "The request is malformed"),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "There is no such resource"),
            Self::OrderNotFound => ("order_not_found", StatusCode::NOT_FOUND, "There is no such order"),
            Self::ProductNotFound => ("product_not_found", StatusCode::NOT_FOUND, "There is no such product"),
            Self::ReservationNotFound => {
                ("reservation_not_found", StatusCode::NOT_FOUND, "There is no such reservation")
            }
            Self::UserNotFound => ("user_not_found", StatusCode::NOT_FOUND, "There is no such user"),
            Self::MethodNotAllowed => {
                ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed here")
            }
            Self::RequestTimeout => {
                ("request_timeout", StatusCode::REQUEST_TIMEOUT, "The request did not arrive in time")
            }
            Self::IdempotencyConflict => {
                ("idempotency_conflict", StatusCode::CONFLICT, "The key was used for another order")
            }
            Self::OrderAlreadyConfirmed => {
                ("order_already_confirmed", StatusCode::CONFLICT, "The order is confirmed")
            }
            Self::WriteOffWouldOversell => {
                ("write_off_would_oversell", StatusCode::CONFLICT, "The units are promised")
            }
            Self::BodyTooLarge => {
                ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 1 MiB")
            }
            Self::UnsupportedMediaType => {
                ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must be JSON")
            }
            Self::TooManyStreams => {
                ("too_many_streams", StatusCode::SERVICE_UNAVAILABLE, "Too many event streams are open")
            }
            Self::NotReady => ("not_ready", StatusCode::SERVICE_UNAVAILABLE, "The service is not ready"),
            Self::LogDamaged => (
                "log_damaged",
                StatusCode::SERVICE_UNAVAILABLE,
                "The log is not the one that the service knows",
            ),
            Self::OutcomeUnknown => {
                ("outcome_unknown", StatusCode::SERVICE_UNAVAILABLE, "Nobody knows whether it had its effect")
            }
        }
    }
}

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
}

/// A problem document, RFC 9457.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody<'a> {
    /// A URN that stands for the code.
    #[serde(rename = "type")]
    #[schema(examples("urn:kbnt:problem:invalid_request"))]
    kind: String,
    /// The code in words, the same for each problem of this type.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// This very problem in words.
    detail: &'a str,
    /// What programs may rely on.
    #[schema(examples("invalid_request"))]
    code: &'a str,
    /// The fields that are wrong, if it is about fields.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl Problem {
    /// A problem that is about no field.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new() }
    }

    /// A malformed request: these fields are wrong.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let told: Vec<_> = errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
        Self { code: Code::InvalidRequest, detail: told.join("; "), errors }
    }

    /// A malformed request: this field is wrong.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldError::new(field, message)])
    }

    /// The fields that are wrong, if it is about fields.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The stable code.
    pub const fn code(&self) -> Code {
        self.code
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (code, status, title) = self.code.row();
        let body = ProblemBody {
            kind: format!("urn:kbnt:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            code,
            errors: &self.errors,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_code() {
        let documented: Vec<&str> = include_str!("../../../../docs/http-api.md")
            .lines()
            .filter(|line| line.starts_with("| `") && line.matches('|').count() == 4)
            .collect();
        let rows: Vec<String> = Code::ALL
            .iter()
            .map(|code| {
                let (code, status, title) = code.row();
                format!("| `{code}` | {} | {title} |", status.as_u16())
            })
            .collect();
        assert_eq!(documented, rows);
    }
}
