//! Invalid input gets a 4xx response that names the field, and has no effect.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::{App, basket};

const ORDERS: &str = "/v1/orders";
const STOCK: &str = "/v1/stock/PROD-001";
const NO_ORDER: &str = "/v1/orders/00000000-0000-4000-8000-000000000000";

/// `base` with `value` at `pointer`.
fn with(mut base: Value, pointer: &str, value: Value) -> Value {
    *base.pointer_mut(pointer).unwrap() = value;
    base
}

fn order() -> Value {
    basket(1, "tok_ok")
}

fn stock() -> Value {
    json!({"name": "Smartphone X", "unitPrice": "599.99", "received": 100})
}

fn plus(mut base: Value, field: &str, value: Value) -> Value {
    base[field] = value;
    base
}

fn less(mut base: Value, field: &str) -> Value {
    base.as_object_mut().unwrap().remove(field).unwrap();
    base
}

/// Method, path, body, and the field that the problem must name.
fn bodies() -> Vec<(Method, &'static str, Value, &'static str)> {
    let (post, put) = (Method::POST, Method::PUT);
    let line = json!({"productId": "PROD-001", "quantity": 1});
    let user = || json!({"userId": "USER-2", "name": "Bo", "email": "bo@example.com"});
    vec![
        (post.clone(), ORDERS, plus(order(), "colour", json!(1)), "colour"),
        (post.clone(), ORDERS, less(order(), "userId"), "userId"),
        (post.clone(), ORDERS, with(order(), "/userId", json!("a b")), "userId"),
        (post.clone(), ORDERS, with(order(), "/userId", json!("x".repeat(65))), "userId"),
        (post.clone(), ORDERS, with(order(), "/userId", json!(".")), "userId"),
        (post.clone(), ORDERS, with(order(), "/userId", json!("..")), "userId"),
        (post.clone(), ORDERS, with(order(), "/items", json!([])), "items"),
        (post.clone(), ORDERS, with(order(), "/items", json!(vec![line.clone(); 101])), "items"),
        (post.clone(), ORDERS, with(order(), "/items/0/quantity", json!(0)), "items[0].quantity"),
        (post.clone(), ORDERS, with(order(), "/items/0/quantity", json!(1_000_001)), "items[0].quantity"),
        (post.clone(), ORDERS, with(order(), "/items/0/quantity", json!(-1)), "items[0].quantity"),
        (post.clone(), ORDERS, with(order(), "/items/0/quantity", json!(1.5)), "items[0].quantity"),
        (post.clone(), ORDERS, with(order(), "/items/0/quantity", json!("1")), "items[0].quantity"),
        (post.clone(), ORDERS, with(order(), "/items/0/productId", json!("")), "items[0].productId"),
        (post.clone(), ORDERS, with(order(), "/items/0", plus(line, "price", json!(1))), "items[0].price"),
        (post.clone(), ORDERS, with(order(), "/payment", json!(null)), "payment"),
        (post.clone(), ORDERS, with(order(), "/payment/method", json!("")), "payment.method"),
        (post.clone(), ORDERS, with(order(), "/payment/token", json!("a\nb")), "payment.token"),
        (
            post.clone(),
            ORDERS,
            with(order(), "/payment", json!({"method": "m", "card": "4"})),
            "payment.card",
        ),
        (post.clone(), ORDERS, json!([]), "body"),
        (post.clone(), ORDERS, json!(["USER-1", [["PROD-001", 1]], ["credit_card", null]]), "body"),
        (post.clone(), ORDERS, with(order(), "/items/0", json!(["PROD-001", 1])), "items[0]"),
        (post.clone(), ORDERS, with(order(), "/payment", json!(["credit_card", null])), "payment"),
        (put.clone(), "/v1/users/USER-1/status", json!({"status": {"ACTIVE": null}}), "status"),
        (put.clone(), STOCK, with(stock(), "/received", json!(-1)), "received"),
        (put.clone(), STOCK, with(stock(), "/received", json!(9_007_199_254_740_993_u64)), "received"),
        (put.clone(), STOCK, with(stock(), "/received", json!(1e300)), "received"),
        (put.clone(), STOCK, with(stock(), "/unitPrice", json!(599.99)), "unitPrice"),
        (put.clone(), STOCK, with(stock(), "/unitPrice", json!("1.234")), "unitPrice"),
        (put.clone(), STOCK, with(stock(), "/unitPrice", json!("99999999999999999999")), "unitPrice"),
        (
            put.clone(),
            STOCK,
            with(stock(), "/unitPrice", json!({"value": "1", "currency": "brl"})),
            "unitPrice",
        ),
        (put.clone(), STOCK, with(stock(), "/unitPrice", json!({"value": "1".repeat(15)})), "unitPrice"),
        (put.clone(), STOCK, with(stock(), "/unitPrice", json!({"value": 1})), "unitPrice.value"),
        (put.clone(), STOCK, with(stock(), "/name", json!(" ")), "name"),
        (put.clone(), STOCK, with(stock(), "/name", json!("x".repeat(201))), "name"),
        (put.clone(), STOCK, plus(stock(), "lowStockThreshold", json!(-1)), "lowStockThreshold"),
        (put.clone(), "/v1/stock/a%20b", stock(), "productId"),
        (put.clone(), "/v1/stock/%FF", stock(), "path"),
        (post.clone(), "/v1/users", with(user(), "/email", json!("nobody")), "email"),
        (post.clone(), "/v1/users", with(user(), "/name", json!("")), "name"),
        (post, "/v1/users", less(user(), "email"), "email"),
        (put, "/v1/users/USER-1/status", json!({"status": "active"}), "status"),
    ]
}

