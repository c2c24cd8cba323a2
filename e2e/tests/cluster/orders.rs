//! Three orders end as they must, over HTTP and in Kafka, as read by an independent client.

use std::time::Duration;

use kbnt_e2e::harness::{Consumed, Failure, Http, Kafka, Shop, until};
use serde_json::{Value, json};

/// How long an order may take to end on a busy machine.
const END: Duration = Duration::from_mins(1);

/// Places an order and waits for its end.
fn order(orders: &Http, key: &str, product: &str, quantity: u64, token: &str) -> Result<Value, Failure> {
    let body = json!({
        "userId": "USER-12345",
        "items": [{"productId": product, "quantity": quantity}],
        "payment": {"method": "credit_card", "token": token},
    });
    // A node may learn of a Service's pods a moment after they are ready.
    let placed = until("an answer to the order", END, || orders.post("/v1/orders", key, &body))?;
    assert_eq!(placed.status, 202, "{:?}", placed.body);
    let id = placed.body["orderId"].as_str().unwrap_or_default().to_owned();
    until(&format!("the end of order {key}"), END, || {
        let answer = orders.get(&format!("/v1/orders/{id}"))?;
        let ended = answer.status == 200 && answer.body["status"] != "PENDING";
        let notified = names(&answer.body).contains(&"NotificationSentEvent".to_owned());
        if ended && notified { Ok(answer.body) } else { Err(Failure(format!("{answer:?}"))) }
    })
}

fn names(order: &Value) -> Vec<String> {
    let timeline = order["timeline"].as_array().cloned().unwrap_or_default();
    timeline.iter().filter_map(|entry| entry["eventName"].as_str().map(str::to_owned)).collect()
}

fn level(inventory: &Http, product: &str) -> Result<(i64, i64, i64), Failure> {
    let answer = inventory.get(&format!("/v1/stock/{product}"))?;
    let number = |field: &str| answer.body[field].as_i64().ok_or_else(|| Failure(format!("{answer:?}")));
    Ok((number("real")?, number("reserved")?, number("available")?))
}

/// The contract of every record: its envelope, its headers and the partition of its key.
fn check_envelope(record: &Consumed, id: &str, partition: u32) {
    let value = &record.value;
    for field in [
        "eventId",
        "timestamp",
        "eventType",
        "eventName",
        "eventVersion",
        "service",
        "level",
        "hexagonal_layer",
        "domain",
        "operation",
        "correlationId",
        "payload",
    ] {
        assert!(!value[field].is_null(), "{field} is missing in {value}");
    }
    for header in ["ce_id:", "ce_type:", "ce_source:", "ce_specversion:1.0", "ce_time:", "traceparent:00-"] {
        assert!(record.headers.contains(header), "{header} is missing in {}", record.headers);
    }
    assert_eq!(record.key, id);
    assert_eq!(
        record.partition, partition,
        "the same key lies in the same partition of every topic: {value}"
    );
}

/// The topics of the saga.
const TOPICS: [&str; 5] =
    ["order-events", "user-events", "inventory-events", "payment-events", "notification-events"];

/// All records of the saga's topics, read in parallel: a Java client takes seconds to start.
fn read_topics(shop: &Shop) -> Result<Vec<(&'static str, Vec<Consumed>)>, Failure> {
    let read = |topic: &str| Kafka::default().consume(&shop.topic(topic));
    std::thread::scope(|scope| {
        let readers = TOPICS.map(|topic| (topic, scope.spawn(move || read(topic))));
        readers
            .into_iter()
            .map(|(topic, reader)| {
                Ok((topic, reader.join().map_err(|_| Failure("a reader gave up".into()))??))
            })
            .collect()
    })
}

