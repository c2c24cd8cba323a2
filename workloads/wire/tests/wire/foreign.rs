//! Records that other programs made.

use kbnt_application::message::{Service, Topic, Trace};
use kbnt_application::ports::{Fetched, RawRecord};
use kbnt_application::{Delivered, Position};
use kbnt_domain::event::{Event, PaymentMethod};
use kbnt_domain::{EventId, Timestamp};
use kbnt_wire as wire;
use serde_json::{Value, json};

/// Where the order of these records belongs.
fn at(topic: Topic) -> Position {
    Position { topic, partition: 2, offset: 42 }
}

fn read(topic: Topic, value: &Value, headers: &[(&str, &str)]) -> Result<Delivered, String> {
    read_text(topic, &value.to_string(), headers)
}

fn read_text(topic: Topic, value: &str, headers: &[(&str, &str)]) -> Result<Delivered, String> {
    let headers = headers.iter().map(|(key, value)| ((*key).to_owned(), Some(value.as_bytes().to_vec())));
    let record = RawRecord {
        value: Some(value.as_bytes().to_vec()),
        headers: headers.collect(),
        at: Timestamp::from_millis(1_000),
        ..RawRecord::default()
    };
    match wire::fetched(at(topic), record, wire::Bytes::Left) {
        Fetched::Record(record) => Ok(record),
        Fetched::Unreadable(record) => Err(record.reason),
    }
}

fn place_order() -> Value {
    json!({
        "eventName": "PlaceOrderCommand",
        "payload": {
            "orderId": "67e55044-10b1-426f-9247-bb680e5fe0c8",
            "userId": "USER-12345",
            "items": [{"productId": "PROD-001", "quantity": 3}],
            "payment": {"method": "credit_card"},
        },
    })
}

#[test]
fn the_least_that_an_order_needs_is_enough() {
    let record = read(Topic::OrderEvents, &place_order(), &[]).unwrap();
    let message = &record.message;
    assert_eq!(message.id, EventId::named("order-events/2/42"), "an id that every reader derives alike");
    assert_eq!(
        (message.at, message.service, message.cause),
        (Timestamp::from_millis(1_000), Service::Order, None)
    );
    assert_eq!(message.trace, Trace::root(&message.id));
    let Some(Event::PlaceOrder(placed)) = message.event.business() else { panic!("{message:?}") };
    assert_eq!(placed.basket.payment, PaymentMethod { method: "credit_card".into(), token: None });
}

#[test]
fn unknown_fields_and_other_envelope_texts_change_nothing() {
    let mut value = place_order();
    value["eventId"] = json!("67e55044-10b1-426f-9247-bb680e5fe0c9");
    value["timestamp"] = json!("2026-01-31T09:00:00.5-03:00");
    value["service"] = json!("a-console");
    value["level"] = json!(17);
    value["sticker"] = json!({"a": [1, 2]});
    value["payload"]["coupon"] = json!("X");
    value["payload"]["items"][0]["gift"] = json!(true);
    value["payload"]["payment"]["token"] = json!("tok_ok");
    let record = read(Topic::OrderEvents, &value, &[("content-type", "text/plain"), ("x", "y")]).unwrap();
    assert_eq!(record.message.at, Timestamp::from_millis(1_769_860_800_500));
    assert_eq!(record.message.service, Service::Order);
}

#[test]
fn fields_may_stand_in_any_order_but_not_twice() {
    let value = place_order();
    let fields = [
        format!("\"payload\":{}", value["payload"]),
        r#""eventName":"Place\u004frderCommand""#.to_owned(),
        r#""eventVersion":1"#.to_owned(),
    ];
    let expected = read(Topic::OrderEvents, &value, &[]).unwrap().message;
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let text = format!("{{{}}}", order.map(|field: usize| fields[field].as_str()).join(","));
        assert_eq!(read_text(Topic::OrderEvents, &text, &[]).unwrap().message, expected, "{text}");
        let twice = format!("{},{}}}", text.strip_suffix('}').unwrap(), fields[order[0]]);
        let reason = read_text(Topic::OrderEvents, &twice, &[]).unwrap_err();
        assert!(reason.contains("duplicate field"), "{reason}: {twice}");
    }
}

#[test]
fn the_trace_is_taken_from_a_valid_header_only() {
    let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = |header: &str| {
        read(Topic::OrderEvents, &place_order(), &[("traceparent", header)]).unwrap().message.trace
    };
    let expected = Trace {
        trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
        span_id: 0x00f0_67aa_0ba9_02b7,
        sampled: true,
    };
    assert_eq!(trace(valid), expected);
    let root = Trace::root(&EventId::named("order-events/2/42"));
    for bad in [
        "",
        "00",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    ] {
        assert_eq!(trace(bad), root, "{bad}");
    }
}

/// A change that makes the order wrong, and what must be said of it.
type Case = (&'static dyn Fn(&mut Value), &'static str);