#[tokio::test]
async fn the_wrong_field_of_a_body_is_named() {
    let app = App::open().await;
    app.settled().await;
    let ends = app.ends().await;
    for (method, path, body, field) in bodies() {
        let answer = app.call(method, path, &[], &body).await;
        assert_eq!((answer.status.as_u16(), answer.text("code")), (400, "invalid_request"), "{path} {body}");
        assert_eq!(answer.body["errors"][0]["field"], field, "{path} {body}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.text("type"), "urn:kbnt:problem:invalid_request");
    }
    assert_eq!(app.ends().await, ends, "nothing was written");
}

#[tokio::test]
async fn the_wrong_parameter_is_named() {
    let app = App::open().await;
    for (path, field) in [
        ("/v1/orders?status=DONE", "status"),
        ("/v1/orders?limit=0", "limit"),
        ("/v1/orders?limit=201", "limit"),
        ("/v1/orders?limit=x", "limit"),
        ("/v1/orders?cursor=x", "cursor"),
        ("/v1/orders?colour=x", "colour"),
        ("/v1/orders?limit=5&limit=6", "limit"),
        ("/v1/orders/nonsense", "orderId"),
        ("/v1/orders/nonsense/events", "orderId"),
        ("/v1/orders/summary?wait=61s&since=x", "wait"),
        ("/v1/stock/summary?wait=soon&since=x", "wait"),
        ("/v1/orders/summary?since=x&wait=1%20s", "wait"),
        ("/v1/stock/summary?since=x&wait=1.5s", "wait"),
        ("/v1/orders/summary?since=x&wait=1s1s", "wait"),
        ("/v1/orders?limit=%2B5", "limit"),
        ("/v1/orders?cursor=007_00000000-0000-4000-8000-000000000000", "cursor"),
        ("/v1/orders?cursor=7_00000000000040008000000000000000", "cursor"),
        ("/v1/stock?cursor=7_00000000-0000-4000-8000-000000000000", "cursor"),
        ("/v1/stock?cursor=1-a-3", "cursor"),
        ("/v1/stock/summary?cursor=PROD-001", "cursor"),
        ("/v1/reservations?cursor=01-a-3", "cursor"),
        ("/v1/reservations?cursor=1-e-456192784266", "cursor"),
        ("/v1/reservations?cursor=product:PROD-001", "cursor"),
        ("/v1/orders/00000000000040008000000000000000", "orderId"),
        ("/v1/orders/%7B00000000-0000-4000-8000-000000000000%7D", "orderId"),
        ("/v1/orders/urn:uuid:00000000-0000-4000-8000-000000000000", "orderId"),
        ("/v1/orders/urn:uuid:00000000-0000-4000-8000-000000000000/events", "orderId"),
        ("/v1/reservations/00000000000040008000000000000000", "reservationId"),
        ("/v1/stock?x=1", "x"),
        ("/v1/events?from=yesterday", "from"),
        ("/v1/reservations?state=HELD", "state"),
        ("/v1/reservations?productId=%20", "productId"),
        ("/v1/reservations/nonsense", "reservationId"),
        ("/v1/users/a%2Fb", "userId"),
        ("/healthz?x=1", "x"),
        ("/openapi.json?x=1", "x"),
        ("/v1/orders?status=", "status"),
        ("/v1/orders?limit=", "limit"),
        ("/v1/orders/summary?since=x&wait=", "wait"),
        ("/v1/stock?limit=0", "limit"),
        ("/v1/stock?limit=1001", "limit"),
        ("/v1/stock?source=", "source"),
        ("/v1/stock?cursor=%20", "cursor"),
        ("/v1/events?from=", "from"),
        ("/v1/reservations?state=", "state"),
        ("/v1/reservations?productId=", "productId"),
        ("/v1/reservations?cursor=1-x-1", "cursor"),
    ] {
        let answer = app.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text("code")), (400, "invalid_request"), "{path}");
        assert_eq!(answer.body["errors"][0]["field"], field, "{path}");
    }
}

