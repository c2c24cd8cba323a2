//! Calls to external services: time limits, bounded retries with jitter, a circuit breaker, and an exact
//! account of what is known afterwards.

mod breaker;

use std::time::{Duration, Instant};

use breaker::Breaker;
use reqwest::{Client, ClientBuilder, RequestBuilder, StatusCode, Url, redirect};
use thiserror::Error;

use crate::address::is_loopback;

pub use breaker::BreakerConfig;

/// The largest response that is read, in bytes.
const ANSWER_MOST: usize = 64 * 1024;

/// The settings of calls to an external service.
#[derive(Clone, Copy, Debug)]
pub struct OutboundConfig {
    /// Limit of one try, from the first byte sent to the last byte received.
    pub timeout: Duration,
    /// Limit of establishing a connection.
    pub connect_timeout: Duration,
    /// Tries per call, at least 1.
    pub tries: u32,
    /// The longest pause before the second try; it doubles, and each pause is a random part of it.
    pub pause: Duration,
    /// When to pause the calls.
    pub breaker: BreakerConfig,
}

impl Default for OutboundConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            tries: 3,
            pause: Duration::from_millis(100),
            breaker: BreakerConfig::default(),
        }
    }
}

/// Why no client could be made.
#[derive(Debug, Error)]
#[error("no HTTP client: {0}")]
pub struct OutboundError(#[from] reqwest::Error);

/// What is known after a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The service responded.
    Answer {
        /// The status.
        status: StatusCode,
        /// The body.
        body: Vec<u8>,
    },
    /// Nothing reached the service.
    Nothing(String),
    /// The effect is unknown.
    Unknown(String),
    /// The response is too long to be read, so the effect is unknown as well.
    TooLong(String),
}

/// When a call may try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Only if nothing reached the service, or it reported so.
    IfNotDone,
    /// Also if the effect is unknown: repeating is harmless.
    Always,
}

/// Calls one service.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) client: Client,
    config: OutboundConfig,
    breaker: Breaker,
}

impl Outbound {
    /// A client of the service at `url`.
    pub(crate) fn new(config: OutboundConfig, url: &Url) -> Result<Self, OutboundError> {
        let client =
            builder_to(url).timeout(config.timeout).connect_timeout(config.connect_timeout).build()?;
        Ok(Self { client, config, breaker: Breaker::new(config.breaker) })
    }

    /// Sends the request from `request`, as often as needed and allowed.
    pub(crate) async fn send(&self, retry: Retry, request: impl Fn() -> RequestBuilder) -> Sent {
        let mut uncertain = None;
        let mut last = Sent::Nothing("the circuit is open: it failed too often a moment ago".to_owned());
        for attempt in 0..self.config.tries.max(1) {
            if attempt > 0 {
                tokio::time::sleep(self.pause(attempt)).await;
            }
            if !self.breaker.admits(Instant::now()) {
                break;
            }
            last = try_once(request()).await;
            self.breaker.report(is_healthy(&last), Instant::now());
            match (&last, retry) {
                (Sent::Answer { status, .. }, _) if !is_transient(*status) => return last,
                // Once the request may have had an effect, a later refusal does not undo it.
                (Sent::Unknown(_) | Sent::TooLong(_), Retry::IfNotDone) => return last,
                (Sent::Answer { status, .. }, Retry::IfNotDone) if status.is_server_error() => return last,
                (Sent::Unknown(_) | Sent::TooLong(_), Retry::Always) => uncertain = Some(last.clone()),
                (Sent::Answer { .. } | Sent::Nothing(_), _) => {}
            }
        }
        match (last, uncertain) {
            (Sent::Nothing(_), Some(uncertain)) => uncertain,
            (last, _) => last,
        }
    }

    /// A random part of a pause that doubles with each attempt.
    fn pause(&self, attempt: u32) -> Duration {
        let longest = self.config.pause.saturating_mul(1 << attempt.min(10).saturating_sub(1));
        longest.mul_f64(fastrand::f64())
    }
}

/// Makes TLS work in this process.
pub(crate) fn install_crypto() {
    // Fails only if a provider is installed already, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn builder() -> ClientBuilder {
    install_crypto();
    Client::builder()
        .redirect(redirect::Policy::none())
        .user_agent(concat!("kbnt/", env!("CARGO_PKG_VERSION")))
}

/// A client builder for one service: through the proxy in `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, unless
/// the service is on this machine.
fn builder_to(url: &Url) -> ClientBuilder {
    if is_loopback(url) { builder().no_proxy() } else { builder() }
}

/// The same for an object store, which is elsewhere if no address of it is given.
pub(crate) fn to_store(url: Option<&Url>) -> ClientBuilder {
    url.map_or_else(builder, builder_to)
}

/// Limits for endless responses, as long as data arrives now and then.
fn streaming(builder: ClientBuilder) -> Result<Client, OutboundError> {
    let limits = OutboundConfig::default();
    let builder = builder.connect_timeout(limits.connect_timeout).read_timeout(Duration::from_mins(1));
    Ok(builder.build()?)
}

/// A client for endless responses of processes that are reached directly, without a proxy.
pub fn streaming_client() -> Result<Client, OutboundError> {
    streaming(builder().no_proxy())
}

/// The same for a URL that a person gave, perhaps behind the proxy in the environment.
pub fn streaming_client_to(url: &Url) -> Result<Client, OutboundError> {
    streaming(builder_to(url))
}

/// Whether the service works, whether or not it accepted the request.
fn is_healthy(sent: &Sent) -> bool {
    matches!(sent, Sent::Answer { status, .. } if !status.is_server_error())
}

/// Whether the same request may succeed in a moment.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
}

async fn try_once(request: RequestBuilder) -> Sent {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_connect() || error.is_builder() => return Sent::Nothing(chain(&error)),
        Err(error) => return Sent::Unknown(chain(&error)),
    };
    let status = response.status();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_MOST => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Sent::TooLong(format!("{status}, and more than {ANSWER_MOST} bytes")),
            Ok(None) => return Sent::Answer { status, body },
            Err(error) => return Sent::Unknown(format!("{status}, and then {}", chain(&error))),
        }
    }
}

/// An error with its causes, without the URL, which may contain a secret.
fn chain(error: &reqwest::Error) -> String {
    let mut cause = std::error::Error::source(error);
    let kind = if error.is_timeout() { "timed out" } else { "failed" };
    let mut text = format!("the request {kind}");
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
