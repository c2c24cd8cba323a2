//! `docs/events.md` shows each event as the services write it. With `KBNT_GENERATE`, as `make generate` sets it, the examples are written anew.

use std::fmt::Write as _;
use std::sync::Arc;

use kbnt_application::event::{
    AuditLogCreated, DeadLetterResolved, DeadLetterStored, RecordedEvent, Resolution, Writer, WriterElected,
};
use kbnt_application::message::{Classification, Message, Trace};
use kbnt_application::{Append, Position, Route, Topic};
use kbnt_domain::event::{
    Basket, CancelKind, InsufficientStock, Level, Line, LowStock, NotificationFailed, NotificationSent,
    OrderCancelRequested, OrderCancelled, OrderCreated, OrderRepeated, PaymentFailed, PaymentMethod,
    PaymentProcessed, PaymentRefunded, PlaceOrder, PricedLine, ProductNotFound, ReservationConfirmed,
    ReservationExpired, ReservationLost, ReservationRefused, ReservationReleased, StockDeclared,
    UserRegistered, UserRejected, UserStatus, UserStatusChanged, UserValidated, VirtualStockReserved,
};
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{Currency, EventId, Money, OrderId, Quantity, Reason, ReservationId, Timestamp};
use kbnt_wire as wire;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md");

/// One of each, telling the story of the blueprint's first order.
fn examples() -> Vec<RecordedEvent> {
    let user = || "USER-12345".parse().unwrap();
    let order = OrderId::derive(&user(), "example");
    let reservation = ReservationId::derive(&order, 0);
    let product = || "PROD-001".parse().unwrap();
    let transaction = || "TX-0001".parse().unwrap();
    let money = |text| Money::parse(text, Currency::BRL).unwrap();
    let payment = || PaymentMethod { method: "credit_card".into(), token: Some("tok_ok".into()) };
    let basket = || Basket {
        user: user(),
        lines: vec![Line { product: product(), quantity: Quantity::new(3).unwrap() }],
        payment: payment(),
    };
    let level = |real, reserved| Level { real, reserved };
    let placed_at = Timestamp::from_millis(1_769_860_800_000);
    let expires_at = Timestamp::from_millis(1_769_861_700_010);
    let amount = money("1799.97");
    let fingerprint = 0x9ae1_6a3b_2f90_404f;
    let reason = Reason::ReservationExpired;
    let writer = Writer { term: 3, name: "main-inventory-service-0".into() };
    vec![
        PlaceOrder { order, basket: basket() }.into(),
        OrderCancelRequested { order }.into(),
        OrderCreated { order, user: user(), reservation, amount, transaction: transaction() }.into(),
        OrderCancelled { order, user: user(), kind: CancelKind::Cancelled, reason: Reason::PaymentDeclined }
            .into(),
        UserRegistered { user: user(), name: "Ana Souza".into(), email: "ana@example.com".into() }.into(),
        UserStatusChanged { user: user(), status: UserStatus::Blocked }.into(),
        UserValidated { order, basket: basket(), placed_at }.into(),
        UserRejected { order, user: user(), reason: Reason::UserBlocked, repeated: false }.into(),
        WriterElected { writer }.into(),
        StockDeclared {
            product: product(),
            name: "Smartphone X".into(),
            unit_price: money("599.99"),
            low_stock_threshold: 10,
            source: "virtualstock".parse().unwrap(),
            received: 100,
            level: level(100, 0),
        }
        .into(),
        LowStock { product: product(), threshold: 10, level: level(12, 3) }.into(),
        VirtualStockReserved {
            order,
            reservation,
            user: user(),
            attempt: 0,
            lines: vec![PricedLine { product: product(), units: 3, unit_price: money("599.99") }],
            amount,
            payment: Some(payment()),
            expires_at,
            fingerprint,
        }
        .into(),
        InsufficientStock {
            order,
            user: user(),
            product: product(),
            requested: 3,
            available: 2,
            fingerprint,
        }
        .into(),
        ProductNotFound { order, user: user(), product: "PROD-999".parse().unwrap(), fingerprint }.into(),
        ReservationRefused { order, user: user(), reason: Reason::StaleCommand, fingerprint }.into(),
        ReservationConfirmed { order, reservation, user: user(), amount, transaction: transaction() }.into(),
        ReservationReleased { order, reservation: Some(reservation), reason: Reason::PaymentDeclined }.into(),
        ReservationExpired { order, reservation, deadline: expires_at }.into(),
        ReservationLost { order, reservation: Some(reservation), amount, transaction: transaction(), reason }
            .into(),
        OrderRepeated {
            order,
            user: user(),
            status: OrderStatus::Cancelled,
            reason: Some(Reason::PaymentDeclined),
            reservation: Some(reservation),
            fingerprint,
        }
        .into(),
        PaymentProcessed { order, reservation, amount, transaction: transaction() }.into(),
        PaymentFailed { order, reservation, amount, reason: Reason::PaymentDeclined, refund_due: false }
            .into(),
        PaymentRefunded { order, amount, transaction: transaction(), reason }.into(),
        NotificationSent { order, user: user(), channel: "log".into(), template: "order-confirmed".into() }
            .into(),
        NotificationFailed { order, user: user(), channel: "webhook".into(), detail: "status 500".into() }
            .into(),
        AuditLogCreated {
            sequence: 0,
            audited: EventId::named("example"),
            event_name: "PlaceOrderCommand".into(),
            subject: order.to_string(),
            location: ("order-events".into(), 0, 0),
            content_hash: [0x1f; 32],
            record_hash: Some([0x7a; 32]),
            previous_hash: [0; 32],
            hash: [0xe3; 32],
        }
        .into(),
        DeadLetterStored::new(
            ("order-events".into(), 0, 17),
            "not an event: EOF while parsing an object at line 1 column 14".into(),
            placed_at,
            Some(b"order-1"),
            Some(b"{\"eventName\": "),
            [("content-type", Some(b"application/json".as_slice()))],
        )
        .into(),
        DeadLetterResolved {
            location: ("order-events".into(), 0, 17),
            how: Resolution::Replayed,
            replayed_to: Some(("order-events".into(), 0, 23)),
            by: "ana".into(),
            reason: "completed by hand".into(),
        }
        .into(),
    ]
}

