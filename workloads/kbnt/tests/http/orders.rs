//! Placing, reading, cancelling and listing orders.

use std::collections::BTreeSet;

use axum::http::Method;
use futures::future::join_all;
use kbnt_domain::{Currency, Money, OrderId, Span};
use kbnt_wire::raw::BrowsableLog as _;
use serde_json::{Value, json};

use crate::app::{Answer, App, basket};

fn names(order: &Value) -> Vec<&str> {
    order["timeline"].as_array().unwrap().iter().map(|entry| entry["eventName"].as_str().unwrap()).collect()
}

async fn level(app: &App) -> (u64, u64, u64) {
    let stock = app.get("/v1/stock/PROD-001").await;
    let number = |field: &str| stock.body[field].as_u64().unwrap();
    (number("real"), number("reserved"), number("available"))
}

#[tokio::test]
async fn a_good_order_is_confirmed_and_shown_with_its_whole_history() {
    let app = App::open().await;
    let placed =
        app.call(Method::POST, "/v1/orders", &[("idempotency-key", "k-1")], &basket(3, "tok_ok")).await;
    assert_eq!(placed.status, 202, "{placed:?}");
    let id = OrderId::derive(&"USER-1".parse().unwrap(), "k-1").to_string();
    assert_eq!((placed.text("orderId"), placed.text("status")), (id.as_str(), "PENDING"));
    let location = format!("/v1/orders/{id}");
    assert_eq!(placed.header("location"), Some(location.as_str()));
    assert_eq!(placed.header("idempotent-replayed"), None);
    app.until("told", async || names(&app.get(&location).await.body).contains(&"NotificationSentEvent"))
        .await;
    let order = app.get(&location).await;
    assert_eq!((order.text("status"), &order.body["reason"]), ("CONFIRMED", &Value::Null));
    assert_eq!(order.body["amount"], json!({"value": "1799.97", "currency": "BRL"}));
    assert_eq!(
        names(&order.body),
        [
            "PlaceOrderCommand",
            "UserValidatedEvent",
            "VirtualStockReservedEvent",
            "PaymentProcessedEvent",
            "ReservationConfirmedEvent",
            "OrderCreatedEvent",
            "NotificationSentEvent",
        ]
    );
    assert_eq!(level(&app).await, (97, 0, 97));
    let reservation = app.get(&format!("/v1/reservations/{}", order.text("reservationId"))).await;
    assert_eq!((reservation.text("state"), reservation.text("orderId")), ("CONFIRMED", id.as_str()));
}

#[tokio::test]
async fn with_wait_the_answer_is_the_whole_order_once_it_has_ended() {
    let app = App::open().await;
    for (token, quantity, status, reason) in [
        ("tok_ok", 1, "CONFIRMED", Value::Null),
        ("tok_decline", 1, "CANCELLED", json!("PAYMENT_DECLINED")),
        ("tok_ok", 1000, "REJECTED", json!("INSUFFICIENT_STOCK")),
        ("tok_unknown_outcome", 1, "CONFIRMED", Value::Null),
    ] {
        let ended = app.order(&format!("{token}-{quantity}"), quantity, token).await;
        assert_eq!(ended.status, 200, "{ended:?}");
        assert_eq!((ended.text("status"), &ended.body["reason"]), (status, &reason), "{token}");
        let shown = app.get(&format!("/v1/orders/{}", ended.text("orderId"))).await;
        assert_eq!(shown.body["status"], ended.body["status"]);
    }
    assert_eq!(level(&app).await, (98, 0, 98));
    let slow = app.post("/v1/orders?wait=50ms", &basket(1, "tok_delay_60000ms")).await;
    assert_eq!((slow.status.as_u16(), slow.text("status")), (202, "PENDING"));
}

#[tokio::test]
async fn the_same_key_is_the_same_order_and_another_basket_under_it_a_conflict() {
    let app = App::open().await;
    let first = app.order("k", 2, "tok_ok").await;
    let again = app.order("k", 2, "tok_ok").await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (200, Some("true")));
    assert_eq!(again.text("orderId"), first.text("orderId"));
    let plain = app.call(Method::POST, "/v1/orders", &[("idempotency-key", "k")], &basket(2, "tok_ok")).await;
    assert_eq!((plain.status.as_u16(), plain.text("status")), (202, "CONFIRMED"));
    let other = app.order("k", 3, "tok_ok").await;
    assert_eq!((other.status.as_u16(), other.text("code")), (409, "idempotency_conflict"));
    assert_eq!(level(&app).await, (98, 0, 98));
    let fresh = app.post("/v1/orders?wait=10s", &basket(2, "tok_ok")).await;
    let another = app.post("/v1/orders?wait=10s", &basket(2, "tok_ok")).await;
    assert_ne!(fresh.text("orderId"), another.text("orderId"), "without a key each request is an order");
}

