//! Any event that there can be.

use kbnt_application::event::{
    AuditLogCreated, Bytes, DeadLetterResolved, DeadLetterStored, RecordedEvent, Resolution, Writer,
    WriterElected,
};
use kbnt_application::message::Location;
use kbnt_application::message::{Classification, Message, Service, Trace};
use kbnt_domain::event::{
    Basket, CancelKind, InsufficientStock, Level, Line, LowStock, NotificationFailed, NotificationSent,
    OrderCancelRequested, OrderCancelled, OrderCreated, OrderRepeated, PaymentFailed, PaymentMethod,
    PaymentProcessed, PaymentRefunded, PlaceOrder, PricedLine, ProductNotFound, ReservationConfirmed,
    ReservationExpired, ReservationLost, ReservationRefused, ReservationReleased, StockDeclared,
    UserRegistered, UserRejected, UserStatus, UserStatusChanged, UserValidated, VirtualStockReserved,
};
use kbnt_domain::order::OrderStatus;
use kbnt_domain::stock::UNITS_MOST;
use kbnt_domain::{
    Currency, EventId, Money, OrderId, ProductId, Quantity, Reason, ReservationId, SourceId, Timestamp,
    TransactionId, UserId,
};
use proptest::prelude::*;
use uuid::Uuid;

fn id() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._-]{1,64}"
}

macro_rules! text_ids {
    ($($name:ident: $type:ty;)+) => {
        $(fn $name() -> impl Strategy<Value = $type> {
            id().prop_map(|text| text.parse().unwrap())
        })+
    };
}

text_ids! {
    user: UserId;
    product: ProductId;
    source: SourceId;
}

/// Of any script, short and as long as they come.
fn transaction() -> impl Strategy<Value = TransactionId> {
    prop_oneof!["[^\\p{Cc}]{1,255}", id()].prop_map(|text| text.parse().unwrap())
}

fn order() -> impl Strategy<Value = OrderId> {
    any::<u128>().prop_map(|bits| OrderId::from_uuid(Uuid::from_u128(bits)))
}

fn reservation() -> impl Strategy<Value = ReservationId> {
    any::<u128>().prop_map(|bits| ReservationId::from_uuid(Uuid::from_u128(bits)))
}

fn event_id() -> impl Strategy<Value = EventId> {
    any::<u128>().prop_map(|bits| EventId::from_uuid(Uuid::from_u128(bits)))
}

fn money() -> impl Strategy<Value = Money> {
    let recorded = (0..=i64::MAX, "[A-Z]{3}").prop_map(|(minor, code)| {
        // As earlier versions wrote it: any three letters, and two places.
        let currency = Currency::recorded(&code, 2).unwrap();
        Money::from_minor(minor, currency).unwrap()
    });
    let present = (0..=i64::MAX, prop::sample::select(vec!["BRL", "JPY", "KWD"]))
        .prop_map(|(minor, code)| Money::from_minor(minor, code.parse().unwrap()).unwrap());
    prop_oneof![recorded, present]
}

fn reason() -> impl Strategy<Value = Reason> {
    prop::sample::select(Reason::ALL)
}

/// From year 0 to 9999, for which there is a form.
fn instant() -> impl Strategy<Value = Timestamp> {
    (-62_167_219_200_000_i64..=253_402_300_799_999).prop_map(Timestamp::from_millis)
}

fn repeated() -> impl Strategy<Value = RecordedEvent> {
    let ends =
        prop::sample::select(&[OrderStatus::Confirmed, OrderStatus::Rejected, OrderStatus::Cancelled][..]);
    let reason = prop::option::of(reason());
    (order(), user(), ends, reason, prop::option::of(reservation()), any::<u64>()).prop_map(
        |(order, user, status, reason, reservation, fingerprint)| {
            OrderRepeated { order, user, status, reason, reservation, fingerprint }.into()
        },
    )
}

fn level() -> impl Strategy<Value = Level> {
    (any::<u64>(), any::<u64>()).prop_map(|(a, b)| Level { real: a.max(b), reserved: a.min(b) })
}

fn payment() -> impl Strategy<Value = PaymentMethod> {
    (any::<String>(), any::<Option<String>>()).prop_map(|(method, token)| PaymentMethod { method, token })
}

fn writer() -> impl Strategy<Value = Writer> {
    (prop_oneof![0..9_u64, any::<u64>()], any::<String>()).prop_map(|(term, name)| Writer { term, name })
}