/// The events of order `id` in each topic, checked record by record.
fn history(topics: &[(&'static str, Vec<Consumed>)], id: &str) -> Vec<(&'static str, Vec<String>)> {
    let mut partition = None;
    let mut events_of = |records: &[Consumed]| {
        let about = records.iter().filter(|record| record.value["correlationId"] == id);
        let check = about.inspect(|record| {
            check_envelope(record, id, *partition.get_or_insert(record.partition));
        });
        check.filter_map(|record| record.value["eventName"].as_str().map(str::to_owned)).collect()
    };
    topics.iter().map(|(topic, records)| (*topic, events_of(records))).collect()
}

fn expected(history: [(&'static str, &[&str]); 5]) -> Vec<(&'static str, Vec<String>)> {
    history.map(|(topic, names)| (topic, names.iter().map(|name| (*name).to_owned()).collect())).to_vec()
}

#[test]
fn success_insufficient_stock_and_declined_payment_end_as_they_must() -> Result<(), Failure> {
    let shop = Shop::shared()?;
    let (orders, inventory) = (shop.service("order-service")?, shop.service("inventory-service")?);
    let before = level(&inventory, "PROD-001")?;

    let good = order(&orders, "e2e-success", "PROD-001", 3, "tok_ok")?;
    assert_eq!(
        (&good["status"], &good["amount"]["value"]),
        (&json!("CONFIRMED"), &json!("1799.97")),
        "{good}"
    );
    let confirmed = (before.0 - 3, before.1, before.2 - 3);
    assert_eq!(level(&inventory, "PROD-001")?, confirmed, "real, reserved, available");

    let greedy = order(&orders, "e2e-insufficient", "PROD-003", 1_000, "tok_ok")?;
    assert_eq!(
        (&greedy["status"], &greedy["reason"]),
        (&json!("REJECTED"), &json!("INSUFFICIENT_STOCK")),
        "{greedy}"
    );

    let declined = order(&orders, "e2e-declined", "PROD-001", 2, "tok_decline")?;
    assert_eq!(
        (&declined["status"], &declined["reason"]),
        (&json!("CANCELLED"), &json!("PAYMENT_DECLINED")),
        "{declined}"
    );
    assert_eq!(level(&inventory, "PROD-001")?, confirmed, "the reservation is rolled back");

    let topics = read_topics(shop)?;
    let id = |order: &Value| order["orderId"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        history(&topics, &id(&good)),
        expected([
            ("order-events", &["PlaceOrderCommand", "OrderCreatedEvent"]),
            ("user-events", &["UserValidatedEvent"]),
            ("inventory-events", &["VirtualStockReservedEvent", "ReservationConfirmedEvent"]),
            ("payment-events", &["PaymentProcessedEvent"]),
            ("notification-events", &["NotificationSentEvent"]),
        ])
    );
    assert_eq!(
        history(&topics, &id(&greedy)),
        expected([
            ("order-events", &["PlaceOrderCommand", "OrderCancelledEvent"]),
            ("user-events", &["UserValidatedEvent"]),
            ("inventory-events", &["InsufficientStockEvent"]),
            ("payment-events", &[]),
            ("notification-events", &["NotificationSentEvent"]),
        ])
    );
    assert_eq!(
        history(&topics, &id(&declined)),
        expected([
            ("order-events", &["PlaceOrderCommand", "OrderCancelledEvent"]),
            ("user-events", &["UserValidatedEvent"]),
            ("inventory-events", &["VirtualStockReservedEvent", "ReservationReleasedEvent"]),
            ("payment-events", &["PaymentFailedEvent"]),
            ("notification-events", &["NotificationSentEvent"]),
        ])
    );
    every_event_is_audited(shop, &id(&good), 7)
}

/// One `AuditLogCreated` for each of the order's `events`.
fn every_event_is_audited(shop: &Shop, id: &str, events: usize) -> Result<(), Failure> {
    until("the audit of every event", END, || {
        let audited = Kafka::default().consume(&shop.topic("audit-logs"))?;
        let about = audited.iter().filter(|record| record.key == id).count();
        if about == events { Ok(()) } else { Err(Failure(format!("{about} of {events} events are audited"))) }
    })
}
