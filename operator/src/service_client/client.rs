//! Calls a service: JSON over HTTP.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::connection::Connection;
use crate::retry::Class;

/// Where services answer: a URL with `{service}` and `{namespace}` in it.
#[derive(Clone, Debug)]
pub struct Address(String);

impl Address {
    /// The default in the cluster is `http://{service}.{namespace}.svc:8080`.
    pub fn new(template: &str) -> Self {
        Self(template.trim_end_matches('/').to_owned())
    }

    /// The URL of a service, without a slash at its end.
    pub fn of(&self, namespace: &str, service: &str) -> String {
        self.0.replace("{service}", service).replace("{namespace}", namespace)
    }
}

/// Why a call to a service failed.
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
    /// The service refused, with a problem as in RFC 9457.
    #[error("{detail} ({code})")]
    Refused {
        /// Status code.
        status: StatusCode,
        /// Stable code of the problem.
        code: String,
        /// Message for people.
        detail: String,
    },
    /// The answer cannot be parsed.
    #[error("{url} answers what is not understood: {why}")]
    Malformed {
        /// What was called.
        url: String,
        /// Why.
        why: String,
    },
}

impl CallError {
    /// What to expect of another try.
    pub fn class(&self) -> Class {
        match self {
            Self::Refused { status, .. } if status.is_client_error() => Class::Waiting,
            _ => Class::Transient,
        }
    }

    /// Whether the service will refuse this request every time, because the request itself is wrong.
    pub fn is_refusal(&self) -> bool {
        let passes = [
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::TOO_MANY_REQUESTS,
        ];
        matches!(self, Self::Refused { status, .. } if status.is_client_error() && !passes.contains(status))
    }

    /// Whether the service answered with this problem code.
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

/// JSON over HTTP to a service. Keeps the connection open for the next call.
#[derive(Default)]
pub struct ServiceClient {
    line: Connection,
}

impl ServiceClient {
    /// Sends a GET, with this timeout.
    pub async fn get<T: DeserializeOwned>(&mut self, url: &str, timeout: Duration) -> Result<T, CallError> {
        self.call(Method::GET, url, &[], String::new(), timeout).await
    }

    /// Puts JSON, with this timeout.
    pub async fn put<T: DeserializeOwned>(
        &mut self,
        url: &str,
        headers: &[(&'static str, &'static str)],
        body: &serde_json::Value,
        timeout: Duration,
    ) -> Result<T, CallError> {
        self.call(Method::PUT, url, headers, body.to_string(), timeout).await
    }

    async fn call<T: DeserializeOwned>(
        &mut self,
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
        let request = request.body(body).map_err(|error| malformed(error.to_string()))?;
        let answer = tokio::time::timeout(timeout, self.line.call(&request))
            .await
            .map_err(|_| unreachable(format!("no answer within {} s", timeout.as_secs())))?
            .map_err(|error| unreachable(error.to_string()))?;
        let (status, body) = (answer.status(), answer.body());
        if status.is_success() {
            return serde_json::from_slice(body).map_err(|error| malformed(error.to_string()));
        }
        let problem: Problem = serde_json::from_slice(body)
            .map_err(|_| malformed(format!("status {status} without a problem description")))?;
        let detail = if problem.detail.is_empty() { problem.title } else { problem.detail };
        Err(CallError::Refused { status, code: problem.code, detail })
    }
}
