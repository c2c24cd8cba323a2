//! Notifies customers through a webhook, signed as in <https://www.standardwebhooks.com>.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use kbnt_application::message::Message;
use kbnt_application::ports::Notifier;
use kbnt_application::{Append, NotificationOutcome, NotificationRequest, Route};
use kbnt_domain::{OrderId, UserId};
use reqwest::{Url, header};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::Sha256;
use thiserror::Error;

use crate::outbound::{Outbound, OutboundConfig, OutboundError, Retry, Sent, is_transient};
use kbnt_wire as wire;
use kbnt_wire::text::rfc3339;

/// The name of this channel.
const CHANNEL: &str = "webhook";

/// The shared key. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

/// The secret is invalid or shorter than 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a webhook secret is `whsec_` and base64 of 16 to 64 bytes")]
pub struct InvalidSecret;

impl FromStr for WebhookSecret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.trim().strip_prefix("whsec_").ok_or(InvalidSecret)?;
        let key = BASE64_STANDARD.decode(encoded).map_err(|_| InvalidSecret)?;
        if (16..=64).contains(&key.len()) { Ok(Self(key)) } else { Err(InvalidSecret) }
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

impl WebhookSecret {
    /// The value of `webhook-signature`.
    fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
    }
}

/// The webhook and its settings.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Its address.
    pub url: Url,
    /// Signs the requests.
    pub secret: WebhookSecret,
    /// Time limits, retries and circuit breaker.
    pub outbound: OutboundConfig,
}

/// Posts each notification.
#[derive(Debug)]
pub struct WebhookNotifier {
    outbound: Outbound,
    config: WebhookConfig,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    template: &'a str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    order_id: String,
    user_id: &'a str,
    event: &'a RawValue,
}

impl WebhookNotifier {
    /// A notifier that posts to this URL.
    pub fn new(config: WebhookConfig) -> Result<Self, OutboundError> {
        Ok(Self { outbound: Outbound::new(config.outbound, &config.url)?, config })
    }

    async fn post(&self, about: &Arc<Message>, body: Vec<u8>) -> NotificationOutcome {
        // By the event's id, the receiver recognizes a repetition.
        let id = about.id.to_string();
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let Some(signature) = self.config.secret.sign(&id, timestamp, &body) else {
            return not_notified("the notification cannot be signed", false);
        };
        let request = || {
            self.outbound
                .client
                .post(self.config.url.clone())
                .header(header::CONTENT_TYPE, "application/json")
                .header("webhook-id", &id)
                .header("webhook-timestamp", timestamp)
                .header("webhook-signature", &signature)
                .body(body.clone())
        };
        match self.outbound.send(Retry::Always, request).await {
            Sent::Answer { status, .. } if status.is_success() => {
                NotificationOutcome::Notified { channel: CHANNEL }
            }
            Sent::Answer { status, .. } => {
                not_notified(&format!("the webhook answered {status}"), is_transient(status))
            }
            Sent::Nothing(detail) | Sent::Unknown(detail) | Sent::TooLong(detail) => {
                not_notified(&detail, true)
            }
        }
    }
}

fn not_notified(detail: &str, retry: bool) -> NotificationOutcome {
    NotificationOutcome::NotNotified { channel: CHANNEL, detail: detail.to_owned(), retry }
}

fn body(order: OrderId, user: &UserId, template: &str, about: &Arc<Message>) -> Option<Vec<u8>> {
    let append = Append { message: Arc::clone(about), route: Route::Partition(0), source: None };
    let event = String::from_utf8(wire::encode(&append).ok()?.value?).ok()?;
    let event = RawValue::from_string(event).ok()?;
    let data = Data { order_id: order.to_string(), user_id: user.as_str(), event: &event };
    serde_json::to_vec(&Body { template, timestamp: rfc3339(about.at), data }).ok()
}

#[async_trait]
impl Notifier for WebhookNotifier {
    async fn notify(&self, request: &NotificationRequest) -> NotificationOutcome {
        let NotificationRequest { order, user, template, about } = request;
        match body(*order, user, template, about) {
            Some(body) => self.post(about, body).await,
            None => not_notified("the event cannot be written as JSON", false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body).unwrap();
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_weak_secret_is_refused() {
        for text in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!!"] {
            assert_eq!(text.parse::<WebhookSecret>(), Err(InvalidSecret), "{text}");
        }
        let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "WebhookSecret");
    }
}
