//! At least a hundred thousand malformed requests over all routes: only 4xx, no panic, no effect.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request};
use futures::FutureExt;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::app::{App, basket};

/// Number of requests.
const REQUESTS: usize = 120_000;

/// Concurrent requests.
const AT_ONCE: usize = 64;

#[derive(Clone, Debug)]
struct Malformed {
    method: String,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
}

/// Routes with a body: method, path, a valid body.
fn writing() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("POST", "/v1/orders", basket(1, "tok_ok")),
        ("POST", "/v1/orders?wait=1ms", basket(1, "tok_ok")),
        (
            "PUT",
            "/v1/stock/PROD-001",
            json!({"name": "X", "unitPrice": "599.99", "received": 100, "lowStockThreshold": 1}),
        ),
        ("POST", "/v1/users", json!({"userId": "USER-9", "name": "Bo", "email": "bo@example.com"})),
        ("PUT", "/v1/users/USER-1/status", json!({"status": "BLOCKED"})),
    ]
}

/// Routes that only read, with a gap for a parameter.
const READING: &[&str] = &[
    "/v1/orders",
    "/v1/orders/summary",
    "/v1/stock",
    "/v1/stock/summary",
    "/v1/stock/PROD-001",
    "/v1/events",
    "/v1/reservations",
    "/v1/users/USER-1",
    "/v1/orders/00000000-0000-4000-8000-000000000000",
    "/v1/reservations/00000000-0000-4000-8000-000000000000",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
];

/// Routes with a parameter that must be an id.
const WITH_ID: &[(&str, &str)] = &[
    ("GET", "/v1/orders/"),
    ("DELETE", "/v1/orders/"),
    ("GET", "/v1/reservations/"),
    ("GET", "/v1/orders//events"),
    // A valid id belongs to nobody here.
    ("GET", "/v1/stock/"),
    ("GET", "/v1/users/"),
    ("PUT", "/v1/users//status"),
];

/// A value that is invalid for every field, whatever its type.
fn poison() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1.0e300..-1.0).prop_map(Value::from),
        (i64::MIN..0).prop_map(Value::from),
        (u64::MAX - 1000..=u64::MAX).prop_map(Value::from),
        "[ -~]{65,300}[\u{1}-\u{8}]".prop_map(Value::from),
        Just(json!("")),
        Just(json!("\u{0}")),
        Just(json!([[]])),
        Just(json!({"": {}})),
        (1usize..400).prop_map(|depth| (0..depth).fold(json!(1), |inner, _| json!([inner]))),
    ]
}

/// Every place in `value` that may be poisoned.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = format!("{path}/{name}");
                found.push(path.clone());
                places(field, &path, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}/{index}");
                found.push(path.clone());
                places(item, &path, found);
            }
        }
        _ => {}
    }
}

/// Fields that may be null, as if they were absent.
const OPTIONAL: &[&str] = &["token", "lowStockThreshold"];

fn poisoned(mut body: Value, pick: prop::sample::Index, poison: &Value) -> Value {
    let mut found = Vec::new();
    places(&body, "", &mut found);
    if poison.is_null() {
        found.retain(|place| !OPTIONAL.iter().any(|name| place.ends_with(name)));
    }
    let place = pick.get(&found);
    if let Some(target) = body.pointer_mut(place) {
        *target = poison.clone();
    }
    body
}

fn json_headers() -> Vec<(HeaderName, HeaderValue)> {
    vec![(HeaderName::from_static("content-type"), HeaderValue::from_static("application/json"))]
}

fn request(method: &str, path: &str, body: Vec<u8>) -> Malformed {
    Malformed { method: method.into(), path: path.into(), headers: json_headers(), body }
}

