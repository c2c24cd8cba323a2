//! A payment gateway that takes no money: it decides by rules, and reports its decisions truthfully.
//!
//! It remembers charges by order, as a real one does by idempotency key: a second charge returns the first
//! one, a query finds it, and a closed order is never charged. It remembers the last [`REMEMBERED`] orders in
//! memory; a restarted process begins with an empty book. That is no lie about money, as there is none, and
//! it stays consistent with the log: the id of a charge follows from the order, and the rules depend only on
//! the order, so a repeated charge after a restart gets the same answer.

use std::collections::{HashMap, VecDeque};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kbnt_application::ports::PaymentGateway;
use kbnt_application::{PaymentOutcome, PaymentRequest};
use kbnt_domain::{Money, OrderId, TransactionId};
use thiserror::Error;

/// Orders whose charge is remembered.
const REMEMBERED: usize = 100_000;

/// The longest delay that a token may ask for.
const DELAY_MOST: Duration = Duration::from_mins(1);

/// A share from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate(f64);

/// The value is not a number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a rate is a number from 0 to 1, such as 0.2")]
pub struct InvalidRate;

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        match text.parse() {
            Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(Self(rate)),
            _ => Err(InvalidRate),
        }
    }
}

/// The rules of its decisions; all of them apply.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimulatedRules {
    /// Amounts above this are declined (of this currency; others are not compared).
    pub decline_above: Option<Money>,
    /// This share of orders is declined.
    pub decline_rate: Rate,
    /// Determines which orders these are.
    pub seed: u64,
    /// How long every request takes.
    pub delay: Duration,
    /// Whether test tokens are interpreted. If not, a token has no effect on its charge.
    pub test_tokens: bool,
}

/// The gateway.
#[derive(Debug, Default)]
pub struct SimulatedGateway {
    rules: SimulatedRules,
    book: Mutex<Book>,
}

/// What is remembered of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Charged,
    Refunded,
    Closed,
}

#[derive(Debug, Default)]
struct Book {
    entries: HashMap<OrderId, Entry>,
    oldest: VecDeque<OrderId>,
}

impl Book {
    fn record(&mut self, order: OrderId, entry: Entry) {
        if self.entries.insert(order, entry).is_none() {
            self.oldest.push_back(order);
        }
        if self.entries.len() > REMEMBERED
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }
}

/// The request in a charge's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Good,
    Declined,
    Unreachable,
    AnswerLost,
    Delayed(Duration),
}

impl Token {
    /// An unknown token is declined, as a card processor declines tokens that it did not issue.
    fn of(token: Option<&str>) -> Self {
        match token {
            None | Some("tok_ok") => Self::Good,
            Some("tok_unreachable") => Self::Unreachable,
            Some("tok_unknown_outcome") => Self::AnswerLost,
            Some(token) => delay(token).map_or(Self::Declined, Self::Delayed),
        }
    }
}

/// The delay of `tok_delay_<n>ms`.
fn delay(token: &str) -> Option<Duration> {
    let millis = token.strip_prefix("tok_delay_")?.strip_suffix("ms")?.parse().ok()?;
    Some(Duration::from_millis(millis)).filter(|delay| *delay <= DELAY_MOST)
}

impl SimulatedGateway {
    /// A gateway with an empty book.
    pub fn new(rules: SimulatedRules) -> Self {
        Self { rules, book: Mutex::default() }
    }

    async fn charge(&self, order: OrderId, amount: Money, token: Option<&str>) -> PaymentOutcome {
        let token = if self.rules.test_tokens { Token::of(token) } else { Token::Good };
        match token {
            Token::Unreachable => {
                return PaymentOutcome::NotCharged { detail: "the gateway cannot be reached".to_owned() };
            }
            Token::Delayed(delay) => tokio::time::sleep(delay).await,
            Token::Good | Token::Declined | Token::AnswerLost => {}
        }
        let mut book = self.book();
        match book.entries.get(&order) {
            Some(Entry::Closed) => return PaymentOutcome::Closed,
            Some(Entry::Refunded) => return PaymentOutcome::Refunded,
            Some(Entry::Charged) => {}
            None if token == Token::Declined || self.declines(order, amount) => {
                return PaymentOutcome::Declined;
            }
            None => book.record(order, Entry::Charged),
        }
        if token == Token::AnswerLost {
            return PaymentOutcome::Unknown { detail: "the gateway's answer was lost".to_owned() };
        }
        charged(order)
    }

    fn query(&self, order: OrderId) -> PaymentOutcome {
        match self.book().entries.get(&order) {
            Some(Entry::Charged) => charged(order),
            Some(Entry::Refunded) => PaymentOutcome::Refunded,
            Some(Entry::Closed) => PaymentOutcome::Closed,
            None => PaymentOutcome::NotCharged { detail: "the gateway knows of no charge".to_owned() },
        }
    }

