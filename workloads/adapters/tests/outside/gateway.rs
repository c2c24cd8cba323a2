//! The payment gateway over HTTP reports exactly what is known.

use std::time::Duration;

use kbnt_adapters::outbound::{BreakerConfig, OutboundConfig};
use kbnt_adapters::payment::{HttpGateway, HttpGatewayConfig};
use kbnt_application::ports::PaymentGateway;
use kbnt_application::{PaymentOutcome, PaymentRequest};
use kbnt_domain::event::PaymentMethod;
use kbnt_domain::{OrderId, ReservationId, Timestamp};
use serde_json::{Value, json};

use crate::server::{Does, Server};
use crate::{amount, hasty, order, user};

fn gateway(server: &Server, outbound: OutboundConfig) -> HttpGateway {
    let secret = Some("s3cret".to_owned());
    HttpGateway::new(HttpGatewayConfig { url: server.url(), secret, outbound }).unwrap()
}

fn charge(order: OrderId) -> PaymentRequest {
    PaymentRequest::Charge {
        order,
        reservation: ReservationId::derive(&order, 0),
        user: user(),
        amount: amount(),
        payment: PaymentMethod { method: "credit_card".into(), token: Some("tok_1".into()) },
        expires_at: Timestamp::from_millis(i64::MAX),
    }
}

fn refund(order: OrderId) -> PaymentRequest {
    PaymentRequest::Refund { order, transaction: Some("tx-1".parse().unwrap()), amount: amount() }
}

fn says(order: OrderId, status: &str) -> String {
    json!({"orderId": order.to_string(), "status": status, "transactionId": "tx-1"}).to_string()
}

fn name_of(outcome: &PaymentOutcome) -> &'static str {
    match outcome {
        PaymentOutcome::Charged { .. } => "charged",
        PaymentOutcome::ChargedUnnamed { .. } => "charged, unnamed",
        PaymentOutcome::Declined => "declined",
        PaymentOutcome::NotCharged { .. } => "not charged",
        PaymentOutcome::Overdue => "overdue",
        PaymentOutcome::Unknown { .. } => "unknown",
        PaymentOutcome::Senseless { .. } => "senseless",
        PaymentOutcome::Closed => "closed",
        PaymentOutcome::Refunded => "refunded",
        PaymentOutcome::NotRefunded { .. } => "not refunded",
    }
}

#[tokio::test]
async fn a_charge_is_asked_for_as_documented() {
    let id = order("a");
    let server = Server::start([Does::Answer(201, says(id, "charged"))]).await;
    let outcome = gateway(&server, hasty()).perform(&charge(id)).await;
    assert_eq!(outcome, PaymentOutcome::Charged { transaction: "tx-1".parse().unwrap() });
    let request = server.requests().remove(0);
    assert_eq!(request.line(), "POST /charges HTTP/1.1");
    assert_eq!(request.header("idempotency-key"), Some(id.to_string().as_str()));
    assert_eq!(request.header("authorization"), Some("Bearer s3cret"));
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(
        body,
        json!({
            "orderId": id.to_string(), "reservationId": ReservationId::derive(&id, 0).to_string(), "userId": "USER-1",
            "amount": {"value": "599.99", "currency": "BRL"}, "payment": {"method": "credit_card", "token": "tok_1"},
        })
    );
}

/// The outcome of a charge for one behaviour of the server, and the number of requests.
#[tokio::test]
async fn a_charge_is_repeated_only_where_nothing_was_done() {
    let id = order("a");
    let other = order("b");
    for (does, outcome, asked) in [
        (vec![Does::Answer(200, says(id, "charged"))], "charged", 1),
        (vec![Does::Answer(402, says(id, "declined"))], "declined", 1),
        (vec![Does::Answer(410, says(id, "closed"))], "closed", 1),
        (vec![Does::Answer(429, String::new()), Does::Answer(200, says(id, "charged"))], "charged", 2),
        (vec![Does::Answer(429, String::new()); 3], "not charged", 3),
        (vec![Does::Answer(402, String::new())], "declined", 1),
        (vec![Does::Answer(410, String::new())], "closed", 1),
        (vec![Does::Answer(200, says(id, "refunded"))], "refunded", 1),
        (vec![Does::Answer(400, String::new())], "not charged", 1),
        (vec![Does::Answer(409, says(id, "charged"))], "senseless", 1),
        (vec![Does::Answer(200, says(id, "pending"))], "senseless", 1),
        (vec![Does::Answer(401, "{}".into())], "not charged", 1),
        (vec![Does::Answer(500, String::new())], "unknown", 1),
        (vec![Does::Answer(503, says(id, "charged"))], "unknown", 1),
        (vec![Does::Answer(200, says(other, "charged"))], "senseless", 1),
        (vec![Does::Answer(200, "{".into())], "senseless", 1),
        (vec![Does::Answer(204, String::new())], "senseless", 1),
        (vec![Does::Answer(302, String::new())], "senseless", 1),
        (vec![Does::Hang], "unknown", 1),
        (vec![Does::Reset], "unknown", 1),
        (vec![Does::HalfAnswer(200, says(id, "charged"))], "unknown", 1),
        (vec![Does::Flood], "senseless", 1),
        (vec![Does::Nonsense], "unknown", 1),
        (vec![Does::Drip(says(id, "charged"))], "unknown", 1),
    ] {
        let server = Server::start(does.clone()).await;
        let found = gateway(&server, hasty()).perform(&charge(id)).await;
        assert_eq!((name_of(&found), server.requests().len()), (outcome, asked), "{does:?}: {found:?}");
    }
}

