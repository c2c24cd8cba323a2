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
