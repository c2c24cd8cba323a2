//! Records that nobody can handle, and records that nobody may.

use std::collections::BTreeMap;

use chrono::Utc;
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
    let at = |timestamp: &str| {
        let mut event = named("PlaceOrderCommand", &placed);
        event["timestamp"] = json!(timestamp);
        event
    };
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
        at("9999-12-31T23:59:59-03:00"),
        at("0000-01-01T00:00:00+03:00"),
        at("the day before yesterday"),
        with("payment", json!({"method": "credit_card", "token": "t".repeat(20_000)})),
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
        timestamp: Utc::now(),
    };
    values.into_iter().map(record).collect()
}

/// Those of `records` that are about something, marked as records that nobody may act upon: they are going to lie in a partition that
/// is not theirs. An election is about its partition, and would count in any.
pub(crate) fn misplaced(records: Vec<Record>) -> Vec<Record> {
    let mark = |mut record: Record| {
        record.headers.insert(POISON.to_owned(), b"misplaced".to_vec());
        // Half of the programs that get the partition wrong have no key.
        if fastrand::bool() {
            record.key = None;
        }
        record
    };
    records.into_iter().filter(|record| record.key.is_some()).map(mark).collect()
}
