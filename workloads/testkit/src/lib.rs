//! Toy machines, records with few words and a faulty log, for tests on any log.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::missing_panics_doc, clippy::new_without_default)]

pub mod faulty;
pub mod machines;
pub mod trail;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kbnt_application::event::{RecordedEvent, Writer, WriterElected};
use kbnt_application::message::{Message, Service, Trace};
use kbnt_application::ports::{EventLog, Fetched};
use kbnt_application::{Append, Delivered, Position, Route, Topic};
use kbnt_domain::event::{OrderCreated, PlaceOrder};
use kbnt_domain::{Currency, EventId, Money, OrderId, Span, Timestamp};

/// How long a condition may take to come true.
pub const DEADLINE: Duration = Duration::from_secs(90);

pub fn order(n: u32) -> OrderId {
    OrderId::derive(&"USER-1".parse().unwrap(), &n.to_string())
}

/// A record by order-service.
pub fn append(name: &str, event: impl Into<RecordedEvent>) -> Append {
    let event = event.into();
    let id = EventId::named(name);
    let key = kbnt_application::message::Subject::of(&event).key();
    let message = Message {
        id,
        at: Timestamp::from_millis(1_767_225_600_000),
        service: Service::Order,
        cause: None,
        trace: Trace::root(&id),
        writer: None,
        event,
    };
    let route = key.map_or(Route::Partition(0), Route::Key);
    Append { message: Arc::new(message), route, source: None }
}

/// An order's confirmation, as an input for the echo.
pub fn created(n: u32) -> Append {
    let order = order(n);
    append(
        &format!("created/{order}"),
        OrderCreated {
            order,
            user: "USER-1".parse().unwrap(),
            reservation: kbnt_domain::ReservationId::derive(&order, 0),
            amount: Money::from_minor(59_999, Currency::BRL).unwrap(),
            transaction: "TX-1".parse().unwrap(),
        },
    )
}

/// An order, as an input for the toy writer.
pub fn placed(n: u32) -> Append {
    let order = order(n);
    let payment = kbnt_domain::event::PaymentMethod { method: "credit_card".into(), token: None };
    let quantity = kbnt_domain::Quantity::new(1).unwrap();
    let lines = vec![kbnt_domain::event::Line { product: "PROD-1".parse().unwrap(), quantity }];
    let basket = kbnt_domain::event::Basket { user: "USER-1".parse().unwrap(), lines, payment };
    append(&format!("placed/{order}"), PlaceOrder { order, basket })
}

/// An election by somebody else.
pub fn election(partition: u32, term: u64, name: &str) -> Append {
    let writer = Writer { term, name: name.into() };
    let mut append = append(&format!("elected/{term}/{name}/{partition}"), WriterElected { writer });
    append.route = Route::Partition(partition);
    append
}

/// Where a partition ends, as soon as the log can say.
pub async fn end(log: &dyn EventLog, topic: Topic, partition: u32) -> u64 {
    let deadline = std::time::Instant::now() + DEADLINE;
    loop {
        match log.bounds(topic, partition).await {
            Ok(bounds) => return bounds.end,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Everything in `topic` that can be read, by partition.
pub async fn contents(log: &dyn EventLog, topic: Topic) -> BTreeMap<u32, Vec<Delivered>> {
    let mut all = BTreeMap::new();
    for partition in 0..topic.partitions() {
        let end = end(log, topic, partition).await;
        let mut reader = log.read(vec![Position { topic, partition, offset: 0 }]).await.unwrap();
        let mut records = Vec::new();
        let deadline = std::time::Instant::now() + DEADLINE;
        while reader.positions()[0].offset < end {
            let batch = match reader.next(1_000, Span::from_millis(500)).await {
                Ok(batch) => batch,
                // The log may be away for a while.
                Err(error) => {
                    assert!(std::time::Instant::now() < deadline, "{error}");
                    continue;
                }
            };
            records.extend(batch.into_iter().filter_map(|fetched| match fetched {
                Fetched::Record(record) => Some(record),
                Fetched::Unreadable(_) => None,
            }));
        }
        all.insert(partition, records);
    }
    all
}

/// The orders that records of `topic` are about, each as often as it occurs.
pub async fn orders_in(log: &dyn EventLog, topic: Topic) -> BTreeMap<OrderId, usize> {
    let mut count = BTreeMap::new();
    for record in contents(log, topic).await.into_values().flatten() {
        if let kbnt_application::message::Subject::Order(order) =
            kbnt_application::message::Subject::of(&record.message.event)
        {
            *count.entry(order).or_default() += 1;
        }
    }
    count
}

/// Waits until `condition` holds, looking again and again.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = std::time::Instant::now() + DEADLINE;
    while !condition().await {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
