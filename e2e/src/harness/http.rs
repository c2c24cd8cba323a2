//! The services' HTTP API, as a client of the shop sees it.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use super::Failure;

/// A service's address.
#[derive(Clone, Debug)]
pub struct Http {
    base: String,
    agent: Agent,
}

/// A response of any status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, parsed; `Null` when it is not JSON.
    pub body: Value,
}

impl Http {
    /// The service at `base`, such as `http://10.96.1.2:8080`.
    pub fn new(base: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .build();
        Self { base: base.trim_end_matches('/').to_owned(), agent: config.into() }
    }

    /// GET.
    pub fn get(&self, path: &str) -> Result<Answer, Failure> {
        Self::answer(path, self.agent.get(format!("{}{path}", self.base)).call())
    }

    /// GET of a text, such as the metrics.
    pub fn get_text(&self, path: &str) -> Result<String, Failure> {
        let failed = |error: ureq::Error| Failure(format!("{path}: {error}"));
        let mut response = self.agent.get(format!("{}{path}", self.base)).call().map_err(failed)?;
        response.body_mut().read_to_string().map_err(failed)
    }

    /// POST of a JSON body, with an idempotency key.
    pub fn post(&self, path: &str, key: &str, body: &Value) -> Result<Answer, Failure> {
        let request = self.agent.post(format!("{}{path}", self.base)).header("Idempotency-Key", key);
        Self::answer(path, request.content_type("application/json").send(body.to_string()))
    }

    fn answer(
        path: &str,
        result: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer, Failure> {
        let failed = |error: ureq::Error| Failure(format!("{path}: {error}"));
        let mut response = result.map_err(failed)?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().map_err(failed)?;
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }
}
