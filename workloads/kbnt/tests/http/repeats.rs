//! An order that comes again after it was forgotten.

use axum::http::Method;
use kbnt_domain::OrderId;
use serde_json::{Value, json};

use crate::app::{Answer, App, Forgets, basket};

/// Keys, orders, and their ends.
const ORDERS: [(&str, u64, &str, &str, Option<&str>); 3] = [
    ("paid", 3, "tok_ok", "CONFIRMED", None),
    ("declined", 1, "tok_decline", "CANCELLED", Some("PAYMENT_DECLINED")),
    ("too-much", 1_000, "tok_ok", "REJECTED", Some("INSUFFICIENT_STOCK")),
];

fn path(key: &str) -> String {
    format!("/v1/orders/{}", OrderId::derive(&"USER-1".parse().unwrap(), key))
}

fn end(answer: &Answer) -> (&str, Option<&str>) {
    (answer.text("status"), answer.body["reason"].as_str())
}

/// Everything that would change if the order were taken a second time: stock, charges and refunds,
/// notifications.
async fn effects(app: &App) -> (Value, Vec<u64>, Value) {
    let ends = app.ends().await;
    let stock = app.get("/v1/stock").await.body;
    (stock, [&ends[6..9], &ends[12..15]].concat(), app.get("/v1/reservations?state=RESERVED").await.body)
}

async fn forget_all_before(app: &App) {
    for n in 0..4 {
        assert_eq!(app.order(&format!("other-{n}"), 1, "tok_ok").await.text("status"), "CONFIRMED");
    }
    for (key, ..) in ORDERS {
        assert_eq!(app.get(&path(key)).await.status, 404, "{key} is forgotten");
    }
}

#[tokio::test]
async fn a_forgotten_order_that_comes_again_is_what_it_was() {
    for forgets in [Forgets::ReadModel, Forgets::AllButInventory] {
        let app = App::forgetful(forgets).await;
        for (key, quantity, token, status, reason) in ORDERS {
            assert_eq!(end(&app.order(key, quantity, token).await), (status, reason), "{forgets:?} {key}");
        }
        for again in 1..=2 {
            forget_all_before(&app).await;
            app.settled().await;
            let before = effects(&app).await;
            let counts = app.get("/v1/orders/summary").await.body;
            for (key, quantity, token, status, reason) in ORDERS {
                let answer = app.order(key, quantity, token).await;
                assert_eq!(
                    (answer.status.as_u16(), end(&answer)),
                    (200, (status, reason)),
                    "{forgets:?} {key}"
                );
                assert_eq!(answer.header("idempotent-replayed"), Some("true"), "{forgets:?} {key}");
                assert_eq!(end(&app.get(&path(key)).await), (status, reason), "{forgets:?} {key}");
                let reserved = answer.body["reservationId"].is_string();
                assert_eq!(reserved, status != "REJECTED", "{forgets:?} {key}");
            }
            app.settled().await;
            assert_eq!(effects(&app).await, before, "{forgets:?}, time {again}");
            assert_eq!(
                app.get("/v1/orders/summary").await.body,
                counts,
                "none is pending, none is counted twice"
            );
        }
    }
}

#[tokio::test]
async fn a_forgotten_order_that_comes_again_with_another_basket_is_a_conflict() {
    let app = App::forgetful(Forgets::AllButInventory).await;
    for (key, quantity, token, ..) in ORDERS {
        app.order(key, quantity, token).await;
    }
    forget_all_before(&app).await;
    app.settled().await;
    let before = effects(&app).await;
    let other = app.order("paid", 4, "tok_ok").await;
    assert_eq!((other.status.as_u16(), other.text("code")), (409, "idempotency_conflict"));
    let order = app.get(&path("paid")).await;
    assert_eq!(end(&order), ("CONFIRMED", None), "the order is what it was");
    let headers = [("idempotency-key", "paid")];
    let same = app.call(Method::POST, "/v1/orders", &headers, &basket(3, "tok_ok")).await;
    assert_eq!((same.status.as_u16(), same.text("status")), (202, "CONFIRMED"));
    assert_eq!(effects(&app).await, before);
    assert_eq!(app.get("/v1/orders/summary").await.body["pending"], json!(0));
}
