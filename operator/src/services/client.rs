//! JSON over HTTP to a service.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Class;

/// Largest answer that is read, in bytes: 1,000 products take well under a tenth of it.
const LARGEST: usize = 8 << 20;

/// Bytes that each connection reads at a time, and keeps room for: there are as many as services that are watched.
const BUFFER: usize = 2048;

/// Where services answer: a URL with `{service}` and `{namespace}` in it.
#[derive(Clone, Debug)]
pub struct Address(String);

impl Address {
    /// Within the cluster it is `http://{service}.{namespace}.svc:8080`.
    pub fn new(template: &str) -> Self {
        Self(template.trim_end_matches('/').to_owned())
    }

    /// The URL of a service, without a slash at its end.
    pub fn of(&self, namespace: &str, service: &str) -> String {
        self.0.replace("{service}", service).replace("{namespace}", namespace)
    }
}

/// Why a service did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// No answer.
    #[error("{url} does not answer: {why}")]
    Unreachable {
        /// What was called.
        url: String,
        /// Why.
        why: String,
    },
    /// An answer that says no, as RFC 9457 has it.
    #[error("{detail} ({code})")]
    Refused {
        /// Status code.
        status: StatusCode,
        /// Stable code of the problem.
        code: String,
        /// For people.
        detail: String,
    },
    /// An answer that is not understood.
    #[error("{url} answers what is not understood: {why}")]
    Malformed {
        /// What was called.
        url: String,
        /// Why.
        why: String,
    },
}

impl CallError {
    /// What is to be expected of another try.
    pub fn class(&self) -> Class {
        match self {
            Self::Refused { status, .. } if status.is_client_error() => Class::Waiting,
            _ => Class::Transient,
        }
    }

    /// Whether the answer has this code.
    pub fn has_code(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
}

/// JSON over HTTP to a service. A clone shares the connections.
#[derive(Clone)]
pub struct ServiceClient {
    http: Client<HttpConnector, Full<bytes::Bytes>>,
}

impl Default for ServiceClient {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        let http = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .http1_read_buf_exact_size(BUFFER)
            .build(connector);
        Self { http }
    }
}

impl ServiceClient {
    /// Asks, for at most `timeout`.
    pub async fn get<T: DeserializeOwned>(&self, url: &str, timeout: Duration) -> Result<T, CallError> {
        self.call(Method::GET, url, &[], String::new(), timeout).await
    }

    /// Puts JSON, for at most `timeout`.
    pub async fn put<T: DeserializeOwned>(
        &self,
        url: &str,
        headers: &[(&'static str, &'static str)],
        body: &serde_json::Value,
        timeout: Duration,
    ) -> Result<T, CallError> {
        self.call(Method::PUT, url, headers, body.to_string(), timeout).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        url: &str,
        headers: &[(&'static str, &'static str)],
        body: String,
        timeout: Duration,
    ) -> Result<T, CallError> {
        let unreachable = |why: String| CallError::Unreachable { url: url.to_owned(), why };
        let malformed = |why: String| CallError::Malformed { url: url.to_owned(), why };
        let mut request =
            Request::builder().method(method).uri(url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body)).map_err(|error| malformed(error.to_string()))?;
        let exchange = async {
            let response = self.http.request(request).await.map_err(|error| unreachable(chain(&error)))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LARGEST).collect().await;
            let body = body.map_err(|error| unreachable(error.to_string()))?.to_bytes();
            Ok((status, body))
        };
        let (status, body) = tokio::time::timeout(timeout, exchange)
            .await
            .map_err(|_| unreachable(format!("no answer within {} s", timeout.as_secs())))??;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()));
        }
        let problem: Problem = serde_json::from_slice(&body)
            .map_err(|_| malformed(format!("status {status} without a problem description")))?;
        let detail = if problem.detail.is_empty() { problem.title } else { problem.detail };
        Err(CallError::Refused { status, code: problem.code, detail })
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
