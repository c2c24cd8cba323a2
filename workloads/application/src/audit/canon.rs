//! A record's content as bytes that never change: what the audit trail vouches for.
//!
//! Each field is written in the order of its declaration with its length before it, so that no two contents share an
//! encoding. A field that is added later must be written only where it is set, or old records would change. None can be left out
//! unseen: whatever is written is taken apart without a rest.

use kbnt_domain::audit::{Hash, digest};
use kbnt_domain::event::{
    Basket, CancelKind, Event, InsufficientStock, Level, Line, LowStock, NotificationFailed,
    NotificationSent, OrderCancelRequested, OrderCancelled, OrderCreated, OrderRepeated, PaymentFailed,
    PaymentMethod, PaymentProcessed, PaymentRefunded, PlaceOrder, PricedLine, ProductNotFound,
    ReservationConfirmed, ReservationExpired, ReservationLost, ReservationRefused, ReservationReleased,
    StockDeclared, UserRegistered, UserRejected, UserStatus, UserStatusChanged, UserValidated,
    VirtualStockReserved,
};
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{
    EventId, Money, OrderId, ProductId, Quantity, Reason, ReservationId, SourceId, Timestamp, TransactionId,
    UserId,
};

use crate::event::{
    AuditLogCreated, DeadLetterResolved, DeadLetterStored, RecordedEvent, Resolution, Writer, WriterElected,
};
use crate::message::{Classification, Location, Message};

/// What a link vouches for: what the record says, and the bytes that say it, if their hash is known. Whoever sees only what the
/// record says can still check a link that holds the hash of the bytes.
pub fn vouched_hash(says: &Hash, bytes: Option<&Hash>) -> Hash {
    bytes.map_or(*says, |bytes| digest("kbnt/record/2", [says.as_slice(), bytes.as_slice()]))
}

/// The SHA-256 of what a record says: its envelope and its event.
pub fn content_hash(message: &Message) -> Hash {
    // The trace is about how a record came to be written, not about what it says.
    let Message { id, at, service, cause, trace: _, writer, event } = message;
    let mut out = Vec::with_capacity(512);
    id.put(&mut out);
    at.put(&mut out);
    service.name().put(&mut out);
    cause.put(&mut out);
    writer.as_deref().cloned().put(&mut out);
    Classification::of(event).name.put(&mut out);
    put_event(event, &mut out);
    digest("kbnt/record/1", [out.as_slice()])
}

/// Writes the fields of an event in this order. Whoever gives an event another field must say here whether the trail vouches for it, or
/// this does not compile.
macro_rules! put {
    ($out:ident, $event:ident: $type:ident { $($field:ident)+ } $(but { $($other:ident)+ })?) => {{
        let $type { $($field,)+ $($($other: _,)+)? } = $event;
        $($field.put($out);)+
    }};
}

fn put_event(event: &RecordedEvent, out: &mut Vec<u8>) {
    match event {
        RecordedEvent::Business(event) => put_business(event, out),
        RecordedEvent::WriterElected(e) => put!(out, e: WriterElected { writer }),
        RecordedEvent::AuditLogCreated(e) => {
            put!(out, e: AuditLogCreated { sequence hash }
                but { audited event_name subject location content_hash record_hash previous_hash });
        }
        RecordedEvent::DeadLetterStored(e) => {
            put!(out, e: DeadLetterStored { location value_hash }
                but { reason recorded_at key value headers whole value_bytes });
        }
        RecordedEvent::DeadLetterResolved(e) => {
            put!(out, e: DeadLetterResolved { location how replayed_to by reason });
        }
    }
}