fn basket() -> impl Strategy<Value = Basket> {
    let line = (product(), 1..=u64::from(Quantity::MAX))
        .prop_map(|(product, units)| Line { product, quantity: Quantity::new(units).unwrap() });
    (user(), prop::collection::vec(line, 1..=100), payment()).prop_map(|(user, lines, payment)| Basket {
        user,
        lines,
        payment,
    })
}

fn priced() -> impl Strategy<Value = Vec<PricedLine>> {
    let line = (product(), any::<u64>(), money()).prop_map(|(product, units, unit_price)| PricedLine {
        product,
        units,
        unit_price,
    });
    prop::collection::vec(line, 0..5)
}

fn of_orders() -> impl Strategy<Value = RecordedEvent> {
    let kind = prop::sample::select(vec![CancelKind::Rejected, CancelKind::Cancelled]);
    prop_oneof![
        (order(), basket()).prop_map(|(order, basket)| PlaceOrder { order, basket }.into()),
        order().prop_map(|order| OrderCancelRequested { order }.into()),
        (order(), user(), reservation(), money(), transaction()).prop_map(
            |(order, user, reservation, amount, transaction)| {
                OrderCreated { order, user, reservation, amount, transaction }.into()
            }
        ),
        (order(), user(), kind, reason()).prop_map(|(order, user, kind, reason)| OrderCancelled {
            order,
            user,
            kind,
            reason
        }
        .into()),
    ]
}

fn of_users() -> impl Strategy<Value = RecordedEvent> {
    let status = prop::sample::select(vec![UserStatus::Active, UserStatus::Blocked]);
    prop_oneof![
        (user(), any::<String>(), any::<String>()).prop_map(|(user, name, email)| UserRegistered {
            user,
            name,
            email
        }
        .into()),
        (user(), status).prop_map(|(user, status)| UserStatusChanged { user, status }.into()),
        (order(), basket(), instant()).prop_map(|(order, basket, placed_at)| UserValidated {
            order,
            basket,
            placed_at
        }
        .into()),
        (order(), user(), reason(), any::<bool>()).prop_map(|(order, user, reason, repeated)| UserRejected {
            order,
            user,
            reason,
            repeated
        }
        .into()),
    ]
}

fn of_payments() -> impl Strategy<Value = RecordedEvent> {
    prop_oneof![
        (order(), reservation(), money(), transaction()).prop_map(
            |(order, reservation, amount, transaction)| {
                PaymentProcessed { order, reservation, amount, transaction }.into()
            }
        ),
        (order(), reservation(), money(), reason(), any::<bool>()).prop_map(
            |(order, reservation, amount, reason, refund_due)| {
                PaymentFailed { order, reservation, amount, reason, refund_due }.into()
            }
        ),
        (order(), money(), transaction(), reason()).prop_map(|(order, amount, transaction, reason)| {
            PaymentRefunded { order, amount, transaction, reason }.into()
        }),
    ]
}

fn of_stock() -> impl Strategy<Value = RecordedEvent> {
    prop_oneof![
        writer().prop_map(|writer| WriterElected { writer }.into()),
        (product(), any::<String>(), money(), any::<u64>(), source(), 0..=UNITS_MOST, level()).prop_map(
            |(product, name, unit_price, low_stock_threshold, source, received, level)| {
                StockDeclared { product, name, unit_price, low_stock_threshold, source, received, level }
                    .into()
            }
        ),
        (product(), any::<u64>(), level()).prop_map(|(product, threshold, level)| LowStock {
            product,
            threshold,
            level
        }
        .into()),
        (order(), user(), product(), any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
            |(order, user, product, requested, available, fingerprint)| {
                InsufficientStock { order, user, product, requested, available, fingerprint }.into()
            }
        ),
        (order(), user(), product(), any::<u64>()).prop_map(|(order, user, product, fingerprint)| {
            ProductNotFound { order, user, product, fingerprint }.into()
        }),
    ]
}