/// The ids that a gateway may give a charge, and the resulting outcome.
#[tokio::test]
async fn any_text_that_can_be_shown_names_a_charge_and_anything_else_is_a_charge_without_a_name() {
    let id = order("a");
    let says = |transaction: &Value| {
        json!({"orderId": id.to_string(), "status": "charged", "transactionId": transaction}).to_string()
    };
    for name in ["pi_3/x+y=:z".to_owned(), "x".repeat(66), "é".repeat(255), "ch 取引 1".to_owned()] {
        for effect in [charge(id), PaymentRequest::Query { order: id }, PaymentRequest::Close { order: id }] {
            let server = Server::start([Does::Answer(200, says(&json!(name)))]).await;
            let found = gateway(&server, hasty()).perform(&effect).await;
            assert_eq!(found, PaymentOutcome::Charged { transaction: name.parse().unwrap() }, "{effect:?}");
        }
        let server = Server::start([Does::Answer(200, "{}".into())]).await;
        let refund =
            PaymentRequest::Refund { order: id, transaction: Some(name.parse().unwrap()), amount: amount() };
        gateway(&server, hasty()).perform(&refund).await;
        let body: Value = serde_json::from_str(&server.requests()[0].body).unwrap();
        assert_eq!(body.pointer("/transactionId").unwrap(), &name, "as the gateway has it");
    }
    for no_name in [
        json!(4711),
        json!(""),
        json!("x".repeat(256)),
        json!("a\nb"),
        json!("\u{1b}[2J"),
        json!(null),
        json!({"id": "x"}),
        json!(["x"]),
        json!(true),
    ] {
        for effect in [charge(id), PaymentRequest::Query { order: id }, PaymentRequest::Close { order: id }] {
            let server = Server::start([Does::Answer(200, says(&no_name))]).await;
            let found = gateway(&server, hasty()).perform(&effect).await;
            assert_eq!(name_of(&found), "charged, unnamed", "{effect:?} {no_name}");
        }
    }
    let missing = json!({"orderId": id.to_string(), "status": "charged"}).to_string();
    let server = Server::start([Does::Answer(200, missing)]).await;
    assert_eq!(name_of(&gateway(&server, hasty()).perform(&charge(id)).await), "charged, unnamed");
}

#[tokio::test]
async fn a_charge_without_a_name_is_refunded_by_its_order() {
    let id = order("a");
    let server = Server::start([Does::Answer(200, says(id, "refunded"))]).await;
    let refund = PaymentRequest::Refund { order: id, transaction: None, amount: amount() };
    assert_eq!(gateway(&server, hasty()).perform(&refund).await, PaymentOutcome::Refunded);
    let request = server.requests().remove(0);
    assert_eq!(request.line(), format!("POST /charges/{id}/refund HTTP/1.1"));
    assert_eq!(request.header("idempotency-key"), Some(format!("{id}-refund").as_str()));
    let body: Value = serde_json::from_str(&request.body).unwrap();
    let amount = json!({"value": "599.99", "currency": "BRL"});
    assert_eq!(body, json!({"orderId": id.to_string(), "amount": amount}));
}

#[tokio::test]
async fn nobody_there_means_that_nothing_was_charged() {
    let server = Server::start([]).await;
    let url = "http://127.0.0.1:1".parse().unwrap();
    let away = HttpGateway::new(HttpGatewayConfig { url, secret: None, outbound: hasty() }).unwrap();
    assert_eq!(name_of(&away.perform(&charge(order("a"))).await), "not charged");
    assert_eq!(name_of(&away.perform(&PaymentRequest::Query { order: order("a") }).await), "unknown");
    assert_eq!(name_of(&away.perform(&PaymentRequest::Close { order: order("a") }).await), "unknown");
    assert_eq!(name_of(&away.perform(&refund(order("a"))).await), "not refunded");
    assert!(server.requests().is_empty());
}