#[tokio::test]
async fn the_wrong_header_is_named() {
    let app = App::open().await;
    let long = "k".repeat(65);
    for value in ["", "a b", "ç", long.as_str(), "a/b", "\"\"", "\"a", "\"", "\"a\"b\""] {
        let headers = [("idempotency-key", value)];
        let answer = app.call(Method::POST, ORDERS, &headers, &order()).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["errors"][0]["field"]),
            (400, &json!("idempotency-key"))
        );
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    assert_eq!(app.call(Method::POST, ORDERS, &twice, &order()).await.status, 400);
    let answer = app.call(Method::PUT, STOCK, &[("x-stock-source", "a b")], &stock()).await;
    assert_eq!((answer.status.as_u16(), &answer.body["errors"][0]["field"]), (400, &json!("x-stock-source")));
    let answer = app.call(Method::GET, "/v1/events", &[("last-event-id", "x")], &Value::Null).await;
    assert_eq!((answer.status.as_u16(), &answer.body["errors"][0]["field"]), (400, &json!("last-event-id")));
}

#[tokio::test]
async fn whatever_is_wrong_with_the_request_itself_is_a_problem_too() {
    let app = App::open().await;
    let json = "application/json";
    let huge = format!("\"{}\"", "x".repeat(kbnt_http::BODY_MOST));
    let deep = "[".repeat(100_000);
    for (method, path, content_type, body, status, code) in [
        ("POST", ORDERS, json, huge.as_str(), 413, "body_too_large"),
        ("POST", ORDERS, json, deep.as_str(), 400, "invalid_request"),
        ("POST", ORDERS, json, "", 400, "invalid_request"),
        ("POST", ORDERS, json, "{", 400, "invalid_request"),
        ("POST", ORDERS, json, "{} {}", 400, "invalid_request"),
        ("POST", ORDERS, "text/plain", "{}", 415, "unsupported_media_type"),
        ("POST", ORDERS, "", "{}", 415, "unsupported_media_type"),
        ("PATCH", ORDERS, json, "{}", 405, "method_not_allowed"),
        ("POST", NO_ORDER, json, "{}", 405, "method_not_allowed"),
        ("BREW", STOCK, json, "{}", 405, "method_not_allowed"),
        ("GET", "/v2/orders", json, "", 404, "not_found"),
        ("GET", "/v1/orders/", json, "", 404, "not_found"),
    ] {
        let request = Request::builder().method(method).uri(path).header("content-type", content_type);
        let answer = app.send(request.body(Body::from(body.to_owned())).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.text("code")), (status, code), "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
        assert_eq!(answer.body["status"], status, "{method} {path}");
        assert!(status != 405 || answer.header("allow").is_some(), "{method} {path}");
    }
    let utf8 =
        Request::post(ORDERS).header("content-type", json).body(Body::from(&b"{\"userId\":\"\xff\"}"[..]));
    assert_eq!(app.send(utf8.unwrap()).await.status, 400);
}

