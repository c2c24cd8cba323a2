//! `kbnt simulator`.

use serde_json::json;

use crate::support::{Running, kbnt};

#[tokio::test]
async fn the_simulator_takes_and_gives_messages() {
    let mut broker = Running::start(&["simulator"]);
    let (status, topics) = broker.get("/topics").await;
    assert_eq!((status, topics["topics"].as_array().unwrap().len()), (200, 7));
    let (_, topic) = broker.get("/topics/audit-logs").await;
    assert_eq!(topic["partitions"].as_array().unwrap().len(), 1);
    let (status, first) = broker
        .post("/topics/order-events/messages", &json!({"key": "21", "value": {"hello": "world"}}))
        .await;
    assert_eq!(status, 201);
    // The murmur2 of "21" is -973932308, which Java clients map to partition 0 of 3.
    assert_eq!(
        json!([first["topic"], first["partition"], first["offset"], first["key"], first["value"]]),
        json!(["order-events", 0, 0, "21", {"hello": "world"}])
    );
    assert!(first["timestamp"].as_str().unwrap().ends_with('Z'));
    for (value, partition) in
        [(json!("plain text"), 2), (json!(17), 2), (json!(null), 2), (json!([1, {"a": "b"}]), 2)]
    {
        let body = json!({"value": value, "partition": partition});
        let (status, answer) = broker.post("/topics/order-events/messages", &body).await;
        assert_eq!((status, &answer["value"], &answer["key"]), (201, &value, &json!(null)));
    }
    let (_, page) = broker.get("/topics/order-events/messages?partition=2&offset=1&limit=2").await;
    let values: Vec<_> =
        page["messages"].as_array().unwrap().iter().map(|message| message["value"].clone()).collect();
    assert_eq!(
        (values, &page["nextOffset"], &page["endOffset"]),
        (vec![json!(17), json!(null)], &json!(3), &json!(4))
    );
    assert_eq!(broker.get("/cluster").await.1["messages"], 5);
    for (path, status) in [
        ("/topics/nonsense", 400),
        ("/topics/order-events/messages?partition=3", 400),
        ("/topics/order-events/messages?limit=0", 400),
        ("/nonsense", 404),
    ] {
        assert_eq!(broker.get(path).await.0, status, "{path}");
    }
    for body in [
        json!({"key": "k"}),
        json!({"value": 1, "colour": 2}),
        json!({"value": 1, "partition": 3}),
        json!([]),
    ] {
        assert_eq!(broker.post("/topics/order-events/messages", &body).await.0, 400, "{body}");
    }
    let url = broker.url.clone();
    let tail = tokio::task::spawn_blocking(move || {
        kbnt(&["tail", "--from-beginning", "--limit", "5", "--url", &url]).output().unwrap()
    });
    let text = String::from_utf8(tail.await.unwrap().stdout).unwrap();
    assert!(text.contains("order-events/0@0") && text.contains("plain text"), "{text}");
    broker.signal("INT");
    assert_eq!(broker.ended().code(), Some(0));
}