/// The request, the server's response after some failures, and the outcome.
fn questions(id: OrderId) -> Vec<(PaymentRequest, Does, &'static str)> {
    let query = || PaymentRequest::Query { order: id };
    let close = || PaymentRequest::Close { order: id };
    let says = |status: &str| Does::Answer(200, says(id, status));
    let only = |status: u16| Does::Answer(status, String::new());
    vec![
        (query(), says("charged"), "charged"),
        (query(), says("declined"), "declined"),
        (query(), says("refunded"), "refunded"),
        (query(), only(404), "not charged"),
        (query(), only(403), "senseless"),
        (query(), only(302), "senseless"),
        (query(), Does::Answer(200, "<html>".into()), "senseless"),
        (query(), Does::Flood, "senseless"),
        (query(), only(429), "unknown"),
        (query(), only(503), "unknown"),
        (query(), Does::Hang, "unknown"),
        (close(), says("closed"), "closed"),
        (close(), says("charged"), "charged"),
        (close(), says("declined"), "closed"),
        (close(), says("refunded"), "refunded"),
        (close(), only(404), "senseless"),
        (close(), Does::Flood, "senseless"),
        (close(), Does::HalfAnswer(200, String::new()), "unknown"),
        (refund(id), says("refunded"), "refunded"),
        (refund(id), says("charged"), "not refunded"),
        (refund(id), only(404), "not refunded"),
        (refund(id), Does::Flood, "not refunded"),
    ]
}

/// The request line for a request.
fn line(request: &PaymentRequest) -> String {
    match request {
        PaymentRequest::Query { order } => format!("GET /charges/{order} HTTP/1.1"),
        PaymentRequest::Close { order } => format!("POST /charges/{order}/close HTTP/1.1"),
        PaymentRequest::Refund { order, .. } => format!("POST /charges/{order}/refund HTTP/1.1"),
        PaymentRequest::Charge { .. } => panic!("no question"),
    }
}

#[tokio::test]
async fn questions_are_repeated_until_they_are_answered() {
    let id = order("a");
    let trouble = || vec![Does::Reset, Does::Answer(500, String::new())];
    for (effect, does, outcome) in questions(id) {
        let server = Server::start(trouble().into_iter().chain([does.clone()])).await;
        let found = gateway(&server, hasty()).perform(&effect).await;
        assert_eq!(name_of(&found), outcome, "{effect:?} {does:?}");
        let requests = server.requests();
        assert_eq!(requests.len(), 3, "{effect:?}");
        assert!(requests.iter().all(|request| request.line() == line(&effect)), "{effect:?}");
    }
}

#[tokio::test]
async fn a_second_answer_that_nobody_asked_for_is_never_taken_for_the_next_one() {
    for round in 0..20 {
        let (first, second) = (order(&format!("first-{round}")), order(&format!("second-{round}")));
        // The stale response would report the second order as charged, under the name of the first.
        let server = Server::start([
            Does::AnswerTwice(200, says(first, "charged"), says(first, "charged")),
            Does::Answer(402, says(second, "declined")),
        ])
        .await;
        let gateway = gateway(&server, hasty());
        assert_eq!(name_of(&gateway.perform(&charge(first)).await), "charged");
        let outcome = name_of(&gateway.perform(&charge(second)).await);
        assert!(["declined", "unknown"].contains(&outcome), "{outcome}");
    }
}

#[tokio::test]
async fn a_gateway_that_fails_again_and_again_is_left_alone_for_a_while() {
    let breaker = BreakerConfig { failures: 4, pause: Duration::from_millis(400) };
    let server = Server::start([]).await;
    let gateway = gateway(&server, OutboundConfig { breaker, ..hasty() });
    for _ in 0..4 {
        assert_eq!(name_of(&gateway.perform(&charge(order("a"))).await), "unknown");
    }
    for _ in 0..50 {
        assert_eq!(name_of(&gateway.perform(&charge(order("b"))).await), "not charged", "nothing is sent");
    }
    assert_eq!(server.requests().len(), 4);
    server.then(Does::Answer(200, says(order("c"), "charged")));
    let give_up = std::time::Instant::now() + Duration::from_secs(10);
    while name_of(&gateway.perform(&charge(order("c"))).await) != "charged" {
        assert!(std::time::Instant::now() < give_up, "the circuit never closes");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.requests().len(), 5, "one probe was enough");
    server.then(Does::Answer(200, says(order("d"), "charged")));
    assert_eq!(name_of(&gateway.perform(&charge(order("d"))).await), "charged");
}
