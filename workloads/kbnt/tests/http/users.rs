//! Users.

use serde_json::{Value, json};

use crate::app::{App, basket};

fn ana(name: &str) -> Value {
    json!({"userId": "USER-7", "name": name, "email": "ana@example.com"})
}

#[tokio::test]
async fn users_are_added_changed_and_blocked() {
    let app = App::empty().await;
    app.declare("PROD-001", 10).await;
    let order = json!({
        "userId": "USER-7",
        "items": [{"productId": "PROD-001", "quantity": 1}],
        "payment": {"method": "pix"},
    });
    let unknown = app.post("/v1/orders?wait=10s", &order).await;
    assert_eq!((unknown.text("status"), unknown.text("reason")), ("REJECTED", "USER_NOT_FOUND"));
    let added = app.post("/v1/users", &ana("Ana")).await;
    assert_eq!((added.status.as_u16(), added.header("location")), (201, Some("/v1/users/USER-7")));
    let expected = json!({"userId": "USER-7", "name": "Ana", "email": "ana@example.com", "status": "ACTIVE"});
    assert_eq!(added.body, expected);
    assert_eq!(app.post("/v1/users", &ana("Ana")).await.status, 200, "the same again");
    let changed = app.post("/v1/users", &ana("Anna")).await;
    assert_eq!((changed.status.as_u16(), changed.text("name")), (200, "Anna"));
    assert_eq!(app.get("/v1/users/USER-7").await.body, changed.body);
    assert_eq!(app.post("/v1/orders?wait=10s", &order).await.text("status"), "CONFIRMED");
    let blocked = app.put("/v1/users/USER-7/status", &json!({"status": "BLOCKED"})).await;
    assert_eq!((blocked.status.as_u16(), blocked.text("status")), (200, "BLOCKED"));
    let refused = app.post("/v1/orders?wait=10s", &order).await;
    assert_eq!((refused.text("status"), refused.text("reason")), ("REJECTED", "USER_BLOCKED"));
    let active = app.put("/v1/users/USER-7/status", &json!({"status": "ACTIVE"})).await;
    assert_eq!(active.text("status"), "ACTIVE");
    assert_eq!(app.post("/v1/orders?wait=10s", &order).await.text("status"), "CONFIRMED");
    let nobody = app.put("/v1/users/USER-8/status", &json!({"status": "BLOCKED"})).await;
    assert_eq!((nobody.status.as_u16(), nobody.text("code")), (404, "user_not_found"));
}

#[tokio::test]
async fn a_process_that_stops_is_unready_and_takes_nothing_more() {
    let app = App::open().await;
    assert_eq!(app.get("/healthz").await.status, 200);
    app.shutdown.cancel();
    let unready = app.get("/readyz").await;
    assert_eq!((unready.status.as_u16(), &unready.body["ready"]), (503, &json!(false)));
    let refused = app.post("/v1/orders", &basket(1, "tok_ok")).await;
    assert_eq!((refused.status.as_u16(), refused.text("code")), (503, "not_ready"));
    assert_eq!(app.get("/healthz").await.status, 200, "it lives until it has stopped");
}
