//! A record's content as bytes that never change: what the audit trail vouches for.
//!
//! Each field is written in the order of its declaration with its length before it, so that no two contents share an
//! encoding. A field that is added later must be written only where it is set, or old records would change.

use kbnt_domain::audit::{Hash, digest};
use kbnt_domain::dead_letter::{Location, Resolution};
use kbnt_domain::event::{
    Basket, CancelKind, Event, Level, Line, PaymentMethod, PricedLine, UserStatus, Writer,
};
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{
    EventId, Money, OrderId, ProductId, Quantity, Reason, ReservationId, SourceId, Timestamp, TransactionId,
    UserId,
};

use crate::message::{Classification, Message};

/// The SHA-256 of what a record says: its envelope and its event.
pub fn content_hash(message: &Message) -> Hash {
    let mut out = Vec::with_capacity(512);
    message.id.put(&mut out);
    message.at.put(&mut out);
    message.service.name().put(&mut out);
    message.cause.put(&mut out);
    message.writer.as_deref().cloned().put(&mut out);
    Classification::of(&message.event).name.put(&mut out);
    put_event(&message.event, &mut out);
    digest("kbnt/record/1", [out.as_slice()])
}

macro_rules! put {
    ($out:ident, $event:ident: $($field:ident)+) => {{ $($event.$field.put($out);)+ }};
}

fn put_event(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::PlaceOrder(e) => put!(out, e: order basket),
        Event::OrderCancelRequested(e) => put!(out, e: order),
        Event::OrderCreated(e) => put!(out, e: order user reservation amount transaction),
        Event::OrderCancelled(e) => put!(out, e: order user kind reason),
        Event::UserRegistered(e) => put!(out, e: user name email),
        Event::UserStatusChanged(e) => put!(out, e: user status),
        Event::UserValidated(e) => put!(out, e: order basket placed_at),
        Event::UserRejected(e) => put!(out, e: order user reason),
        Event::WriterElected(e) => put!(out, e: writer),
        Event::StockDeclared(e) => {
            put!(out, e: product name unit_price low_stock_threshold source received level);
        }
        Event::LowStock(e) => put!(out, e: product threshold level),
        Event::VirtualStockReserved(e) => {
            put!(out, e: order reservation user attempt lines amount payment expires_at fingerprint);
        }
        Event::InsufficientStock(e) => put!(out, e: order user product requested available fingerprint),
        Event::ProductNotFound(e) => put!(out, e: order user product fingerprint),
        Event::ReservationRefused(e) => put!(out, e: order user reason fingerprint),
        Event::ReservationConfirmed(e) => put!(out, e: order reservation user amount transaction),
        Event::ReservationReleased(e) => put!(out, e: order reservation reason),
        Event::ReservationExpired(e) => put!(out, e: order reservation deadline),
        Event::ReservationLost(e) => put!(out, e: order reservation amount transaction reason),
        Event::OrderRepeated(e) => put!(out, e: order user status reason reservation fingerprint),
        Event::PaymentProcessed(e) => put!(out, e: order reservation amount transaction),
        Event::PaymentFailed(e) => put!(out, e: order reservation amount reason),
        Event::PaymentRefunded(e) => put!(out, e: order amount transaction reason),
        Event::NotificationSent(e) => put!(out, e: order user channel template),
        Event::NotificationFailed(e) => put!(out, e: order user channel detail),
        Event::AuditLogCreated(e) => put!(out, e: sequence hash),
        Event::DeadLetterStored(e) => put!(out, e: location value_hash),
        Event::DeadLetterResolved(e) => put!(out, e: location how replayed_to by reason),
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

macro_rules! composites {
    ($($type:ty => $($part:ident)+;)+) => {
        $(impl Field for $type {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$part.put(out);)+
            }
        })+
    };
}

composites! {
    Line => product quantity;
    PricedLine => product units unit_price;
    PaymentMethod => method token;
    Basket => user lines payment;
    Writer => term name;
    Level => real reserved;
}

impl Field for Money {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(&self.minor().to_be_bytes(), out);
        self.currency().code().put(out);
        // Earlier versions knew no other number of places, and their links must still be right.
        if self.currency().places() != 2 {
            put_bytes(&[self.currency().places()], out);
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
