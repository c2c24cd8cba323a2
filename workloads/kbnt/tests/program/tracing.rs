//! The spans of an order at the collector.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{Running, basket};

/// Spans by the service that sent them.
type Received = Arc<Mutex<Vec<(String, Span)>>>;

async fn take(State(received): State<Received>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for resource in request.resource_spans {
        let attributes = resource.resource.unwrap().attributes;
        let name = attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
        let service = format!("{:?}", name.value);
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        received.lock().unwrap().extend(spans.map(|span| (service.clone(), span)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_one_trace_from_the_request_to_the_audit_record() {
    let received = Received::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = Router::new().route("/v1/traces", post(take)).with_state(received.clone());
    tokio::spawn(async { axum::serve(listener, collector).await });

    let mut shop = Running::start(&["serve", "--allow-unknown-users", "--otlp-endpoint", &endpoint]);
    shop.until_ready().await;
    shop.declare(10).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let order = shop
        .client
        .post(format!("{}/v1/orders?wait=20s", shop.url))
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))
        .json(&basket("USER-1", "tok_ok"))
        .send()
        .await
        .unwrap();
    assert_eq!(order.status(), 200);
    let order: serde_json::Value = order.json().await.unwrap();
    assert_eq!(order["status"], json!("CONFIRMED"), "{order}");
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(0));

    let received = received.lock().unwrap();
    let id = u128::from_str_radix(trace, 16).unwrap().to_be_bytes();
    let of_order: Vec<_> = received.iter().filter(|(_, span)| span.trace_id == id).collect();
    let mut by_name = BTreeMap::<_, Vec<_>>::new();
    for (service, span) in &of_order {
        by_name.entry(span.name.as_str()).or_default().push((service, span));
    }
    let events = [
        ("PlaceOrderCommand", "order-service"),
        ("UserValidatedEvent", "user-service"),
        ("VirtualStockReservedEvent", "inventory-service"),
        ("PaymentProcessedEvent", "payment-service"),
        ("ReservationConfirmedEvent", "inventory-service"),
        ("OrderCreatedEvent", "order-service"),
    ];
    for (event, service) in events {
        assert!(
            matches!(by_name[event].as_slice(), [(by, _)] if by.contains(service)),
            "{event}: {by_name:?}"
        );
    }
    assert!(by_name.contains_key("AuditLogCreated"), "{:?}", by_name.keys());
    let spans: HashSet<_> = of_order.iter().map(|(_, span)| span.span_id.clone()).collect();
    assert_eq!(spans.len(), of_order.len(), "each span once");
    for (_, span) in &of_order {
        let is_first = span.name == "PlaceOrderCommand";
        assert_eq!(spans.contains(&span.parent_span_id), !is_first, "{span:?}");
        assert!(span.start_time_unix_nano > 0 && span.start_time_unix_nano <= span.end_time_unix_nano);
    }
}
