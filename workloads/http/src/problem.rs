//! Errors as RFC 9457 problem documents, each with a stable `code`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kbnt_application::ports::LogError;
use serde::Serialize;
use utoipa::ToSchema;

/// The most characters of a field's name in an error: names come from clients.
const NAME_MOST: usize = 100;

/// The most characters of a text in an error; our own texts are shorter, and quotations of a request are cut.
const TEXT_MOST: usize = 300;

/// The most fields that an error lists.
const FIELDS_MOST: usize = 16;

/// `text`, cut to `most` characters.
fn cut(text: impl Into<String>, most: usize) -> String {
    let mut text = text.into();
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
    }
    text
}

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
        Self { field: cut(field, NAME_MOST), message: cut(message, TEXT_MOST) }
    }
}

/// The stable part for programs: the code, with a fixed status.
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
    /// There is no such reservation, or it is no longer remembered.
    ReservationNotFound,
    /// There is no such user.
    UserNotFound,
    /// The resource does not support this method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The idempotency key was used with another body.
    IdempotencyConflict,
    /// A confirmed order cannot be cancelled.
    OrderAlreadyConfirmed,
    /// A lower `received` would take away promised units.
    WriteOffWouldOversell,
    /// The cursor or the event id refers to something that is gone: begin anew.
    CursorGone,
    /// The body is larger than 1 MiB.
    BodyTooLarge,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The product has the maximum number of sources.
    TooManySources,
    /// The head of the request is larger than 32 KiB.
    HeadTooLarge,
    /// This process, or this client, has the maximum number of open event streams.
    TooManyStreams,
    /// The process is at its limit: the request had no effect.
    Overloaded,
    /// The service folds its state, has lost the log, or is stopping: the request had no effect.
    NotReady,
    /// The log is not the one that the service knows: it does not decide until somebody has repaired that.
    LogDamaged,
    /// The request may have taken effect or not: repeat it with the same idempotency key.
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
        Self::TooManySources,
        Self::CursorGone,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::HeadTooLarge,
        Self::TooManyStreams,
        Self::Overloaded,
        Self::NotReady,
        Self::LogDamaged,
        Self::OutcomeUnknown,
    ];

    /// The code's text, status and title.
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
            Self::TooManySources => {
                ("too_many_sources", StatusCode::CONFLICT, "The product has as many sources as it may have")
            }
            Self::CursorGone => {
                ("cursor_gone", StatusCode::GONE, "The place in the list or stream is not there")
            }
            Self::HeadTooLarge => (
                "head_too_large",
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The head of the request is larger than 32 KiB",
            ),
            Self::Overloaded => ("overloaded", StatusCode::SERVICE_UNAVAILABLE, "Too much is in hand"),
            Self::BodyTooLarge => {
                ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 1 MiB")
            }
            Self::UnsupportedMediaType => {
                ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must be plain JSON")
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

/// The media type of problem documents.
const MEDIA_TYPE: &str = "application/problem+json";

/// An error as the client sees it.
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
    /// A problem that does not concern a field.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: cut(detail, TEXT_MOST), errors: Vec::new() }
    }

    /// A malformed request: these fields are wrong.
    pub fn fields(mut errors: Vec<FieldError>) -> Self {
        errors.truncate(FIELDS_MOST);
        let described: Vec<_> =
            errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
        Self { code: Code::InvalidRequest, detail: described.join("; "), errors }
    }

    /// A malformed request: this field is wrong.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldError::new(field, message)])
    }

    /// The wrong fields, if it concerns fields.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The document.
    fn body(&self) -> ProblemBody<'_> {
        let (code, status, title) = self.code.row();
        ProblemBody {
            kind: format!("urn:kbnt:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            code,
            errors: &self.errors,
        }
    }

    /// The stable code.
    pub const fn code(&self) -> Code {
        self.code
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (_, status, _) = self.code.row();
        let mut response = (status, Json(self.body())).into_response();
        response.extensions_mut().insert(self.code);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            }
            _ => {}
        }
        response
    }
}

/// The log failed. The details, with paths and addresses, go only to the process's own log lines.
pub(super) fn log_failed(code: Code, error: &LogError) -> Problem {
    tracing::warn!(operation = "request-failed", %error, "a request was answered {}: the log failed", code.row().0);
    let detail = match error {
        LogError::Unavailable(_) => "the log is not available",
        LogError::NoSuchPartition { .. } => "a topic of the log is not there yet",
        LogError::Refused(_) => "the log refuses",
        LogError::TooLarge(_) => "the log takes no record of that size",
        LogError::Damaged(_) => "the log is not the one that the service knows; /v1/log says in what",
    };
    Problem::new(code, detail)
}

/// The complete response, in bytes, to a request that could not be parsed; the connection ends with it.
/// `None` if there is no code for the parser's status.
pub(super) fn refusal(status: StatusCode) -> Option<Vec<u8>> {
    let problem = match status {
        StatusCode::BAD_REQUEST => Problem::new(Code::InvalidRequest, "the head of the request is not HTTP"),
        StatusCode::URI_TOO_LONG | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            Problem::new(Code::HeadTooLarge, "a head has at most 32 KiB and 100 fields")
        }
        _ => return None,
    };
    let body = serde_json::to_string(&problem.body()).ok()?;
    let (_, status, _) = problem.code.row();
    let reason = status.canonical_reason().unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        status.as_u16(),
        body.len()
    );
    Some((head + &body).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_code() {
        let documented: Vec<&str> = include_str!("../../../docs/http-api.md")
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
