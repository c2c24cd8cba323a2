//! The wire format: how long it takes to write and to read the records of an order that is confirmed, and one link of the audit
//! trail. Rates are records a second.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]
#![allow(missing_docs, reason = "made by the macros of the benchmark")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kbnt_application::event::{AuditLogCreated, RecordedEvent, Writer};
use kbnt_application::message::{Classification, Message, Topic, Trace};
use kbnt_application::ports::RawRecord;
use kbnt_application::{Append, Position, Route};
use kbnt_domain::event::{
    Basket, Line, OrderCreated, PaymentMethod, PaymentProcessed, PlaceOrder, PricedLine,
    ReservationConfirmed, UserValidated, VirtualStockReserved,
};
use kbnt_domain::{
    Currency, EventId, Money, OrderId, ProductId, Quantity, ReservationId, Timestamp, TransactionId, UserId,
};
use kbnt_wire::{self as wire, RecordView};

const NOW: Timestamp = Timestamp::from_millis(1_764_000_000_123);

/// What the services write for an order of one line.
fn events() -> Vec<RecordedEvent> {
    let user: UserId = "BUYER-123".parse().unwrap();
    let product: ProductId = "PROD-42".parse().unwrap();
    let order = OrderId::derive(&user, "bench");
    let reservation = ReservationId::from_uuid(*order.as_uuid());
    let transaction: TransactionId = order.to_string().parse().unwrap();
    let amount = Money::parse("599.99", Currency::BRL).unwrap();
    let payment = PaymentMethod { method: "credit_card".into(), token: Some("tok_ok".into()) };
    let lines = vec![Line { product: product.clone(), quantity: Quantity::new(1).unwrap() }];
    let priced = vec![PricedLine { product, units: 1, unit_price: amount }];
    let basket = Basket { user: user.clone(), lines, payment: payment.clone() };
    vec![
        PlaceOrder { order, basket: basket.clone() }.into(),
        UserValidated { order, basket, placed_at: NOW }.into(),
        VirtualStockReserved {
            order,
            reservation,
            user: user.clone(),
            attempt: 1,
            lines: priced,
            amount,
            payment: Some(payment),
            expires_at: NOW,
            fingerprint: 0x0123_4567_89ab_cdef,
        }
        .into(),
        PaymentProcessed { order, reservation, amount, transaction: transaction.clone() }.into(),
        ReservationConfirmed {
            order,
            reservation,
            user: user.clone(),
            amount,
            transaction: transaction.clone(),
        }
        .into(),
        OrderCreated { order, user, reservation, amount, transaction }.into(),
        AuditLogCreated {
            sequence: 1_234_567,
            audited: EventId::named("bench"),
            event_name: "OrderCreatedEvent".into(),
            subject: order.to_string(),
            location: ("order-events".into(), 1, 1_234_567),
            content_hash: [1; 32],
            record_hash: Some([4; 32]),
            previous_hash: [2; 32],
            hash: [3; 32],
        }
        .into(),
    ]
}

/// As a machine writes it, in answer to another record.
fn append(event: RecordedEvent) -> Append {
    let class = Classification::of(&event);
    let id = EventId::named(class.name);
    let writer = (class.topic() == Topic::InventoryEvents)
        .then(|| Arc::new(Writer { term: 7, name: "inventory-service-0".into() }));
    let cause = Some(EventId::named("cause"));
    let trace = Trace::root(&id);
    let message = Message { id, at: NOW, service: class.owner, cause, trace, writer, event };
    let source = Some(Position { topic: Topic::UserEvents, partition: 1, offset: 1_234_567 });
    Append { message: Arc::new(message), route: Route::Partition(1), source }
}

fn bench(criterion: &mut Criterion) {
    for append in events().into_iter().map(append) {
        let class = Classification::of(&append.message.event);
        let mut group = criterion.benchmark_group(class.name);
        group.throughput(Throughput::Elements(1));
        group.bench_function("write", |bencher| bencher.iter(|| wire::encode(black_box(&append)).unwrap()));
        let record: RawRecord = wire::encode(&append).unwrap();
        let at = Position { topic: class.topic(), partition: 1, offset: 7 };
        group.bench_function("read", |bencher| {
            bencher.iter(|| wire::decode(at, &RecordView::of(black_box(&record))).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