    fn close(&self, order: OrderId) -> PaymentOutcome {
        let mut book = self.book();
        match book.entries.get(&order) {
            Some(Entry::Charged) => charged(order),
            Some(Entry::Refunded) => PaymentOutcome::Refunded,
            Some(Entry::Closed) => PaymentOutcome::Closed,
            None => {
                book.record(order, Entry::Closed);
                PaymentOutcome::Closed
            }
        }
    }

    fn refund(&self, order: OrderId) -> PaymentOutcome {
        self.book().record(order, Entry::Refunded);
        PaymentOutcome::Refunded
    }

    fn declines(&self, order: OrderId, amount: Money) -> bool {
        let too_much = self
            .rules
            .decline_above
            .is_some_and(|most| most.currency() == amount.currency() && most.minor() < amount.minor());
        too_much || draw(order, self.rules.seed) < self.rules.decline_rate.0
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn charged(order: OrderId) -> PaymentOutcome {
    match format!("sim-{order}").parse::<TransactionId>() {
        Ok(transaction) => PaymentOutcome::Charged { transaction },
        // This cannot happen: the text uses the permitted alphabet. An unknown outcome is queried again.
        Err(error) => PaymentOutcome::Unknown { detail: error.to_string() },
    }
}

/// A number in [0, 1) that looks random but follows from order and seed (the finalizer of `SplitMix64`).
fn draw(order: OrderId, seed: u64) -> f64 {
    let (high, low) = order.as_uuid().as_u64_pair();
    let mut bits = high ^ low.rotate_left(32) ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let upper = u32::try_from((bits ^ (bits >> 31)) >> 32).unwrap_or(u32::MAX);
    f64::from(upper) / (f64::from(u32::MAX) + 1.0)
}

#[async_trait]
impl PaymentGateway for SimulatedGateway {
    async fn perform(&self, request: &PaymentRequest) -> PaymentOutcome {
        if !self.rules.delay.is_zero() {
            tokio::time::sleep(self.rules.delay).await;
        }
        match request {
            PaymentRequest::Charge { order, amount, payment, .. } => {
                self.charge(*order, *amount, payment.token.as_deref()).await
            }
            PaymentRequest::Query { order } => self.query(*order),
            PaymentRequest::Close { order } => self.close(*order),
            PaymentRequest::Refund { order, .. } => self.refund(*order),
        }
    }

    /// The delay of a token is a timer: if it took a place, a few hundred of them would stop everybody's
    /// payments.
    fn takes_place(&self, request: &PaymentRequest) -> bool {
        match request {
            PaymentRequest::Charge { payment, .. } if self.rules.test_tokens => {
                !matches!(Token::of(payment.token.as_deref()), Token::Delayed(_))
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbnt_domain::event::PaymentMethod;
    use kbnt_domain::{Currency, ReservationId, Timestamp, UserId};

    fn order(key: &str) -> OrderId {
        OrderId::derive(&user(), key)
    }

    fn user() -> UserId {
        "USER-1".parse().unwrap()
    }

    fn charge(order: OrderId, minor: i64, token: Option<&str>) -> PaymentRequest {
        PaymentRequest::Charge {
            order,
            reservation: ReservationId::derive(&order, 0),
            user: user(),
            amount: Money::from_minor(minor, Currency::BRL).unwrap(),
            payment: PaymentMethod { method: "credit_card".into(), token: token.map(Into::into) },
            expires_at: Timestamp::from_millis(i64::MAX),
        }
    }

    /// A gateway that understands test tokens.
    fn testing() -> SimulatedGateway {
        SimulatedGateway::new(SimulatedRules { test_tokens: true, ..Default::default() })
    }

    #[tokio::test]
    async fn without_the_setting_no_token_decides_and_none_delays() {
        let gateway = SimulatedGateway::default();
        for token in ["tok_decline", "tok_unreachable", "tok_unknown_outcome", "tok_delay_60000ms", "x"] {
            let asked = charge(order(token), 1, Some(token));
            let outcome = tokio::time::timeout(DELAY_MOST / 2, gateway.perform(&asked)).await.unwrap();
            assert!(matches!(outcome, PaymentOutcome::Charged { .. }), "{token}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_token_delays_by_a_minute_at_most() {
        assert_eq!(delay("tok_delay_60000ms"), Some(Duration::from_mins(1)));
        let gateway = testing();
        for token in ["tok_delay_60001ms", "tok_delay_600000ms", "tok_delay_99999999999999999999ms"] {
            let outcome = gateway.perform(&charge(order(token), 1, Some(token))).await;
            assert_eq!(outcome, PaymentOutcome::Declined, "{token}");
        }
    }

    #[test]
    fn what_only_waits_takes_no_place() {
        let (gateway, deaf) = (testing(), SimulatedGateway::default());
        for (token, takes) in [(Some("tok_delay_60000ms"), false), (Some("tok_ok"), true), (None, true)] {
            let asked = charge(order("a"), 1, token);
            assert_eq!((gateway.takes_place(&asked), deaf.takes_place(&asked)), (takes, true), "{token:?}");
        }
    }

    #[tokio::test]
    async fn tokens_decide() {
        let gateway = testing();
        for (token, good) in [(None, true), (Some("tok_ok"), true), (Some("tok_delay_5ms"), true)] {
            let outcome = gateway.perform(&charge(order(&format!("{token:?}")), 1, token)).await;
            assert_eq!(matches!(outcome, PaymentOutcome::Charged { .. }), good, "{token:?}: {outcome:?}");
        }
        for token in ["tok_decline", "tok_nobody_knows", "tok_delay_x", "4111111111111111"] {
            let outcome = gateway.perform(&charge(order(token), 1, Some(token))).await;
            assert_eq!(outcome, PaymentOutcome::Declined, "{token}");
        }
        let away = gateway.perform(&charge(order("away"), 1, Some("tok_unreachable"))).await;
        assert!(matches!(away, PaymentOutcome::NotCharged { .. }));
        let found = gateway.perform(&PaymentRequest::Query { order: order("away") }).await;
        assert!(matches!(found, PaymentOutcome::NotCharged { .. }));
    }

    #[tokio::test]
    async fn a_lost_answer_is_found_by_a_query_and_charged_once() {
        let gateway = testing();
        let lost = charge(order("lost"), 1, Some("tok_unknown_outcome"));
        assert!(matches!(gateway.perform(&lost).await, PaymentOutcome::Unknown { .. }));
        let first = gateway.perform(&PaymentRequest::Query { order: order("lost") }).await;
        let again = gateway.perform(&charge(order("lost"), 1, None)).await;
        assert!(matches!(first, PaymentOutcome::Charged { .. }));
        assert_eq!(first, again);
    }

    #[tokio::test]
    async fn a_closed_order_is_not_charged_and_a_charged_one_not_closed() {
        let gateway = SimulatedGateway::default();
        assert_eq!(
            gateway.perform(&PaymentRequest::Close { order: order("a") }).await,
            PaymentOutcome::Closed
        );
        assert_eq!(gateway.perform(&charge(order("a"), 1, None)).await, PaymentOutcome::Closed);
        let charged = gateway.perform(&charge(order("b"), 1, None)).await;
        assert_eq!(gateway.perform(&PaymentRequest::Close { order: order("b") }).await, charged);
    }

    #[tokio::test]
    async fn amounts_above_the_limit_are_declined() {
        let limit = Money::from_minor(1000, Currency::BRL).unwrap();
        let gateway =
            SimulatedGateway::new(SimulatedRules { decline_above: Some(limit), ..Default::default() });
        assert!(matches!(
            gateway.perform(&charge(order("a"), 1000, None)).await,
            PaymentOutcome::Charged { .. }
        ));
        assert_eq!(gateway.perform(&charge(order("b"), 1001, None)).await, PaymentOutcome::Declined);
    }

    #[tokio::test]
    async fn the_rate_is_kept_and_the_same_orders_are_declined_again() {
        let rules = SimulatedRules { decline_rate: "0.2".parse().unwrap(), seed: 7, ..Default::default() };
        let declined = async || {
            let gateway = SimulatedGateway::new(rules);
            let mut declined = Vec::new();
            for number in 0..2000 {
                let order = order(&number.to_string());
                if gateway.perform(&charge(order, 1, None)).await == PaymentOutcome::Declined {
                    declined.push(order);
                }
            }
            declined
        };
        let first = declined().await;
        assert!((300..500).contains(&first.len()), "{}", first.len());
        assert_eq!(first, declined().await);
    }

    #[test]
    fn a_rate_is_a_share() {
        assert!("0.2".parse::<Rate>().is_ok());
        for text in ["-0.1", "1.1", "NaN", "x", ""] {
            assert_eq!(text.parse::<Rate>(), Err(InvalidRate), "{text}");
        }
    }

    #[test]
    fn the_book_is_bounded() {
        let mut book = Book::default();
        for number in 0..=REMEMBERED {
            let order = OrderId::from_uuid(uuid::Uuid::from_u128(number as u128));
            book.record(order, Entry::Charged);
            book.record(order, Entry::Refunded);
        }
        assert_eq!((book.entries.len(), book.oldest.len()), (REMEMBERED, REMEMBERED));
    }
}
