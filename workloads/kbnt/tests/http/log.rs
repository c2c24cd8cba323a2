//! The report of every service about its log.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use kbnt_adapters::metrics::Metrics;
use kbnt_application::intact::TopicId;
use kbnt_application::intact::{Integrity, TopicIds};
use kbnt_application::ports::EventLog as _;
use kbnt_application::{Service, Topic};
use kbnt_embedded::EmbeddedLog;
use kbnt_http::{Apis, Health, router};
use kbnt_runtime::intact::Guarded;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Status and body of the response of a process that has nothing but a log.
async fn get(integrity: &Arc<Integrity>, path: &str) -> (u16, String) {
    let health = Health {
        parts: Vec::new().into(),
        metrics: Arc::new(Metrics::new().unwrap()),
        integrity: integrity.clone(),
        shutdown: CancellationToken::new(),
    };
    let (router, _) = router(Apis::default(), health);
    let answer = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    (status, String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn every_service_says_whether_its_log_is_intact_and_what_is_wrong() {
    let log = EmbeddedLog::in_memory();
    let known: TopicId = "WOl_vM4-QU2HyDFeU4Yg0w".parse().unwrap();
    let given: TopicIds = [(Topic::OrderEvents, known)].into_iter().collect();
    let integrity = Arc::new(Integrity::new(given));
    let guarded = Guarded::new(Arc::new(log.clone()), Service::User, integrity.clone());

    let (status, body) = get(&integrity, "/v1/log").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body), (200, json!({"intact": true, "damage": []})));
    assert_eq!(get(&integrity, "/readyz").await.0, 200);
    assert!(get(&integrity, "/metrics").await.1.contains("kbnt_log_intact{topic=\"order-events\"} 1"));

    assert!(guarded.join(Service::User).await.is_err());
    let id = log.topic_id(Topic::OrderEvents).await.unwrap();
    let (status, body) = get(&integrity, "/v1/log").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let message = format!(
        "user-service does not decide: order-events is another topic of the same name, {id} instead of {known}"
    );
    let damage = json!({
        "service": "user-service", "topic": "order-events", "partition": null, "kind": "replaced",
        "wanted": null, "found": null, "knownTopicId": known.to_string(), "topicId": id.to_string(),
        "message": message,
    });
    assert_eq!((status, body), (200, json!({"intact": false, "damage": [damage]})));
    let (status, body) = get(&integrity, "/readyz").await;
    assert!(status == 503 && body.contains("log-intact"), "{body}");
    let metrics = get(&integrity, "/metrics").await.1;
    assert!(metrics.contains("kbnt_log_intact{topic=\"order-events\"} 0"), "{metrics}");
    assert!(metrics.contains("kbnt_log_intact{topic=\"user-events\"} 1"), "{metrics}");
}