#[tokio::test]
async fn the_same_units_in_other_lines_are_the_same_order() {
    let app = App::open().await;
    app.declare("PROD-002", 100).await;
    let place = async |key: &str, lines: &[(&str, u64)]| {
        let items: Vec<_> = lines
            .iter()
            .map(|(product, quantity)| json!({"productId": product, "quantity": quantity}))
            .collect();
        let body = json!({"userId": "USER-1", "items": items, "payment": {"method": "credit_card"}});
        app.call(Method::POST, "/v1/orders?wait=10s", &[("idempotency-key", key)], &body).await
    };
    let first = place("k", &[("PROD-001", 3), ("PROD-002", 1)]).await;
    for lines in [
        &[("PROD-002", 1), ("PROD-001", 3)][..],
        &[("PROD-001", 1), ("PROD-002", 1), ("PROD-001", 2)],
        &[("PROD-001", 1), ("PROD-001", 1), ("PROD-001", 1), ("PROD-002", 1)],
    ] {
        let again = place("\"k\"", lines).await;
        assert_eq!(
            (again.status.as_u16(), again.header("idempotent-replayed")),
            (200, Some("true")),
            "{again:?}"
        );
        assert_eq!(again.text("orderId"), first.text("orderId"));
    }
    let other = place("k", &[("PROD-001", 3), ("PROD-002", 2)]).await;
    assert_eq!((other.status.as_u16(), other.text("code")), (409, "idempotency_conflict"));
    assert_eq!(level(&app).await, (97, 0, 97));
}

#[tokio::test]
async fn more_orders_than_may_be_in_hand_are_refused_at_once() {
    let app = App::of(kbnt_embedded::EmbeddedLog::in_memory(), 20).await;
    app.declare("PROD-001", 100).await;
    for user in ["USER-1", "USER-2"] {
        let user = json!({"userId": user, "name": "Ana", "email": "ana@example.com"});
        assert_eq!(app.post("/v1/users", &user).await.status, 201);
    }
    let slow = basket(1, "tok_unreachable");
    let headers: Vec<_> = (0..20).map(|number| format!("k-{number}")).collect();
    let answers = join_all(headers.iter().map(|key| async {
        let header = [("idempotency-key", key.as_str())];
        app.call(Method::POST, "/v1/orders", &header, &slow).await
    }))
    .await;
    let taken: Vec<_> = answers.iter().filter(|answer| answer.status == 202).collect();
    // An order that has just been read back may count twice for a moment.
    assert!((1..=4).contains(&taken.len()), "{answers:?}");
    for refused in answers.iter().filter(|answer| answer.status != 202) {
        assert_eq!((refused.status.as_u16(), refused.text("code")), (503, "overloaded"));
        assert!(refused.header("retry-after").is_some());
        assert!(refused.text("detail").contains("orders of this user"), "{refused:?}");
    }
    let mut other = basket(1, "tok_ok");
    other["userId"] = json!("USER-2");
    assert_eq!(app.post("/v1/orders?wait=10s", &other).await.text("status"), "CONFIRMED");
    let (key, again) = headers.iter().zip(&answers).find(|(_, answer)| answer.status == 202).unwrap();
    let repeated = app.call(Method::POST, "/v1/orders", &[("idempotency-key", key)], &slow).await;
    assert_eq!(
        (repeated.status.as_u16(), repeated.text("orderId")),
        (202, again.text("orderId")),
        "it is in hand"
    );
    let held = taken.len() as u64;
    app.until("reserved", async || level(&app).await == (99, held, 99 - held)).await;
    app.clock.forward(Span::from_secs(900));
    app.until("room again", async || app.order("later", 1, "tok_ok").await.status == 200).await;
}

#[tokio::test]
async fn the_same_key_at_once_is_one_order_and_only_one_request_made_it() {
    let app = App::open().await;
    let answers: Vec<Answer> = join_all((0..50).map(|_| app.order("race", 1, "tok_ok"))).await;
    let ids: BTreeSet<&str> = answers.iter().map(|answer| answer.text("orderId")).collect();
    assert_eq!(ids.len(), 1);
    let first = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_none()).count();
    assert_eq!(first, 1);
    assert_eq!(level(&app).await, (99, 0, 99));
}

#[tokio::test]
async fn baskets_at_once_under_one_key_are_one_order_and_conflicts() {
    let app = App::open().await;
    let answers = join_all((1..=20).map(|quantity| app.order("race", quantity, "tok_ok"))).await;
    let taken: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(taken.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| [200, 409].contains(&answer.status.as_u16())));
    let amount = taken[0].body["amount"]["value"].as_str().unwrap();
    let (real, _, _) = level(&app).await;
    let price = Money::parse("599.99", Currency::BRL).unwrap();
    let expected = price.times(100 - real).unwrap();
    assert_eq!(amount, expected.to_string(), "the stock follows the order that was taken");
}

