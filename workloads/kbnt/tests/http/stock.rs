//! Stock and reservations.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::{App, basket};

fn declaration(received: u64) -> Value {
    json!({"name": "Laptop Pro", "unitPrice": {"value": "1299.99", "currency": "BRL"}, "received": received})
}

#[tokio::test]
async fn stock_is_declared_by_source_and_the_same_again_changes_nothing() {
    let app = App::empty().await;
    let first = app.put("/v1/stock/PROD-002", &declaration(50)).await;
    assert_eq!((first.status.as_u16(), &first.body["received"]), (200, &json!({"api": 50})));
    app.settled().await;
    let ends = app.ends().await;
    assert_eq!(app.put("/v1/stock/PROD-002", &declaration(50)).await.body, first.body);
    assert_eq!(app.ends().await, ends, "nothing was written");
    let headers = [("x-stock-source", "warehouse")];
    let second = app.call(Method::PUT, "/v1/stock/PROD-002", &headers, &declaration(7)).await;
    assert_eq!(second.body["received"], json!({"api": 50, "warehouse": 7}));
    assert_eq!((&second.body["real"], &second.body["available"]), (&json!(57), &json!(57)));
    let more = app.put("/v1/stock/PROD-002", &declaration(60)).await;
    assert_eq!(more.body["real"], 67, "declaring 60 where 50 was declared is a receipt of 10");
    assert_eq!(app.get("/v1/stock/PROD-002").await.body, more.body);
    assert_eq!(app.get("/v1/stock").await.body["items"], json!([more.body]));
}

#[tokio::test]
async fn a_write_off_that_would_oversell_is_refused() {
    let app = App::open().await;
    let slow = app.post("/v1/orders", &basket(60, "tok_delay_60000ms")).await;
    assert_eq!(slow.status, 202);
    app.until("reserved", async || app.get("/v1/stock/PROD-001").await.body["reserved"] == 60).await;
    let lower = |received: u64| json!({"name": "Smartphone X", "unitPrice": "599.99", "received": received});
    let refused = app.put("/v1/stock/PROD-001", &lower(59)).await;
    assert_eq!((refused.status.as_u16(), refused.text("code")), (409, "write_off_would_oversell"));
    assert_eq!(app.get("/v1/stock/PROD-001").await.body["real"], 100);
    let taken = app.put("/v1/stock/PROD-001", &lower(60)).await;
    assert_eq!((taken.status.as_u16(), &taken.body["available"]), (200, &json!(0)), "{taken:?}");
}

#[tokio::test]
async fn low_stock_shows() {
    let app = App::empty().await;
    let body = json!({"name": "X", "unitPrice": "1", "received": 5, "lowStockThreshold": 6});
    let answer = app.put("/v1/stock/P", &body).await;
    assert_eq!((&answer.body["lowStock"], &answer.body["lowStockThreshold"]), (&json!(true), &json!(6)));
    let body = json!({"name": "X", "unitPrice": "1", "received": 6});
    let answer = app.put("/v1/stock/P", &body).await;
    assert_eq!((&answer.body["lowStock"], &answer.body["lowStockThreshold"]), (&json!(false), &json!(6)));
}

#[tokio::test]
async fn the_summary_is_the_one_that_the_operator_reads() {
    let app = App::open().await;
    let summary = app.get("/v1/stock/summary").await;
    assert_eq!(
        summary.body["totals"],
        json!({"real": 100, "reserved": 0, "available": 100, "activeReservations": 0, "products": 1})
    );
    assert_eq!(summary.body["invariants"], json!({"balanced": true, "violations": []}));
    assert!(summary.body["writerTerm"].as_u64().unwrap() >= 1);
    assert_eq!(summary.body["products"][0]["received"], json!({"api": 100}));
    let path = format!("/v1/stock/summary?since={}&wait=20s", summary.text("version"));
    let (after, ()) = tokio::join!(app.get(&path), app.declare("PROD-001", 120));
    assert_eq!(after.body["totals"]["real"], 120);
    let path = format!("/v1/stock/summary?since={}&wait=20ms", after.text("version"));
    assert_eq!(app.get(&path).await.body, after.body);
    assert_eq!(app.get("/v1/stock/summary?wait=20s").await.body, after.body, "at once without `since`");
}

