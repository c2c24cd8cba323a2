//! Every way in which an order can fail: its events, its reason, one notification, and an audit record of each event.

use axum::http::Method;
use kbnt_application::Topic;
use kbnt_domain::Span;
use kbnt_wire::raw::BrowsableLog as _;
use serde_json::{Value, json};

use crate::app::{App, basket};

/// The names of an order's events, sorted, because events of different topics have no order.
fn names(order: &Value) -> Vec<&str> {
    let timeline = order["timeline"].as_array().unwrap();
    let mut names: Vec<_> = timeline.iter().map(|entry| entry["eventName"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

/// How many of an order's events are in the audit trail.
fn audited(app: &App, order: &str) -> usize {
    let links = app.log.read_raw(Topic::AuditLogs, 0, 0, 10_000).unwrap();
    let about = |value: &[u8]| serde_json::from_slice::<Value>(value).unwrap()["correlationId"] == order;
    links.iter().filter(|(_, record)| record.value.as_deref().is_some_and(about)).count()
}

/// Places an order under `key`; it may take a while.
async fn place(app: &App, key: &str, order: &Value) -> String {
    let placed = app.call(Method::POST, "/v1/orders", &[("idempotency-key", key)], order).await;
    assert_eq!(placed.status, 202, "{placed:?}");
    placed.text("orderId").to_owned()
}

/// Checks that the order ends in this way, with these events besides its command, its end and its one
/// notification, all of them audited.
async fn ends(app: &App, id: &str, status: &str, reason: &str, events: &[&str]) {
    let path = format!("/v1/orders/{id}");
    let mut expected = events.to_vec();
    let end = if status == "CONFIRMED" { "OrderCreatedEvent" } else { "OrderCancelledEvent" };
    expected.extend(["PlaceOrderCommand", end, "NotificationSentEvent"]);
    expected.sort_unstable();
    app.until(&format!("{reason}: {expected:?}"), async || names(&app.get(&path).await.body) == expected)
        .await;
    app.settled().await;
    let order = app.get(&path).await;
    assert_eq!((order.text("status"), order.body["reason"].as_str().unwrap_or("-")), (status, reason));
    assert_eq!(names(&order.body), expected, "{reason}: nothing came after");
    assert_eq!(audited(app, id), expected.len(), "{reason}: each event is audited once");
}

async fn stock(app: &App) -> Value {
    let level = app.get("/v1/stock/PROD-001").await;
    json!([level.body["real"], level.body["reserved"], level.body["available"]])
}

#[tokio::test]
async fn what_is_refused_has_no_other_effect() {
    let app = App::open().await;
    let user = json!({"userId": "USER-2", "name": "Bo", "email": "bo@example.com"});
    assert_eq!(app.post("/v1/users", &user).await.status, 201);
    assert_eq!(app.put("/v1/users/USER-2/status", &json!({"status": "BLOCKED"})).await.status, 200);
    let with = |pointer: &str, value: Value| {
        let mut order = basket(1, "tok_ok");
        *order.pointer_mut(pointer).unwrap() = value;
        order
    };
    for (order, reason, events) in [
        (with("/userId", json!("NOBODY")), "USER_NOT_FOUND", &["UserRejectedEvent"][..]),
        (with("/userId", json!("USER-2")), "USER_BLOCKED", &["UserRejectedEvent"]),
        (
            with("/items/0/productId", json!("PROD-999")),
            "PRODUCT_NOT_FOUND",
            &["UserValidatedEvent", "ProductNotFoundEvent"],
        ),
        (
            with("/items/0/quantity", json!(101)),
            "INSUFFICIENT_STOCK",
            &["UserValidatedEvent", "InsufficientStockEvent"],
        ),
    ] {
        let id = place(&app, reason, &order).await;
        ends(&app, &id, "REJECTED", reason, events).await;
    }
    assert_eq!(stock(&app).await, json!([100, 0, 100]));
}

/// Events of an order that was reserved.
const RESERVED: [&str; 2] = ["UserValidatedEvent", "VirtualStockReservedEvent"];

fn reserved_and<'a>(more: &[&'a str]) -> Vec<&'a str> {
    RESERVED.into_iter().chain(more.iter().copied()).collect()
}

#[tokio::test]
async fn what_is_undone_gives_its_units_back() {
    let app = App::open().await;
    let declined = place(&app, "declined", &basket(2, "tok_decline")).await;
    let events = reserved_and(&["PaymentFailedEvent", "ReservationReleasedEvent"]);
    ends(&app, &declined, "CANCELLED", "PAYMENT_DECLINED", &events).await;

    let away = place(&app, "away", &basket(3, "tok_unreachable")).await;
    app.until("reserved", async || stock(&app).await == json!([100, 3, 97])).await;
    app.clock.forward(Span::from_secs(900));
    let events = reserved_and(&["ReservationExpiredEvent", "PaymentFailedEvent"]);
    ends(&app, &away, "CANCELLED", "PAYMENT_UNAVAILABLE", &events).await;

    let slow = place(&app, "slow", &basket(4, "tok_delay_300ms")).await;
    app.until("reserved", async || stock(&app).await == json!([100, 4, 96])).await;
    assert_eq!(app.delete(&format!("/v1/orders/{slow}")).await.status, 202);
    app.until("free at once", async || stock(&app).await == json!([100, 0, 100])).await;
    let events = reserved_and(&[
        "OrderCancelRequestedCommand",
        "ReservationReleasedEvent",
        "PaymentProcessedEvent",
        "ReservationLostEvent",
        "PaymentRefundedEvent",
    ]);
    ends(&app, &slow, "CANCELLED", "CANCELLED_BY_CLIENT", &events).await;
    assert_eq!(stock(&app).await, json!([100, 0, 100]));
}

#[tokio::test]
async fn a_payment_after_the_expiry_is_for_what_is_still_there_or_refunded() {
    let app = App::open().await;
    let slow = place(&app, "slow", &basket(100, "tok_delay_400ms")).await;
    app.until("reserved", async || stock(&app).await == json!([100, 100, 0])).await;
    app.clock.forward(Span::from_secs(900));
    let events = reserved_and(&[
        "ReservationExpiredEvent",
        "PaymentProcessedEvent",
        "VirtualStockReservedEvent",
        "ReservationConfirmedEvent",
    ]);
    ends(&app, &slow, "CONFIRMED", "-", &events).await;
    assert_eq!(stock(&app).await, json!([0, 0, 0]));

    app.declare("PROD-001", 101).await;
    let slow = place(&app, "late", &basket(1, "tok_delay_2000ms")).await;
    app.until("reserved", async || stock(&app).await == json!([1, 1, 0])).await;
    app.clock.forward(Span::from_secs(900));
    app.until("expired", async || stock(&app).await == json!([1, 0, 1])).await;
    assert_eq!(app.order("quick", 1, "tok_ok").await.text("status"), "CONFIRMED");
    let events = reserved_and(&[
        "ReservationExpiredEvent",
        "PaymentProcessedEvent",
        "ReservationLostEvent",
        "PaymentRefundedEvent",
    ]);
    ends(&app, &slow, "CANCELLED", "RESERVATION_EXPIRED", &events).await;
    assert_eq!(stock(&app).await, json!([0, 0, 0]));
}