#[tokio::test]
async fn a_pending_order_is_cancelled_and_a_confirmed_one_is_not() {
    let app = App::open().await;
    let slow = app.post("/v1/orders", &basket(4, "tok_delay_300ms")).await;
    let path = format!("/v1/orders/{}", slow.text("orderId"));
    app.until("reserved", async || level(&app).await == (100, 4, 96)).await;
    let asked = app.delete(&path).await;
    assert_eq!((asked.status.as_u16(), asked.text("orderId")), (202, slow.text("orderId")));
    app.until("free at once", async || level(&app).await == (100, 0, 100)).await;
    app.until("ended", async || app.get(&path).await.text("status") != "PENDING").await;
    let ended = app.get(&path).await;
    assert_eq!((ended.text("status"), ended.text("reason")), ("CANCELLED", "CANCELLED_BY_CLIENT"));
    assert_eq!(app.delete(&path).await.status, 202, "asking again changes nothing");
    app.until("refunded", async || names(&app.get(&path).await.body).contains(&"PaymentRefundedEvent")).await;
    let good = app.order("good", 1, "tok_ok").await;
    let refused = app.delete(&format!("/v1/orders/{}", good.text("orderId"))).await;
    assert_eq!((refused.status.as_u16(), refused.text("code")), (409, "order_already_confirmed"));
    let unknown = app.delete("/v1/orders/00000000-0000-4000-8000-000000000000").await;
    assert_eq!((unknown.status.as_u16(), unknown.text("code")), (404, "order_not_found"));
}

#[tokio::test]
async fn an_unpaid_order_ends_with_its_reservation() {
    let app = App::open().await;
    let away = app.post("/v1/orders", &basket(5, "tok_unreachable")).await;
    let path = format!("/v1/orders/{}", away.text("orderId"));
    app.until("reserved", async || level(&app).await == (100, 5, 95)).await;
    let held = app.get("/v1/reservations?state=RESERVED&productId=PROD-001").await;
    assert_eq!(held.body["items"][0]["orderId"], away.body["orderId"]);
    assert_eq!(held.body["items"][0]["items"][0]["quantity"], 5);
    app.clock.forward(Span::from_secs(900));
    app.until("ended", async || app.get(&path).await.text("status") != "PENDING").await;
    let ended = app.get(&path).await;
    assert_eq!((ended.text("status"), ended.text("reason")), ("CANCELLED", "PAYMENT_UNAVAILABLE"));
    assert_eq!(level(&app).await, (100, 0, 100));
}

#[tokio::test]
async fn pages_show_every_order_once_the_newest_first() {
    let app = App::open().await;
    let mut placed = Vec::new();
    for number in 0..23 {
        let token = if number % 3 == 0 { "tok_decline" } else { "tok_ok" };
        placed.push(app.order(&format!("k-{number}"), 1, token).await.text("orderId").to_owned());
    }
    let pages = async |filter: &str| {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = app.get(&format!("/v1/orders?limit=5{filter}&cursor={cursor}")).await;
            assert_eq!(page.status, 200, "{page:?}");
            let items = page.body["items"].as_array().unwrap();
            assert!(items.len() <= 5);
            seen.extend(items.iter().map(|item| item["orderId"].as_str().unwrap().to_owned()));
            match page.body["nextCursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => return seen,
            }
        }
    };
    let all = pages("").await;
    assert_eq!(all.len(), 23);
    assert_eq!(all.iter().collect::<BTreeSet<_>>(), placed.iter().collect::<BTreeSet<_>>());
    let cancelled: Vec<String> = placed.iter().step_by(3).cloned().collect();
    assert_eq!(
        pages("&status=CANCELLED").await.into_iter().collect::<BTreeSet<_>>(),
        cancelled.into_iter().collect()
    );
    assert!(pages("&status=PENDING").await.is_empty());
}

#[tokio::test]
async fn the_summary_answers_as_soon_as_it_differs() {
    let app = App::open().await;
    let before = app.get("/v1/orders/summary").await;
    assert_eq!(before.body["confirmed"], 0);
    let path = format!("/v1/orders/summary?since={}&wait=20s", before.text("version"));
    let (after, ended) = tokio::join!(app.get(&path), app.order("k", 1, "tok_ok"));
    assert_eq!(ended.status, 200);
    assert_ne!(after.text("version"), before.text("version"));
    app.until("counted", async || app.get("/v1/orders/summary").await.body["confirmed"] == 1).await;
    let idle = app.get("/v1/orders/summary").await;
    let path = format!("/v1/orders/summary?since={}&wait=20ms", idle.text("version"));
    assert_eq!(app.get(&path).await.body, idle.body, "nothing differs, and the wait is over");
}

#[tokio::test]
async fn the_trace_of_the_request_goes_on_in_the_log() {
    let app = App::open().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("traceparent", trace)];
    let ended = app.call(Method::POST, "/v1/orders?wait=10s", &headers, &basket(1, "tok_ok")).await;
    assert_eq!(ended.text("status"), "CONFIRMED");
    app.settled().await;
    let id = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128;
    let records = app.log.read_raw(kbnt_application::Topic::AuditLogs, 0, 0, 1000).unwrap();
    let of_order = records.iter().filter(|(_, record)| {
        let parent =
            record.headers.iter().find(|(name, _)| name == "traceparent").and_then(|(_, v)| v.clone());
        String::from_utf8(parent.unwrap()).unwrap().contains(&format!("{id:032x}"))
    });
    assert_eq!(of_order.count(), 7, "every audited event of the order carries it");
}
