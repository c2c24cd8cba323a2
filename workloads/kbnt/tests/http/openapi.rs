//! The description of the API covers exactly the existing routes.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use crate::app::App;

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "patch", "options", "trace"];

/// The described paths and methods.
async fn described(app: &App) -> (Value, BTreeMap<String, BTreeSet<String>>) {
    let answer = app.get("/openapi.json").await;
    assert_eq!(answer.status, 200);
    let paths = answer.body["paths"].as_object().unwrap();
    let routes = paths
        .iter()
        .map(|(path, item)| {
            let methods = METHODS.iter().filter(|method| item.get(**method).is_some());
            (path.clone(), methods.map(|method| (*method).to_owned()).collect())
        })
        .collect();
    (answer.body.clone(), routes)
}

/// A path with a value for its parameter.
fn filled(path: &str) -> String {
    let mut parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}/{part}"))
}

#[tokio::test]
async fn every_described_route_is_there_and_no_other_method_is() {
    let app = App::open().await;
    let (_, routes) = described(&app).await;
    assert!(routes.len() > 15, "{routes:?}");
    for (path, methods) in &routes {
        let request = Request::builder().method("BREW").uri(filled(path)).body(Body::empty()).unwrap();
        let answer = app.send(request).await;
        assert_eq!(answer.status, 405, "{path} is there");
        let allowed: BTreeSet<String> = answer
            .header("allow")
            .unwrap()
            .split(',')
            .map(str::to_ascii_lowercase)
            .filter(|method| method != "head")
            .collect();
        assert_eq!(&allowed, methods, "{path}");
    }
}

/// The routes that the design of the API promises.
#[tokio::test]
async fn every_promised_route_is_described() {
    let app = App::empty().await;
    let (_, routes) = described(&app).await;
    for (method, path) in [
        ("post", "/v1/orders"),
        ("get", "/v1/orders"),
        ("get", "/v1/orders/{orderId}"),
        ("delete", "/v1/orders/{orderId}"),
        ("get", "/v1/orders/{orderId}/events"),
        ("get", "/v1/orders/summary"),
        ("get", "/v1/events"),
        ("get", "/v1/stock"),
        ("get", "/v1/stock/{productId}"),
        ("put", "/v1/stock/{productId}"),
        ("get", "/v1/stock/summary"),
        ("get", "/v1/reservations"),
        ("get", "/v1/reservations/{reservationId}"),
        ("post", "/v1/users"),
        ("get", "/v1/users/{userId}"),
        ("put", "/v1/users/{userId}/status"),
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/metrics"),
    ] {
        assert!(routes.get(path).is_some_and(|methods| methods.contains(method)), "{method} {path}");
    }
}

/// Every reference in `value`.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.insert(reference.clone());
            }
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_description_is_whole() {
    let app = App::empty().await;
    let (description, _) = described(&app).await;
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"), "{}", description["openapi"]);
    let mut found = BTreeSet::new();
    references(&description, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(description.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let mut operations = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(operations.insert(id), "{id} twice");
            assert!(
                operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()),
                "{method} {path}"
            );
            for (status, response) in operation["responses"].as_object().unwrap() {
                let is_described = response["description"].as_str().is_some_and(|text| !text.is_empty());
                assert!(is_described, "{method} {path} {status}");
            }
            let named: Vec<&str> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let wanted: Vec<&str> =
                path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            assert_eq!(named, wanted, "{method} {path}");
        }
    }
}
