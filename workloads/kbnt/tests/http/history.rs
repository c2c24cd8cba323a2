//! Orders that the read model in memory has forgotten, from the history on disk.

use std::collections::BTreeSet;
use std::path::Path;

use axum::http::Method;
use kbnt_embedded::EmbeddedLog;
use kbnt_wire::text::instant;
use serde_json::Value;

use crate::app::{Answer, App};

/// Which orders a filter finds.
type Which<'a> = &'a dyn Fn(&Answer) -> bool;

/// A shop whose read model forgets an order as soon as another one has ended, with its log and its history in this directory.
async fn open(directory: &Path) -> App {
    let log = EmbeddedLog::open(&directory.join("log")).unwrap();
    App::remembering_on_disk(log, &directory.join("history")).await
}

/// Places so many orders, one after the other; some are declined.
async fn place(app: &App, orders: u32) -> Vec<Answer> {
    app.stock_up().await;
    let mut placed = Vec::new();
    for n in 0..orders {
        let token = if n % 3 == 0 { "tok_decline" } else { "tok_ok" };
        placed.push(app.order(&format!("k-{n}"), u64::from(n % 4 + 1), token).await);
    }
    placed
}

fn path(order: &Answer) -> String {
    format!("/v1/orders/{}", order.text("orderId"))
}

/// All orders of a list, page by page.
async fn listed(app: &App, filter: &str) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("/v1/orders?limit=4&cursor={cursor}{filter}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.header("kbnt-as-of").and_then(|at| instant(at).ok()).is_some(), "{:?}", page.headers);
        let items = page.body["items"].as_array().unwrap();
        seen.extend(items.iter().map(|item| item["orderId"].as_str().unwrap().to_owned()));
        match page.body["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return seen,
        }
    }
}

async fn caught_up(app: &App) {
    app.until("the history has caught up", async || {
        app.get("/v1/orders").await.header("kbnt-as-of").is_some()
    })
    .await;
}

#[tokio::test]
async fn an_order_that_is_forgotten_is_still_shown_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let app = open(directory.path()).await;
    let placed = place(&app, 12).await;
    app.settled().await;
    caught_up(&app).await;
    let shown = |order: &Value| {
        let mut order = order.clone();
        // More has happened to it since: the customer was told.
        order["timeline"] = Value::Null;
        order
    };
    let first = app.get(&path(&placed[0])).await;
    assert_eq!(shown(&first.body), shown(&placed[0].body));
    assert!(first.header("kbnt-as-of").is_some(), "the read model has forgotten it");
    assert!(
        app.get(&path(&placed[11])).await.header("kbnt-as-of").is_none(),
        "it has not forgotten this one"
    );
    let before = first.body;
    drop(app);

    let app = crate::app::reopened(async || {
        let log = EmbeddedLog::open(&directory.path().join("log")).ok()?;
        Some(App::remembering_on_disk(log, &directory.path().join("history")).await)
    })
    .await;
    caught_up(&app).await;
    for order in &placed {
        let again = app.get(&path(order)).await;
        assert_eq!((again.status.as_u16(), shown(&again.body)), (200, shown(&order.body)));
    }
    assert_eq!(app.get(&path(&placed[0])).await.body, before, "with its timeline");
    let none = app.get("/v1/orders/00000000-0000-4000-8000-000000000000").await;
    assert_eq!((none.status.as_u16(), none.text("code")), (404, "order_not_found"));
    assert!(none.header("kbnt-as-of").is_some(), "until then there was none");
}