fn with_body(body: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Malformed> {
    (prop::sample::select(writing()), body).prop_map(|((method, path, _), body)| request(method, path, body))
}

/// A valid body with one invalid value.
fn bent_json() -> impl Strategy<Value = Malformed> {
    let route = prop::sample::select(writing());
    (route, any::<prop::sample::Index>(), poison()).prop_map(|((method, path, good), pick, poison)| {
        let body = poisoned(good, pick, &poison);
        request(method, path, body.to_string().into_bytes())
    })
}

fn extra_field() -> impl Strategy<Value = Malformed> {
    (prop::sample::select(writing()), "x[a-zA-Z0-9]{1,20}", poison()).prop_map(
        |((method, path, mut good), name, value)| {
            good[name.as_str()] = value;
            request(method, path, good.to_string().into_bytes())
        },
    )
}

/// A body that is cut off, or contains a byte that is not UTF-8.
fn broken_json() -> impl Strategy<Value = Malformed> {
    (prop::sample::select(writing()), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |((method, path, good), at, cut)| {
            let mut body = good.to_string().into_bytes();
            let at = at.index(body.len());
            if cut {
                body.truncate(at);
            } else {
                body[at] = 0xff;
            }
            request(method, path, body)
        },
    )
}

fn bad_header() -> impl Strategy<Value = Malformed> {
    let value = prop_oneof![
        prop::collection::vec(prop_oneof![Just(9u8), 32u8..=44, 128u8..=255], 1..200),
        Just(vec![b'k'; 65]),
        Just(b"a/b".to_vec()),
    ];
    let name = prop::sample::select(vec![
        ("POST", "/v1/orders", "idempotency-key"),
        ("PUT", "/v1/stock/PROD-001", "x-stock-source"),
        ("GET", "/v1/events", "last-event-id"),
    ]);
    (name, value).prop_filter_map("not a header value", |((method, path, name), value)| {
        let good =
            writing().into_iter().find(|(m, p, _)| (*m, *p) == (method, path)).map(|(_, _, body)| body);
        let mut malformed =
            request(method, path, good.map(|body| body.to_string().into_bytes()).unwrap_or_default());
        malformed.headers.push((HeaderName::from_static(name), HeaderValue::from_bytes(&value).ok()?));
        Some(malformed)
    })
}

fn bad_content_type() -> impl Strategy<Value = Malformed> {
    (prop::sample::select(writing()), "[ -~]{0,60}").prop_filter_map(
        "good after all",
        |((method, path, good), value)| {
            let value = HeaderValue::from_str(&format!("text/{value}")).ok()?;
            let mut malformed = request(method, path, good.to_string().into_bytes());
            malformed.headers = vec![(HeaderName::from_static("content-type"), value)];
            Some(malformed)
        },
    )
}

fn bad_query() -> impl Strategy<Value = Malformed> {
    (prop::sample::select(READING), "[a-zA-Z%=&+.0-9]{0,40}")
        .prop_map(|(path, junk)| request("GET", &format!("{path}?zz{junk}=1"), Vec::new()))
}

fn bad_id() -> impl Strategy<Value = Malformed> {
    (prop::sample::select(WITH_ID), "(%[0-9A-F]{2}|[a-zA-Z0-9~!$'()*,;:@-]){1,90}").prop_filter_map(
        "a valid id",
        |((method, path), id)| {
            let path = match path.split_once("//") {
                Some((before, after)) => format!("{before}/{id}/{after}"),
                None => format!("{path}{id}"),
            };
            // A route with this name exists.
            let body = if method == "PUT" { br#"{"status": "BLOCKED"}"#.to_vec() } else { Vec::new() };
            (id != "summary").then(|| request(method, &path, body))
        },
    )
}

fn bad_route() -> impl Strategy<Value = Malformed> {
    let method = prop_oneof!["[A-Z]{1,12}", Just("GET".to_owned()), Just("POST".to_owned())];
    (method, "/[a-z0-9%/.~-]{0,80}").prop_filter_map("a route", |(method, path)| {
        let known = READING.contains(&path.as_str()) || path.starts_with("/v1") || path == "/openapi.json";
        (!known).then(|| request(&method, &path, Vec::new()))
    })
}

fn bad_method() -> impl Strategy<Value = Malformed> {
    (prop::sample::select(READING), "X[A-Z]{1,20}")
        .prop_map(|(path, method)| request(&method, path, Vec::new()))
}

fn malformed() -> impl Strategy<Value = Malformed> {
    prop_oneof![
        4 => with_body(prop::collection::vec(any::<u8>(), 0..200)),
        1 => with_body((1usize..3000).prop_map(|depth| vec![b'['; depth])),
        1 => with_body("-?[1-9][0-9]{0,400}(e[0-9]{1,5})?".prop_map(String::into_bytes)),
        8 => bent_json(),
        4 => extra_field(),
        4 => broken_json(),
        3 => bad_header(),
        2 => bad_content_type(),
        2 => bad_query(),
        3 => bad_id(),
        2 => bad_route(),
        1 => bad_method(),
    ]
}

async fn send(app: &App, malformed: Malformed) -> Result<(), String> {
    let mut request = Request::builder().method(malformed.method.as_str()).uri(&malformed.path);
    for (name, value) in &malformed.headers {
        request = request.header(name, value);
    }
    // Whatever the types of the HTTP library refuse never reaches our server.
    let Ok(request) = request.body(Body::from(malformed.body.clone())) else { return Ok(()) };
    let answer = AssertUnwindSafe(app.router.clone().oneshot(request)).catch_unwind().await;
    match answer {
        Err(_) => Err(format!("panic: {malformed:?}")),
        Ok(Ok(answer)) if answer.status().is_client_error() => Ok(()),
        Ok(Ok(answer)) => {
            Err(format!("{}: {malformed:?} {}", answer.status(), String::from_utf8_lossy(&malformed.body)))
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_requests_are_refused_without_any_effect() {
    let app = App::open().await;
    app.settled().await;
    let (ends, stock) = (app.ends().await, app.get("/v1/stock/summary").await.body);
    let seed = std::env::var("KBNT_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1_u64);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let (strategy, start) = (malformed(), Instant::now());
    for _ in 0..REQUESTS / AT_ONCE {
        let some: Vec<_> = (0..AT_ONCE).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
        for outcome in
            futures::future::join_all(some.into_iter().map(|malformed| send(&app, malformed))).await
        {
            outcome.unwrap();
        }
    }
    assert_eq!(app.ends().await, ends, "nothing was written");
    assert_eq!(app.get("/v1/stock/summary").await.body, stock);
    println!("{REQUESTS} requests in {:?}", start.elapsed());
}
