//! Records that nobody can handle.

use std::collections::BTreeMap;
use std::time::SystemTime;

use rskafka::record::Record;
use serde_json::{Value, json};

use crate::topics::POISON;

/// One of each kind.
pub(crate) fn records() -> Vec<Record> {
    let order = "00000000-0000-4000-8000-000000000bad";
    let placed = json!({
        "orderId": order, "userId": "USER-1", "items": [{"productId": "P-0", "quantity": 1}],
        "payment": {"method": "credit_card"},
    });
    let named = |name: &str, payload: &Value| json!({"eventName": name, "payload": payload});
    let with = |field: &str, value: Value| {
        let mut payload = placed.clone();
        payload[field] = value;
        named("PlaceOrderCommand", &payload)
    };
    let mut newer = named("PlaceOrderCommand", &placed);
    newer["eventVersion"] = json!(99);
    let events = [
        json!([1, 2, 3]),
        json!("text"),
        json!(null),
        json!({}),
        json!({"eventName": "PlaceOrderCommand"}),
        named("NobodyKnowsThisEvent", &placed),
        newer,
        with("orderId", json!("not-a-uuid")),
        with("userId", json!("")),
        with("userId", json!("x".repeat(65))),
        with("items", json!([])),
        with("items", json!([{"productId": "P-0", "quantity": 0}])),
        with("items", json!([{"productId": "P-0", "quantity": -1}])),
        with("items", json!([{"productId": "P-0", "quantity": 1e300}])),
        with("items", json!({"productId": "P-0"})),
        with("payment", json!(7)),
        // Of a writer that was never elected, and of none.
        named("VirtualStockReservedEvent", &placed),
        json!({"eventName": "WriterElected", "payload": {"writer": {"term": -1, "name": "w"}}}),
        json!({"eventName": "AuditLogCreated", "payload": {"sequence": "first"}}),
        with("userId", json!("y".repeat(700_000))),
    ];
    let mut values: Vec<Option<Vec<u8>>> =
        events.iter().map(|event| Some(event.to_string().into_bytes())).collect();
    values.extend([
        None,
        Some(Vec::new()),
        Some(vec![0xff, 0xfe, 0x00]),
        Some(b"{\"eventName\": \"PlaceOrderCommand\", \"payload\": {".to_vec()),
        Some(format!("{}{}", "[".repeat(5_000), "]".repeat(5_000)).into_bytes()),
    ]);
    let record = |value| Record {
        key: Some(order.as_bytes().to_vec()),
        value,
        headers: BTreeMap::from([(POISON.to_owned(), b"poison".to_vec())]),
        timestamp: SystemTime::now().into(),
    };
    values.into_iter().map(record).collect()
}
