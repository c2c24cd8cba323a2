//! The HTTP client of an object store. What a store says about a refusal may repeat what it was sent, session tokens included: only
//! its code gets any further.

use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use object_store::client::{
    ClientConfigKey, ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest,
    HttpResponse, HttpResponseBody, HttpService,
};
use reqwest::{Client, StatusCode, Url};
use thiserror::Error;

use crate::outbound::{is_transient, to_store};

/// Limit of one request with its answer: the largest object in a minute.
const REQUEST: Duration = Duration::from_mins(1);

/// Limit of establishing a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How much is read of what a store says about a refusal.
const REFUSAL_MOST: usize = 64 * 1024;

/// The longest word of a store that is shown.
const WORD_MOST: usize = 64;

/// A refusal, as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{status} {code}")]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// The store's word for it, such as `NoSuchBucket`; empty if it said none.
    pub(super) code: String,
    /// Where the bucket is, if the store said so.
    pub(super) region: Option<String>,
}

/// Makes clients for one store.
#[derive(Debug)]
pub(super) struct Connector {
    /// The endpoint that was set.
    pub(super) endpoint: Option<Url>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        // Where credentials are exchanged, other rules hold than at the store.
        let plain =
            options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| value == "true");
        let client =
            to_store(self.endpoint.as_ref()).timeout(REQUEST).connect_timeout(CONNECT).https_only(!plain);
        match client.build() {
            Ok(client) => Ok(HttpClient::new(Store(client))),
            Err(error) => Err(object_store::Error::Generic { store: "HTTP client", source: Box::new(error) }),
        }
    }
}

#[derive(Debug)]
struct Store(Client);

#[async_trait]
impl HttpService for Store {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = HttpService::call(&self.0, request).await?.into_parts();
        let status = parts.status;
        if status.is_success() {
            return Ok(HttpResponse::from_parts(parts, body));
        }
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let said = beginning(body).await;
        let said = String::from_utf8_lossy(&said);
        let region = header("x-amz-bucket-region").or_else(|| element(&said, "Region"));
        let region = region.and_then(|region| word(region, is_region));
        let code = element(&said, "Code").and_then(|code| word(code, is_code)).unwrap_or_default();
        let is_no_failure = match status {
            // The object is not there; but it may be the bucket, or whoever asks.
            StatusCode::NOT_FOUND => matches!(code.as_str(), "" | "NoSuchKey"),
            // The answers to conditions.
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => true,
            _ => false,
        };
        if is_no_failure {
            return Ok(HttpResponse::from_parts(parts, HttpResponseBody::from(code)));
        }
        // As `Request` it is tried again.
        let passes = is_transient(status) && status != StatusCode::NOT_IMPLEMENTED;
        let kind = if passes { HttpErrorKind::Request } else { HttpErrorKind::Unknown };
        Err(HttpError::new(kind, Refusal { status, code, region }))
    }
}

/// The first bytes of a body, up to its end or a failure.
async fn beginning(body: HttpResponseBody) -> Vec<u8> {
    let mut stream = body.bytes_stream();
    let mut bytes = Vec::new();
    while let Ok(Some(some)) = stream.try_next().await {
        bytes.extend_from_slice(&some);
        if bytes.len() > REFUSAL_MOST {
            break;
        }
    }
    bytes.truncate(REFUSAL_MOST);
    bytes
}

/// What an element of an error document has.
fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

const fn is_code(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

const fn is_region(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// A word of these characters; anything else is none.
fn word(text: &str, is_of_it: impl Fn(u8) -> bool) -> Option<String> {
    let is_word = (1..=WORD_MOST).contains(&text.len()) && text.bytes().all(is_of_it);
    is_word.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_a_refusal_is_read() {
        let long = format!("<Code>{}</Code>", "a".repeat(WORD_MOST + 1));
        for (document, found) in [
            (
                "<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Key>k</Key></Error>",
                Some("NoSuchBucket"),
            ),
            ("<Error><Code>SlowDown</Code><Code>Other</Code></Error>", Some("SlowDown")),
            ("<Error><Code></Code></Error>", None),
            ("<Error><Code>\u{1b}[2J</Code></Error>", None),
            ("<Error><Code>NoSuchBucket", None),
            ("<html>502</html>", None),
            (&long, None),
            ("", None),
        ] {
            let code = element(document, "Code").and_then(|code| word(code, is_code));
            assert_eq!(code.as_deref(), found, "{document}");
        }
    }
}