fn of_reservations() -> impl Strategy<Value = RecordedEvent> {
    let reserved = (
        (order(), reservation(), user(), 0..=1_000_u32, priced()),
        (money(), prop::option::of(payment()), instant(), any::<u64>()),
    )
        .prop_map(
            |((order, reservation, user, attempt, lines), (amount, payment, expires_at, fingerprint))| {
                VirtualStockReserved {
                    order,
                    reservation,
                    user,
                    attempt,
                    lines,
                    amount,
                    payment,
                    expires_at,
                    fingerprint,
                }
                .into()
            },
        );
    prop_oneof![
        reserved,
        (order(), user(), reason(), any::<u64>()).prop_map(|(order, user, reason, fingerprint)| {
            ReservationRefused { order, user, reason, fingerprint }.into()
        }),
        repeated(),
        (order(), reservation(), user(), money(), transaction()).prop_map(
            |(order, reservation, user, amount, transaction)| {
                ReservationConfirmed { order, reservation, user, amount, transaction }.into()
            }
        ),
        (order(), prop::option::of(reservation()), reason()).prop_map(|(order, reservation, reason)| {
            ReservationReleased { order, reservation, reason }.into()
        }),
        (order(), reservation(), instant()).prop_map(|(order, reservation, deadline)| ReservationExpired {
            order,
            reservation,
            deadline
        }
        .into()),
        (order(), prop::option::of(reservation()), money(), transaction(), reason()).prop_map(
            |(order, reservation, amount, transaction, reason)| {
                ReservationLost { order, reservation, amount, transaction, reason }.into()
            }
        ),
    ]
}

fn location() -> impl Strategy<Value = Location> {
    any::<(String, u32, u64)>()
}

fn bytes() -> impl Strategy<Value = Option<Bytes>> {
    prop::option::of(any::<Vec<u8>>().prop_map(Bytes::from))
}

fn of_dead_letters() -> impl Strategy<Value = RecordedEvent> {
    let headers = prop::collection::vec((any::<String>(), bytes()), 0..4);
    let stored = (
        (location(), any::<String>(), instant(), bytes(), bytes(), headers),
        (any::<bool>(), any::<u64>(), any::<Option<[u8; 32]>>()),
    )
        .prop_map(
            |((location, reason, recorded_at, key, value, headers), (whole, value_bytes, value_hash))| {
                DeadLetterStored {
                    location,
                    reason,
                    recorded_at,
                    key,
                    value,
                    headers,
                    whole,
                    value_bytes,
                    value_hash,
                }
                .into()
            },
        );
    let how = prop::sample::select(vec![Resolution::Replayed, Resolution::Discarded]);
    let resolved = (location(), how, prop::option::of(location()), any::<String>(), any::<String>())
        .prop_map(|(location, how, replayed_to, by, reason)| {
            DeadLetterResolved { location, how, replayed_to, by, reason }.into()
        });
    prop_oneof![stored, resolved]
}

fn of_infrastructure() -> impl Strategy<Value = RecordedEvent> {
    let audit = (
        (any::<u64>(), event_id(), any::<String>(), any::<String>()),
        (any::<String>(), any::<u32>(), any::<u64>()),
        (any::<[u8; 32]>(), any::<Option<[u8; 32]>>(), any::<[u8; 32]>(), any::<[u8; 32]>()),
    )
        .prop_map(|((sequence, audited, event_name, subject), location, hashes)| {
            let (content_hash, record_hash, previous_hash, hash) = hashes;
            AuditLogCreated {
                sequence,
                audited,
                event_name,
                subject,
                location,
                content_hash,
                record_hash,
                previous_hash,
                hash,
            }
            .into()
        });
    prop_oneof![
        audit,
        (order(), user(), any::<String>(), any::<String>()).prop_map(|(order, user, channel, template)| {
            NotificationSent { order, user, channel, template }.into()
        }),
        (order(), user(), any::<String>(), any::<String>()).prop_map(|(order, user, channel, detail)| {
            NotificationFailed { order, user, channel, detail }.into()
        }),
    ]
}

pub fn event() -> impl Strategy<Value = RecordedEvent> {
    prop_oneof![
        of_orders(),
        of_users(),
        of_payments(),
        of_stock(),
        of_reservations(),
        of_infrastructure(),
        of_dead_letters()
    ]
}

/// Any message, written by the service that owns its event.
pub fn message() -> impl Strategy<Value = Message> {
    let trace = (1_u128.., 1_u64.., any::<bool>()).prop_map(|(trace_id, span_id, sampled)| Trace {
        trace_id,
        span_id,
        sampled,
    });
    (event_id(), instant(), prop::option::of(event_id()), trace, prop::option::of(writer()), event())
        .prop_map(|(id, at, cause, trace, writer, event)| {
            let service = Classification::of(&event).owner;
            let writer = writer.filter(|_| service == Service::Inventory).map(std::sync::Arc::new);
            Message { id, at, service, cause, trace, writer, event }
        })
}