#[tokio::test]
async fn errors_repeat_little_of_what_was_sent() {
    let app = App::open().await;
    let long = "é\u{1}".repeat(100_000);
    let unknown: Vec<_> = (0..3000).map(|number| format!("&x{number}=1")).collect();
    let unknown = unknown.concat();
    let user = json!({"userId": "USER-2", "name": "Bo", "email": "bo@example.com"});
    let mut answers = vec![
        app.post(ORDERS, &with(order(), "/userId", json!(long))).await,
        app.post(ORDERS, &plus(order(), &long, json!(1))).await,
        app.post(ORDERS, &with(order(), "/payment/method", json!(long))).await,
        app.put(STOCK, &with(stock(), "/unitPrice", json!({&long: 1}))).await,
        app.put(STOCK, &with(stock(), "/name", json!([long]))).await,
        app.put("/v1/users/USER-1/status", &json!({"status": long})).await,
        app.post("/v1/users", &with(user, "/email", json!(long))).await,
        app.get(&format!("/v1/orders?{}=1", "y".repeat(30_000))).await,
        app.get(&format!("/v1/orders?x=1{unknown}")).await,
        app.get(&format!("/v1/orders?limit={}", "9".repeat(30_000))).await,
        app.get(&format!("/v1/users/{}", "y".repeat(30_000))).await,
    ];
    let headers = [("x-stock-source", "z".repeat(30_000))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    answers.push(app.call(Method::PUT, STOCK, &headers, &stock()).await);
    for answer in answers {
        assert_eq!(answer.status, 400, "{:.300?}", answer.body);
        assert!(answer.body.to_string().len() < 16_384, "{}", answer.body.to_string().len());
        assert_eq!(answer.text("code"), "invalid_request");
    }
}

#[tokio::test]
async fn bodies_come_as_they_are() {
    let app = App::open().await;
    let send = async |encoding: &str, kind: &str, body: Vec<u8>| {
        let request = Request::put(STOCK).header("content-type", kind).header("content-encoding", encoding);
        app.send(request.body(Body::from(body)).unwrap()).await
    };
    let body = stock().to_string();
    for encoding in ["gzip", "br", "identity, gzip", "x"] {
        let answer = send(encoding, "application/json", body.clone().into_bytes()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text("code")),
            (415, "unsupported_media_type"),
            "{encoding}"
        );
        assert_eq!(answer.header("accept-encoding"), Some("identity"));
    }
    for kind in ["application/json", "application/json; charset=utf8", "application/json; charset=\"UTF-8\""]
    {
        let marked = [b"\xef\xbb\xbf", body.as_bytes()].concat();
        assert_eq!(send("identity", kind, marked).await.status, 200, "{kind}");
    }
}

#[tokio::test]
async fn a_body_that_says_that_it_is_too_large_is_not_asked_for() {
    let app = App::open().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = kbnt_http::Limits::default();
    tokio::spawn(kbnt_http::serve(listener, app.router.clone(), limits, app.shutdown.clone()));
    for (method, path) in [("POST", ORDERS), ("PUT", STOCK), ("POST", "/v1/users")] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2000000\r\nexpect: 100-continue\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(crate::app::DEADLINE, socket.read_to_end(&mut answer)).await;
        read.expect("never closed").unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 413 ") && answer.contains("connection: close"),
            "{path}: {answer}"
        );
    }
    let mut socket = TcpStream::connect(address).await.unwrap();
    let body = stock().to_string();
    let head = format!(
        "PUT {STOCK} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    socket.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100", "one that fits is");
    socket.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("HTTP/1.1 200 "), "{answer}");
}