#[tokio::test]
async fn what_is_not_there_is_404_with_its_own_code() {
    let app = App::empty().await;
    for (path, code) in [
        ("/v1/stock/PROD-404", "product_not_found"),
        ("/v1/reservations/00000000-0000-4000-8000-000000000000", "reservation_not_found"),
        ("/v1/orders/00000000-0000-4000-8000-000000000000", "order_not_found"),
        ("/v1/orders/00000000-0000-4000-8000-000000000000/events", "order_not_found"),
        ("/v1/users/USER-404", "user_not_found"),
        ("/v1/nothing", "not_found"),
    ] {
        let answer = app.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text("code")), (404, code), "{path}");
    }
}

#[tokio::test]
async fn lists_come_in_pages_that_show_each_once() {
    let app = App::empty().await;
    for number in 0..25 {
        app.declare(&format!("P-{number:02}"), 10).await;
    }
    let user = json!({"userId": "USER-1", "name": "Ana", "email": "ana@example.com"});
    assert_eq!(app.post("/v1/users", &user).await.status, 201);
    for number in 0..25 {
        let token = if number % 2 == 0 { "tok_ok" } else { "tok_unreachable" };
        let mut order = basket(1, token);
        order["items"][0]["productId"] = json!(format!("P-{number:02}"));
        assert_eq!(app.post("/v1/orders", &order).await.status, 202);
    }
    app.until("all decided", async || {
        let summary = app.get("/v1/stock/summary").await;
        let totals = &summary.body["totals"];
        (&totals["real"], &totals["reserved"]) == (&json!(237), &json!(12))
    })
    .await;
    for (path, items, id, count) in [
        ("/v1/stock?limit=7", "items", "productId", 25),
        ("/v1/stock?source=api&limit=25", "items", "productId", 25),
        ("/v1/stock?source=other&limit=7", "items", "productId", 0),
        ("/v1/stock/summary?limit=7", "products", "productId", 25),
        ("/v1/reservations?limit=7", "items", "reservationId", 25),
        ("/v1/reservations?limit=7&state=CONFIRMED", "items", "reservationId", 13),
        ("/v1/reservations?limit=3&state=RESERVED", "items", "reservationId", 12),
    ] {
        let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), String::new());
        for _ in 0..30 {
            let page = app.get(&format!("{path}&cursor={cursor}")).await;
            assert_eq!(page.status, 200, "{page:?}");
            for item in page.body[items].as_array().unwrap() {
                assert!(seen.insert(item[id].as_str().unwrap().to_owned()), "{path}: {item} twice");
            }
            match page.body["nextCursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        assert_eq!(seen.len(), count, "{path}");
    }
    let gone = app.get("/v1/reservations?cursor=999-a-3").await;
    assert_eq!((gone.status.as_u16(), gone.text("code")), (410, "cursor_gone"));
}

#[tokio::test]
async fn a_product_has_a_bounded_number_of_sources() {
    let app = App::empty().await;
    let declare = async |number: usize, received: u64| {
        let source = format!("source-{number}");
        app.call(Method::PUT, "/v1/stock/P", &[("x-stock-source", &source)], &declaration(received)).await
    };
    for number in 0..64 {
        assert_eq!(declare(number, 1).await.status, 200);
    }
    let refused = declare(64, 1).await;
    assert_eq!((refused.status.as_u16(), refused.text("code")), (409, "too_many_sources"));
    assert_eq!(declare(63, 2).await.body["real"], 65, "a known one goes on");
}

#[tokio::test]
async fn prices_have_the_places_of_their_currency() {
    let app = App::empty().await;
    let put = async |value: &str, currency: &str| {
        let price = json!({"value": value, "currency": currency});
        let body = json!({"name": "X", "unitPrice": price, "received": 1});
        app.put("/v1/stock/P", &body).await
    };
    for (value, currency, shown) in [("100", "JPY", "100"), ("1.25", "KWD", "1.250"), ("1.5", "USD", "1.50")]
    {
        let answer = put(value, currency).await;
        assert_eq!(answer.body["unitPrice"], json!({"value": shown, "currency": currency}), "{answer:?}");
        assert_eq!(app.get("/v1/stock/P").await.body, answer.body);
    }
    for (value, currency) in [
        ("100.50", "JPY"),
        ("100.0", "JPY"),
        ("1.2345", "KWD"),
        ("1.00", "XXX"),
        ("1.00", "XTS"),
        ("1.00", "ABC"),
    ] {
        let answer = put(value, currency).await;
        assert_eq!((answer.status.as_u16(), &answer.body["errors"][0]["field"]), (400, &json!("unitPrice")));
    }
}
