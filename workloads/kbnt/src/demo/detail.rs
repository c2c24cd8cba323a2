//! A short description of an event.

use kbnt_application::RecordedEvent;
use kbnt_domain::Event;
use kbnt_domain::event::PricedLine;
use kbnt_wire::text::rfc3339;

fn lines(lines: &[PricedLine]) -> String {
    let line = |line: &PricedLine| format!("{} x {} at {}", line.units, line.product, line.unit_price);
    lines.iter().map(line).collect::<Vec<_>>().join(", ")
}

/// The important fields of `event`.
pub(crate) fn detail(event: &RecordedEvent) -> String {
    match event {
        RecordedEvent::Business(event) => of_business(event),
        RecordedEvent::WriterElected(e) => format!("{} of term {}", e.writer.name, e.writer.term),
        RecordedEvent::AuditLogCreated(e) => format!("link {}: {}", e.sequence, e.event_name),
        RecordedEvent::DeadLetterStored(e) => format!("nobody understands it: {}", e.reason),
        RecordedEvent::DeadLetterResolved(e) => format!("{:?} by {}: {}", e.how, e.by, e.reason),
    }
}

fn of_business(event: &Event) -> String {
    match event {
        Event::PlaceOrder(e) => {
            let line = |line: &kbnt_domain::event::Line| format!("{} x {}", line.quantity, line.product);
            format!(
                "{} wants {}",
                e.basket.user,
                e.basket.lines.iter().map(line).collect::<Vec<_>>().join(", ")
            )
        }
        Event::OrderCancelRequested(_) => "the customer wants it undone".to_owned(),
        Event::OrderCreated(e) => format!("{} paid {}", e.user, e.amount),
        Event::OrderCancelled(e) => e.reason.to_string(),
        Event::UserRegistered(e) => format!("{} <{}>", e.user, e.email),
        Event::UserStatusChanged(e) => format!("{} is {:?}", e.user, e.status),
        Event::UserValidated(e) => format!("{} may order", e.basket.user),
        Event::UserRejected(e) => format!("{}: {}", e.user, e.reason),
        Event::StockDeclared(e) => format!("{} of {} received from {}", e.received, e.product, e.source),
        Event::LowStock(e) => format!("{}: {} left", e.product, e.level.available()),
        Event::VirtualStockReserved(e) => format!("{}, until {}", lines(&e.lines), rfc3339(e.expires_at)),
        Event::InsufficientStock(e) => {
            format!("{} of {} asked for, {} available", e.requested, e.product, e.available)
        }
        Event::ProductNotFound(e) => format!("nobody has declared {}", e.product),
        Event::ReservationRefused(e) => e.reason.to_string(),
        Event::ReservationConfirmed(e) => format!("{} paid, the units have left the stock", e.amount),
        Event::ReservationReleased(e) => format!("{}: the units are available again", e.reason),
        Event::ReservationExpired(e) => {
            format!("since {} the units are available again", rfc3339(e.deadline))
        }
        Event::ReservationLost(e) => format!("{}: {} must be refunded", e.reason, e.amount),
        Event::OrderRepeated(e) => format!("it was asked for before, and is {}", e.status.code()),
        Event::PaymentProcessed(e) => format!("{} charged", e.amount),
        Event::PaymentFailed(e) => format!("{}: nothing was charged", e.reason),
        Event::PaymentRefunded(e) => format!("{} refunded", e.amount),
        Event::NotificationSent(e) => format!("{} told by {}: {}", e.user, e.channel, e.template),
        Event::NotificationFailed(e) => format!("{} could not be told: {}", e.user, e.detail),
    }
}
