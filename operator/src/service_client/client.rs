//! JSON over HTTP to a service.

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

    /// Whether the service will never do what was asked, however often: what was asked is wrong, and nothing else is.
    pub fn is_refusal(&self) -> bool {
        let passes = [
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::TOO_MANY_REQUESTS,
        ];
        matches!(self, Self::Refused { status, .. } if status.is_client_error() && !passes.contains(status))
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

/// JSON over HTTP to a service. Keeps the connection for the next call.
#[derive(Default)]
pub struct ServiceClient {
    line: Connection,
}

impl ServiceClient {
    /// Asks, for at most `timeout`.
    pub async fn get<T: DeserializeOwned>(&mut self, url: &str, timeout: Duration) -> Result<T, CallError> {
        self.call(Method::GET, url, &[], String::new(), timeout).await
    }

    /// Puts JSON, for at most `timeout`.
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
