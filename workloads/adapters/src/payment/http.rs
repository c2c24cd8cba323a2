//! A payment gateway over HTTP; docs/payment-gateway.md is its contract.

use async_trait::async_trait;
use kbnt_application::ports::PaymentGateway;
use kbnt_application::{PaymentOutcome, PaymentRequest};
use kbnt_domain::event::PaymentMethod;
use kbnt_domain::ids::InvalidTransactionId;
use kbnt_domain::{Money, OrderId, ReservationId, TransactionId, UserId};
use reqwest::{RequestBuilder, StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::outbound::{Outbound, OutboundConfig, OutboundError, Retry, Sent, is_transient};

/// The gateway and its settings.
#[derive(Clone)]
pub struct HttpGatewayConfig {
    /// The URL before `/charges`.
    pub url: Url,
    /// Sent as `Authorization: Bearer`.
    pub secret: Option<String>,
    /// Time limits, retries and circuit breaker.
    pub outbound: OutboundConfig,
}

impl std::fmt::Debug for HttpGatewayConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpGatewayConfig").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// The gateway.
#[derive(Debug)]
pub struct HttpGateway {
    outbound: Outbound,
    config: HttpGatewayConfig,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChargeRequest<'a> {
    order_id: OrderText,
    reservation_id: String,
    user_id: &'a str,
    amount: Amount,
    payment: Method<'a>,
}

#[derive(Serialize)]
struct Method<'a> {
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

#[derive(Serialize)]
struct Amount {
    value: String,
    currency: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefundRequest<'a> {
    order_id: OrderText,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<&'a str>,
    amount: Amount,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CloseRequest {
    order_id: OrderText,
}

type OrderText = String;

/// The gateway's response about the charge of an order.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChargeAnswer {
    order_id: String,
    status: ChargeStatus,
    /// A text, if the gateway follows the contract.
    #[serde(default)]
    transaction_id: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChargeStatus {
    Charged,
    Declined,
    Closed,
    Refunded,
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self { value: money.to_string(), currency: money.currency().code().to_owned() }
    }
}

impl HttpGateway {
    /// A gateway at this URL.
    pub fn new(config: HttpGatewayConfig) -> Result<Self, OutboundError> {
        Ok(Self { outbound: Outbound::new(config.outbound, &config.url)?, config })
    }

    async fn charge(
        &self,
        order: OrderId,
        reservation: ReservationId,
        user: &UserId,
        amount: Money,
        payment: &PaymentMethod,
    ) -> PaymentOutcome {
        let body = ChargeRequest {
            order_id: order.to_string(),
            reservation_id: reservation.to_string(),
            user_id: user.as_str(),
            amount: amount.into(),
            payment: Method { method: &payment.method, token: payment.token.as_deref() },
        };
        let request = || self.post("charges", &order.to_string(), &body);
        match self.outbound.send(Retry::IfNotDone, request).await {
            Sent::Nothing(detail) => PaymentOutcome::NotCharged { detail },
            Sent::Unknown(detail) => PaymentOutcome::Unknown { detail },
            Sent::TooLong(detail) => PaymentOutcome::Senseless { detail },
            Sent::Answer { status, body } => match read(order, status, &body) {
                None if status == StatusCode::PAYMENT_REQUIRED => PaymentOutcome::Declined,
                None if status == StatusCode::GONE => PaymentOutcome::Closed,
                // The gateway itself reports that it did nothing.
                None if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => {
                    PaymentOutcome::NotCharged { detail: answered(status) }
                }
                outcome => outcome.unwrap_or_else(|| uncertain(status)),
            },
        }
    }

    async fn query(&self, order: OrderId) -> PaymentOutcome {
        let request = || self.request(reqwest::Method::GET, &format!("charges/{order}"));
        match self.outbound.send(Retry::Always, request).await {
            Sent::Nothing(detail) | Sent::Unknown(detail) => PaymentOutcome::Unknown { detail },
            Sent::TooLong(detail) => PaymentOutcome::Senseless { detail },
            Sent::Answer { status: StatusCode::NOT_FOUND, .. } => {
                PaymentOutcome::NotCharged { detail: "the gateway knows of no charge".to_owned() }
            }
            Sent::Answer { status, body } => read(order, status, &body).unwrap_or_else(|| uncertain(status)),
        }
    }

    async fn close(&self, order: OrderId) -> PaymentOutcome {
        let body = CloseRequest { order_id: order.to_string() };
        let request = || self.post(&format!("charges/{order}/close"), &format!("{order}-close"), &body);
        match self.outbound.send(Retry::Always, request).await {
            Sent::Nothing(detail) | Sent::Unknown(detail) => PaymentOutcome::Unknown { detail },
            Sent::TooLong(detail) => PaymentOutcome::Senseless { detail },
            Sent::Answer { status, body } => match read(order, status, &body) {
                // A permanent decline is as good as closed.
                Some(PaymentOutcome::Declined) => PaymentOutcome::Closed,
                outcome => outcome.unwrap_or_else(|| uncertain(status)),
            },
        }
    }

    async fn refund(
        &self,
        order: OrderId,
        transaction: Option<&TransactionId>,
        amount: Money,
    ) -> PaymentOutcome {
        let body = RefundRequest {
            order_id: order.to_string(),
            transaction_id: transaction.map(TransactionId::as_str),
            amount: amount.into(),
        };
        let request = || self.post(&format!("charges/{order}/refund"), &format!("{order}-refund"), &body);
        let detail = match self.outbound.send(Retry::Always, request).await {
            Sent::Nothing(detail) | Sent::Unknown(detail) | Sent::TooLong(detail) => detail,
            Sent::Answer { status, body } => match answer(order, &body) {
                Some(answer) if status.is_success() && answer.status == ChargeStatus::Refunded => {
                    return PaymentOutcome::Refunded;
                }
                _ => answered(status),
            },
        };
        PaymentOutcome::NotRefunded { detail }
    }

    fn post(&self, path: &str, key: &str, body: &impl Serialize) -> RequestBuilder {
        self.request(reqwest::Method::POST, path).header("idempotency-key", key).json(body)
    }

    fn request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        let base = self.config.url.as_str().trim_end_matches('/');
        let request = self.outbound.client.request(method, format!("{base}/{path}"));
        match &self.config.secret {
            Some(secret) => request.bearer_auth(secret),
            None => request,
        }
    }
}