#[test]
fn what_is_wrong_is_said() {
    let cases: [Case; 16] = [
        (&|v| v["eventName"] = json!("PlaceOrderEvent"), "\"PlaceOrderEvent\" is no event of order-events"),
        (&|v| v["eventName"] = json!("UserValidatedEvent"), "is no event of order-events"),
        (&|v| v["eventVersion"] = json!(2), "PlaceOrderCommand of unknown version 2"),
        (&|v| v["eventId"] = json!("7"), "not an event"),
        (&|v| v["timestamp"] = json!("yesterday"), "is no RFC 3339 instant"),
        (&|v| v["timestamp"] = json!("9999-12-31T23:59:59-03:00"), "is in no year from 0000 to 9999 in UTC"),
        (&|v| v["timestamp"] = json!("0000-01-01T00:00:00+03:00"), "is in no year from 0000 to 9999 in UTC"),
        (&|v| *v = json!([]), "not an event"),
        (&|v| drop(v.as_object_mut().unwrap().remove("payload")), "missing field `payload`"),
        (&|v| v["payload"]["items"] = json!([]), "1 to 100 items"),
        (&|v| v["payload"]["items"][0]["quantity"] = json!(0), "quantity must be 1 to 1000000"),
        (&|v| v["payload"]["items"][0]["quantity"] = json!(1.5), "invalid type: floating point"),
        (&|v| v["payload"]["payment"]["method"] = json!("é".repeat(1_001)), "a text of 1001 characters"),
        (&|v| v["payload"]["payment"]["token"] = json!("x".repeat(16_001)), "where 16000 are the most"),
        (&|v| v["payload"]["userId"] = json!("a b"), "an id is 1 to 64 characters"),
        (&|v| drop(v["payload"].as_object_mut().unwrap().remove("orderId")), "missing field `orderId`"),
    ];
    // With its version a payload is read as it comes, without only at the end.
    for (version, (change, expected)) in
        [json!(null), json!(1)].iter().flat_map(|v| cases.map(|case| (v, case)))
    {
        let mut value = place_order();
        value["eventVersion"] = version.clone();
        change(&mut value);
        let reason = read(Topic::OrderEvents, &value, &[]).map(|_| ()).unwrap_err();
        assert!(reason.contains(expected), "{reason:?} should contain {expected:?}");
    }
    let tombstone = wire::fetched(at(Topic::OrderEvents), RawRecord::default(), wire::Bytes::Left);
    assert!(matches!(tombstone, Fetched::Unreadable(record) if record.reason == "the record has no value"));
}

#[test]
fn a_reason_is_short_however_long_the_record() {
    let mut value = place_order();
    value["eventName"] = json!("\u{1}\u{e9}".repeat(1_000_000));
    let reason = read(Topic::OrderEvents, &value, &[]).unwrap_err();
    assert!(reason.len() < 600 && reason.ends_with("..."), "{}", reason.len());
}

#[test]
fn a_record_in_another_partition_than_its_own_says_where_it_belongs() {
    let record = |key: Option<&str>| RawRecord {
        key: key.map(|key| key.as_bytes().to_vec()),
        value: Some(place_order().to_string().into_bytes()),
        ..RawRecord::default()
    };
    for key in [None, Some("67e55044-10b1-426f-9247-bb680e5fe0c8"), Some("a-customer"), Some("")] {
        for partition in 0..3 {
            let read = wire::fetched(
                Position { partition, ..at(Topic::OrderEvents) },
                record(key),
                wire::Bytes::Left,
            );
            match read {
                // What it is about decides, and not the key that it has.
                Fetched::Record(read) => assert_eq!((read.at.partition, key), (2, key)),
                Fetched::Unreadable(kept) => {
                    let reason = format!("lies in partition {partition}, its key belongs to partition 2");
                    assert_eq!((partition != 2, kept.reason), (true, reason), "{key:?}");
                    assert_eq!(*kept.raw, record(key), "it is kept whole");
                }
            }
        }
    }
}

#[test]
fn the_times_of_the_log_stand_in_for_a_timestamp_if_they_can_be_written() {
    let read_at = |millis, timestamp: Option<&str>| {
        let mut value = place_order();
        if let Some(timestamp) = timestamp {
            value["timestamp"] = json!(timestamp);
        }
        let value = Some(value.to_string().into_bytes());
        let record = RawRecord { value, at: Timestamp::from_millis(millis), ..RawRecord::default() };
        match wire::fetched(at(Topic::OrderEvents), record, wire::Bytes::Left) {
            Fetched::Record(read) => Ok(read.message.at.as_millis()),
            Fetched::Unreadable(kept) => Err(kept.reason),
        }
    };
    for millis in [0, -1, 1, Timestamp::FIRST.as_millis(), Timestamp::LAST.as_millis()] {
        assert_eq!(read_at(millis, None), Ok(millis));
    }
    for millis in [1_769_860_800_000_000, i64::MAX, i64::MIN, Timestamp::LAST.as_millis() + 1] {
        let reason = read_at(millis, None).unwrap_err();
        assert!(reason.contains(&format!("{millis} ms, is in no year")), "{reason}");
        assert_eq!(read_at(millis, Some("1970-01-01T00:00:01Z")), Ok(1_000), "nobody asks the log");
    }
}
