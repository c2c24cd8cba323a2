//! Why a place could not be read or written, in words for people and without secrets.

use std::error::Error as _;
use std::fmt;

use kbnt_application::ports::ErrorClass;
use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};
use reqwest::StatusCode;

use super::client::Refusal;

/// Why a place could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub(super) class: ErrorClass,
    text: String,
    /// Whether the request may have been carried out all the same.
    pub(super) is_open: bool,
    /// Whether the object is not there.
    pub(super) is_missing: bool,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Reason {
    fn new(class: ErrorClass, text: impl Into<String>) -> Self {
        Self { class, text: text.into(), is_open: false, is_missing: false }
    }

    /// What is told of an error of the library, whose own words repeat addresses, and what the store said.
    pub(super) fn of(error: &Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = error.source();
        let mut last = None;
        while let Some(error) = cause {
            if let Some(refusal) = error.downcast_ref::<Refusal>() {
                return Self::refused(refusal);
            }
            if let Some(error) = error.downcast_ref::<HttpError>() {
                last = Some(error);
            }
            cause = error.source();
        }
        if let Some(error) = last {
            return Self::failed(error);
        }
        match error {
            Error::NotFound { .. } => Self::missing(),
            _ => Self::new(ErrorClass::Permanent, error.to_string()),
        }
    }

    pub(super) fn missing() -> Self {
        Self { is_missing: true, ..Self::new(ErrorClass::Permanent, "it is not there") }
    }

    /// The store answered that it does not do it.
    fn refused(Refusal { status, code, region }: &Refusal) -> Self {
        let code = if code.is_empty() { status.as_str() } else { code };
        let (class, text) = match (code, *status) {
            ("NoSuchBucket", _) => (ErrorClass::Waiting, "there is no such bucket; make it".to_owned()),
            ("RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture", _) => {
                (ErrorClass::Waiting, "the clock here and the store's are too far apart; set it".to_owned())
            }
            (
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "InvalidToken"
                | "ExpiredToken"
                | "TokenRefreshRequired"
                | "AuthFailure",
                _,
            )
            | (_, StatusCode::UNAUTHORIZED) => {
                (ErrorClass::Permanent, "the store does not take these credentials, or no longer".to_owned())
            }
            (
                "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException",
                _,
            ) => (ErrorClass::Permanent, elsewhere(region.as_deref())),
            (_, status) if status.is_redirection() => (ErrorClass::Permanent, elsewhere(region.as_deref())),
            (_, StatusCode::FORBIDDEN) => (
                ErrorClass::Permanent,
                "access is denied: the rights to list, read and write are needed".to_owned(),
            ),
            (_, StatusCode::NOT_IMPLEMENTED) => {
                (ErrorClass::Permanent, "the store cannot do what a backup needs".to_owned())
            }
            ("SlowDown" | "ServiceUnavailable" | "RequestTimeout", _)
            | (
                _,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT,
            ) => (ErrorClass::Transient, "the store asks for patience".to_owned()),
            (_, status) if status.is_server_error() => (ErrorClass::Transient, "the store fails".to_owned()),
            _ => (ErrorClass::Permanent, "the store refuses".to_owned()),
        };
        Self::new(class, format!("{text} ({code})"))
    }

    /// There was no answer.
    fn failed(error: &HttpError) -> Self {
        let why = innermost(error);
        let text = match error.kind() {
            HttpErrorKind::Connect => format!("the store cannot be reached: {why}"),
            HttpErrorKind::Timeout => "the store takes too long to answer".to_owned(),
            HttpErrorKind::Request | HttpErrorKind::Interrupted => {
                format!("the store went away before it answered: {why}")
            }
            _ => format!("the store's answer cannot be read: {why}"),
        };
        let is_open = !matches!(error.kind(), HttpErrorKind::Connect);
        Self { is_open, ..Self::new(ErrorClass::Transient, text) }
    }
}

fn elsewhere(region: Option<&str>) -> String {
    let region = region.map_or_else(String::new, |region| format!(", {region}"));
    format!(
        "the bucket is in another region{region}: set AWS_REGION, or AWS_ENDPOINT_URL if it is another store"
    )
}

/// The last cause, which says most and never repeats an address.
fn innermost(error: &HttpError) -> String {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