/// The outcome in the response; `None` if it is not reliable, for example because it concerns another order.
fn read(order: OrderId, status: StatusCode, body: &[u8]) -> Option<PaymentOutcome> {
    if is_transient(status) {
        return None;
    }
    let answer = answer(order, body)?;
    Some(match answer.status {
        ChargeStatus::Charged if status.is_success() => named(&answer),
        // The money was refunded: this does not pay the order.
        ChargeStatus::Refunded if status.is_success() => PaymentOutcome::Refunded,
        ChargeStatus::Declined => PaymentOutcome::Declined,
        ChargeStatus::Closed => PaymentOutcome::Closed,
        // The gateway reports a charge together with an error status.
        ChargeStatus::Charged | ChargeStatus::Refunded => uncertain(status),
    })
}

/// A charge, with the id that the gateway gave it.
fn named(answer: &ChargeAnswer) -> PaymentOutcome {
    match answer.transaction_id.as_str().map(str::parse) {
        Some(Ok(transaction)) => PaymentOutcome::Charged { transaction },
        Some(Err(error)) => {
            PaymentOutcome::ChargedUnnamed { detail: InvalidTransactionId::to_string(&error) }
        }
        None => PaymentOutcome::ChargedUnnamed { detail: "transactionId is no text".to_owned() },
    }
}

/// The outcome after a response that does not say whether there is a charge. A transient one counts as no
/// response; any other is malformed.
fn uncertain(status: StatusCode) -> PaymentOutcome {
    let detail = answered(status);
    if is_transient(status) {
        PaymentOutcome::Unknown { detail }
    } else {
        PaymentOutcome::Senseless { detail }
    }
}

fn answered(status: StatusCode) -> String {
    format!("the gateway answered {status}, and nothing that can be relied on")
}

fn answer(order: OrderId, body: &[u8]) -> Option<ChargeAnswer> {
    let answer: ChargeAnswer = serde_json::from_slice(body).ok()?;
    (answer.order_id == order.to_string()).then_some(answer)
}

#[async_trait]
impl PaymentGateway for HttpGateway {
    async fn perform(&self, request: &PaymentRequest) -> PaymentOutcome {
        match request {
            PaymentRequest::Charge { order, reservation, user, amount, payment, .. } => {
                self.charge(*order, *reservation, user, *amount, payment).await
            }
            PaymentRequest::Query { order } => self.query(*order).await,
            PaymentRequest::Close { order } => self.close(*order).await,
            PaymentRequest::Refund { order, transaction, amount } => {
                self.refund(*order, transaction.as_ref(), *amount).await
            }
        }
    }
}