#[tokio::test]
async fn every_order_is_listed_once_and_filters_find_theirs() {
    let directory = tempfile::tempdir().unwrap();
    let app = open(directory.path()).await;
    caught_up(&app).await;
    let placed = place(&app, 13).await;
    let ids = |which: &dyn Fn(&Answer) -> bool| -> BTreeSet<String> {
        placed.iter().filter(|order| which(order)).map(|order| order.text("orderId").to_owned()).collect()
    };
    let all = listed(&app, "").await;
    assert_eq!(all.len(), 13, "who has placed an order finds it at once");
    assert_eq!(all.iter().cloned().collect::<BTreeSet<_>>(), ids(&|_| true));
    let amount = |order: &Answer| order.body["amount"]["value"].as_str().unwrap().parse::<f64>().unwrap();
    let filters: [(&str, Which<'_>); 9] = [
        ("&user=USER-1", &|_| true),
        ("&user=USER-2", &|_| false),
        ("&product=PROD-001&status=CONFIRMED", &|order| order.text("status") == "CONFIRMED"),
        ("&product=PROD-002", &|_| false),
        ("&reason=PAYMENT_DECLINED", &|order| order.text("status") == "CANCELLED"),
        ("&minAmount=1199.98&maxAmount=1799.97", &|order| (1199.98..=1799.97).contains(&amount(order))),
        ("&from=2020-01-01T00:00:00Z&to=2999-01-01T00:00:00%2B03:00", &|_| true),
        ("&to=2020-01-01T00:00:00Z", &|_| false),
        ("&from=2999-01-01T00:00:00Z", &|_| false),
    ];
    for (filter, which) in filters {
        let found: BTreeSet<String> = listed(&app, filter).await.into_iter().collect();
        assert_eq!(found, ids(which), "{filter}");
    }
}

#[tokio::test]
async fn bad_filters_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let app = open(directory.path()).await;
    let long = format!("user={}", "a".repeat(65));
    for (query, field) in [
        ("user=", "user"),
        ("user=a%20b", "user"),
        (long.as_str(), "user"),
        ("product=%27%3B%20DROP%20TABLE%20orders%3B--", "product"),
        ("status=paid", "status"),
        ("reason=because", "reason"),
        ("from=yesterday", "from"),
        ("from=2026-01-31", "from"),
        ("from=9999-12-31T23:59:59-03:00", "from"),
        ("from=2026-01-31T12:00:00Z&to=2026-01-31T12:00:00Z", "to"),
        ("minAmount=-1", "minAmount"),
        ("minAmount=1e9", "minAmount"),
        ("maxAmount=0.00001", "maxAmount"),
        ("maxAmount=99999999999999999", "maxAmount"),
        ("minAmount=2&maxAmount=1.99", "maxAmount"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=1_%00", "cursor"),
        ("user=a&user=b", "user"),
        ("sort=amount", "sort"),
    ] {
        let answer = app.get(&format!("/v1/orders?{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.text("code")), (400, "invalid_request"), "{query}");
        assert_eq!(answer.body["errors"][0]["field"], field, "{query}");
    }
}

#[tokio::test]
async fn without_a_history_nothing_is_searched() {
    let app = App::empty().await;
    let answer = app.get("/v1/orders?user=USER-1").await;
    assert_eq!((answer.status.as_u16(), answer.text("code")), (400, "invalid_request"));
    assert_eq!(app.get("/v1/orders?status=PENDING").await.status, 200);
}

#[tokio::test]
async fn the_history_of_another_log_is_not_believed() {
    let directory = tempfile::tempdir().unwrap();
    let app = open(directory.path()).await;
    let placed = place(&app, 4).await;
    app.settled().await;
    caught_up(&app).await;
    drop(app);
    let other = tempfile::tempdir().unwrap();
    let app = crate::app::reopened(async || {
        let log = EmbeddedLog::open(&other.path().join("log")).ok()?;
        Some(App::remembering_on_disk(log, &directory.path().join("history")).await)
    })
    .await;
    caught_up(&app).await;
    assert_eq!(app.get(&path(&placed[0])).await.status, 404);
    assert!(listed(&app, "").await.is_empty());
    assert!(directory.path().join("history/history-refused.sqlite").exists());
}

#[tokio::test]
async fn a_history_that_is_damaged_is_built_anew_from_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let app = open(directory.path()).await;
    let placed = place(&app, 5).await;
    app.settled().await;
    caught_up(&app).await;
    let before = listed(&app, "").await;
    drop(app);
    let app = crate::app::reopened(async || {
        let log = EmbeddedLog::open(&directory.path().join("log")).ok()?;
        let file = directory.path().join("history/history.sqlite");
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0x5a);
        std::fs::write(&file, bytes).unwrap();
        // What was not moved into the file yet is in the log beside it.
        let _ = std::fs::remove_file(directory.path().join("history/history.sqlite-wal"));
        Some(App::remembering_on_disk(log, &directory.path().join("history")).await)
    })
    .await;
    caught_up(&app).await;
    assert_eq!(listed(&app, "").await, before);
    assert_eq!(app.get(&path(&placed[0])).await.text("status"), placed[0].text("status"));
    assert!(directory.path().join("history/history-refused.sqlite").exists());
}

/// Six orders, all but the last of which only the history knows.
async fn forgotten(directory: &Path) -> (App, Vec<Answer>) {
    let app = open(directory).await;
    let placed = place(&app, 6).await;
    app.settled().await;
    caught_up(&app).await;
    for order in &placed[..5] {
        app.until("the history knows how it ended", async || {
            let shown = app.get(&path(order)).await;
            shown.header("kbnt-as-of").is_some() && shown.text("status") != "PENDING"
        })
        .await;
    }
    (app, placed)
}

#[tokio::test]
async fn the_same_key_is_the_same_order_however_long_ago_it_ended() {
    let directory = tempfile::tempdir().unwrap();
    let (app, placed) = forgotten(directory.path()).await;
    let before = app.ends().await;
    for (n, token) in [(0, "tok_decline"), (1, "tok_ok")] {
        let first = &placed[n];
        let key = format!("k-{n}");
        let units = (n % 4 + 1) as u64;
        let again = app.order(&key, units, token).await;
        assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (200, Some("true")));
        for field in ["orderId", "status", "reason", "amount", "reservationId"] {
            assert_eq!(again.body[field], first.body[field], "{field}");
        }
        let headers = [("idempotency-key", key.as_str())];
        let body = crate::app::basket(units, token);
        let unwaited = app.call(Method::POST, "/v1/orders", &headers, &body).await;
        assert_eq!((unwaited.status.as_u16(), unwaited.header("idempotent-replayed")), (202, Some("true")));
        assert_eq!(unwaited.body["status"], first.body["status"], "its real state");
        let other = app.order(&key, units + 1, token).await;
        assert_eq!((other.status.as_u16(), other.text("code")), (409, "idempotency_conflict"));
    }
    assert_eq!(app.ends().await, before, "nothing was written");
    let new = app.order("k-6", 1, "tok_ok").await;
    assert_eq!((new.status.as_u16(), new.header("idempotent-replayed")), (200, None));
}

#[tokio::test]
async fn cancelling_an_order_of_long_ago_is_answered_by_how_it_ended() {
    let directory = tempfile::tempdir().unwrap();
    let (app, placed) = forgotten(directory.path()).await;
    let before = app.ends().await;
    let confirmed = app.delete(&path(&placed[1])).await;
    assert_eq!((confirmed.status.as_u16(), confirmed.text("code")), (409, "order_already_confirmed"));
    let cancelled = app.delete(&path(&placed[0])).await;
    assert_eq!((cancelled.status.as_u16(), cancelled.text("status")), (202, "CANCELLED"));
    let unknown = app.delete("/v1/orders/00000000-0000-4000-8000-000000000000").await;
    assert_eq!((unknown.status.as_u16(), unknown.text("code")), (404, "order_not_found"));
    assert_eq!(app.ends().await, before, "nothing was written");
}