/// The record of `event`.
fn append(event: RecordedEvent) -> Append {
    let class = Classification::of(&event);
    let id = EventId::named(class.name);
    let cause = (class.name != "PlaceOrderCommand").then(|| EventId::named("example"));
    let writer = matches!(class.topic(), Topic::InventoryEvents)
        .then(|| Arc::new(Writer { term: 3, name: "main-inventory-service-0".into() }));
    let at = Timestamp::from_millis(1_769_860_800_010);
    let message = Message { id, at, service: class.owner, cause, trace: Trace::root(&id), writer, event };
    let source = Some(Position { topic: Topic::UserEvents, partition: 0, offset: 41 });
    Append { message: Arc::new(message), route: Route::Partition(0), source }
}

/// As it stands on the page.
fn block(append: &Append) -> String {
    let record = wire::encode(append).unwrap();
    let value: &serde_json::value::RawValue = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
    pretty(value.get())
}

/// JSON with one field of the envelope a line and the payload on lines of its own, in the order of writing.
fn pretty(json: &str) -> String {
    let (envelope, payload) = json.split_once(",\"payload\":").unwrap();
    let mut text = String::from("{");
    let mut depth = 0;
    let mut quoted = false;
    let spread = |text: &mut String, json: &str, indent: &str, depth: &mut i32, quoted: &mut bool| {
        let mut last = ' ';
        for c in json.chars() {
            if c == '"' && last != '\\' {
                *quoted = !*quoted;
            }
            match c {
                '{' | '[' if !*quoted => *depth += 1,
                '}' | ']' if !*quoted => *depth -= 1,
                _ => {}
            }
            text.push(c);
            match c {
                ',' if !*quoted && *depth == 0 => write!(text, "\n{indent}").unwrap(),
                ',' | ':' if !*quoted => text.push(' '),
                _ => {}
            }
            last = c;
        }
    };
    text.push_str("\n  ");
    spread(&mut text, &envelope[1..], "  ", &mut depth, &mut quoted);
    text.push_str(",\n  \"payload\": {\n    ");
    spread(&mut text, &payload[1..payload.len() - 2], "    ", &mut depth, &mut quoted);
    text.push_str("\n  }\n}");
    text
}

#[test]
fn the_page_shows_every_event_as_it_is_written() {
    let mut page = std::fs::read_to_string(PAGE).unwrap();
    let write = std::env::var_os("KBNT_GENERATE").is_some();
    let appends: Vec<_> = examples().into_iter().map(append).collect();
    for append in &appends {
        let name = Classification::of(&append.message.event).name;
        let expected = block(append);
        let heading = format!("\n### {name}\n");
        let begin = page.find(&heading).unwrap_or_else(|| panic!("docs/events.md has no section {name}"));
        let open = begin + page[begin..].find("```json\n").unwrap() + "```json\n".len();
        let close = open + page[open..].find("\n```").unwrap();
        if write {
            page.replace_range(open..close, &expected);
        }
        assert_eq!(&page[open..open + expected.len()], expected, "the example of {name}: make generate");
        let parsed: serde_json::Value = serde_json::from_str(&expected).unwrap();
        assert_eq!(parsed["eventName"], name);
    }
    if write {
        std::fs::write(PAGE, &page).unwrap();
    }
    assert_eq!(page.matches("\n### ").count(), appends.len(), "a section of an event that there is not");
}