fn put_business(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::PlaceOrder(e) => put!(out, e: PlaceOrder { order basket }),
        Event::OrderCancelRequested(e) => put!(out, e: OrderCancelRequested { order }),
        Event::OrderCreated(e) => put!(out, e: OrderCreated { order user reservation amount transaction }),
        Event::OrderCancelled(e) => put!(out, e: OrderCancelled { order user kind reason }),
        Event::UserRegistered(e) => put!(out, e: UserRegistered { user name email }),
        Event::UserStatusChanged(e) => put!(out, e: UserStatusChanged { user status }),
        Event::UserValidated(e) => put!(out, e: UserValidated { order basket placed_at }),
        Event::UserRejected(e) => {
            put!(out, e: UserRejected { order user reason } but { repeated });
            if e.repeated {
                put_bytes(b"repeated", out);
            }
        }
        Event::StockDeclared(e) => {
            put!(out, e: StockDeclared { product name unit_price low_stock_threshold source received level });
        }
        Event::LowStock(e) => put!(out, e: LowStock { product threshold level }),
        Event::VirtualStockReserved(e) => {
            put!(out, e: VirtualStockReserved { order reservation user attempt lines amount payment expires_at fingerprint });
        }
        Event::InsufficientStock(e) => {
            put!(out, e: InsufficientStock { order user product requested available fingerprint });
        }
        Event::ProductNotFound(e) => put!(out, e: ProductNotFound { order user product fingerprint }),
        Event::ReservationRefused(e) => put!(out, e: ReservationRefused { order user reason fingerprint }),
        Event::ReservationConfirmed(e) => {
            put!(out, e: ReservationConfirmed { order reservation user amount transaction });
        }
        Event::ReservationReleased(e) => put!(out, e: ReservationReleased { order reservation reason }),
        Event::ReservationExpired(e) => put!(out, e: ReservationExpired { order reservation deadline }),
        Event::ReservationLost(e) => {
            put!(out, e: ReservationLost { order reservation amount transaction reason });
        }
        Event::PaymentProcessed(e) => put!(out, e: PaymentProcessed { order reservation amount transaction }),
        Event::PaymentFailed(e) => {
            put!(out, e: PaymentFailed { order reservation amount reason } but { refund_due });
            if e.refund_due {
                put_bytes(b"refund due", out);
            }
        }
        Event::PaymentRefunded(e) => put!(out, e: PaymentRefunded { order amount transaction reason }),
        Event::NotificationSent(e) => put!(out, e: NotificationSent { order user channel template }),
        Event::NotificationFailed(e) => put!(out, e: NotificationFailed { order user channel detail }),
        Event::OrderRepeated(e) => {
            put!(out, e: OrderRepeated { order user status reason reservation fingerprint });
        }
    }
}

/// A value with an encoding that never changes.
trait Field {
    fn put(&self, out: &mut Vec<u8>);
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

macro_rules! fields {
    ($($type:ty => |$value:ident| $bytes:expr;)+) => {
        $(impl Field for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let $value = self;
                put_bytes($bytes, out);
            }
        })+
    };
}

fields! {
    u32 => |n| &n.to_be_bytes();
    u64 => |n| &n.to_be_bytes();
    &str => |text| text.as_bytes();
    String => |text| text.as_bytes();
    Hash => |hash| hash;
    EventId => |id| id.as_uuid().as_bytes();
    OrderId => |id| id.as_uuid().as_bytes();
    ReservationId => |id| id.as_uuid().as_bytes();
    ProductId => |id| id.as_str().as_bytes();
    UserId => |id| id.as_str().as_bytes();
    SourceId => |id| id.as_str().as_bytes();
    TransactionId => |id| id.as_str().as_bytes();
    Quantity => |quantity| &quantity.units().to_be_bytes();
    Timestamp => |at| &at.as_millis().to_be_bytes();
    Reason => |reason| reason.code().as_bytes();
    OrderStatus => |status| status.code().as_bytes();
    UserStatus => |status| match status { UserStatus::Active => b"ACTIVE", UserStatus::Blocked => b"BLOCKED" };
    Resolution => |how| match how { Resolution::Replayed => b"REPLAYED", Resolution::Discarded => b"DISCARDED" };
    CancelKind => |kind| match kind { CancelKind::Rejected => b"REJECTED", CancelKind::Cancelled => b"CANCELLED" };
}

macro_rules! composite {
    ($type:ident { $($part:ident)+ }) => {
        impl Field for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($part,)+ } = self;
                $($part.put(out);)+
            }
        }
    };
}

composite!(Line { product quantity });
composite!(PricedLine { product units unit_price });
composite!(PaymentMethod { method token });
composite!(Basket { user lines payment });
composite!(Writer { term name });
composite!(Level { real reserved });

impl Field for Money {
    fn put(&self, out: &mut Vec<u8>) {
        let (minor, currency, places) = self.parts();
        put_bytes(&minor.to_be_bytes(), out);
        currency.put(out);
        // Earlier versions knew no other number of places, and their links must still be right.
        if places != 2 {
            put_bytes(&[places], out);
        }
    }
}

impl Field for Location {
    fn put(&self, out: &mut Vec<u8>) {
        let (topic, partition, offset) = self;
        topic.put(out);
        partition.put(out);
        offset.put(out);
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(&[u8::from(self.is_some())], out);
        if let Some(value) = self {
            value.put(out);
        }
    }
}

impl<T: Field> Field for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        for value in self {
            value.put(out);
        }
    }
}
