//! How each event is described in its envelope: one table for the wire, the console and the metrics.

use kbnt_domain::Event;
use kbnt_domain::event::EventKind;

use super::position::Location;
use super::{Service, Topic};
use crate::event::RecordedEvent;

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// Asks for something.
    Command,
    /// Tells that something happened.
    Domain,
    /// Tells what was exchanged with the world outside.
    Integration,
}

impl EventType {
    /// As in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "CommandEvent",
            Self::Domain => "DomainEvent",
            Self::Integration => "IntegrationEvent",
        }
    }
}

/// How much a person should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Info,
    /// Not as the customer wished.
    Warn,
    /// Somebody should look.
    Error,
}

impl Level {
    /// As in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// The hexagon's layer of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Business rules.
    Domain,
    /// Orchestration.
    Application,
    /// The outside.
    Infrastructure,
}

impl Layer {
    /// As in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Application => "application",
            Self::Infrastructure => "infrastructure",
        }
    }
}

impl Service {
    /// The layer that the service belongs to.
    pub const fn layer(self) -> Layer {
        match self {
            Self::User | Self::Inventory => Layer::Domain,
            Self::Payment | Self::Order => Layer::Application,
            Self::Notification | Self::Audit => Layer::Infrastructure,
        }
    }

    /// The business domain that its events speak of, such as `inventory`.
    pub const fn domain(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Inventory => "inventory",
            Self::Payment => "payment",
            Self::Order => "order",
            Self::Notification => "notification",
            Self::Audit => "audit",
        }
    }
}

/// An event's row in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classification {
    /// `eventName`.
    pub name: &'static str,
    /// `eventType`.
    pub event_type: EventType,
    /// `level`.
    pub level: Level,
    /// `operation`.
    pub operation: &'static str,
    /// The service whose topic carries it.
    pub owner: Service,
}

impl Classification {
    /// The row of `event`.
    pub const fn of(event: &RecordedEvent) -> Self {
        use EventType::{Domain, Integration};
        use Level::{Info, Warn};
        use Service::{Audit, Inventory};
        let (name, event_type, level, operation, owner) = match event {
            RecordedEvent::Business(event) => return Self::of_kind(event.kind()),
            RecordedEvent::WriterElected(_) => ("WriterElected", Domain, Info, "writer-elected", Inventory),
            RecordedEvent::AuditLogCreated(_) => {
                ("AuditLogCreated", Integration, Info, "audit-log-created", Audit)
            }
            RecordedEvent::DeadLetterStored(_) => {
                ("DeadLetterStored", Integration, Warn, "dead-letter-stored", Audit)
            }
            RecordedEvent::DeadLetterResolved(_) => {
                ("DeadLetterResolved", Integration, Info, "dead-letter-resolved", Audit)
            }
        };
        Self { name, event_type, level, operation, owner }
    }

    /// The row of a kind of event of the business.
    pub const fn of_kind(kind: EventKind) -> Self {
        use EventType::{Command, Domain, Integration};
        use Level::{Error, Info, Warn};
        use Service::{Inventory, Notification, Order, Payment, User};
        let (name, event_type, level, operation, owner) = match kind {
            EventKind::PlaceOrder => ("PlaceOrderCommand", Command, Info, "place-order", Order),
            EventKind::OrderCancelRequested => {
                ("OrderCancelRequestedCommand", Command, Info, "cancel-order", Order)
            }
            EventKind::OrderCreated => ("OrderCreatedEvent", Domain, Info, "order-created", Order),
            EventKind::OrderCancelled => ("OrderCancelledEvent", Domain, Warn, "order-cancelled", Order),
            EventKind::UserRegistered => ("UserRegisteredEvent", Domain, Info, "user-registered", User),
            EventKind::UserStatusChanged => {
                ("UserStatusChangedEvent", Domain, Info, "user-status-changed", User)
            }
            EventKind::UserValidated => ("UserValidatedEvent", Domain, Info, "user-validated", User),
            EventKind::UserRejected => ("UserRejectedEvent", Domain, Warn, "user-rejected", User),
            EventKind::StockDeclared => ("StockDeclaredEvent", Domain, Info, "stock-declared", Inventory),
            EventKind::LowStock => ("LowStockEvent", Domain, Warn, "stock-low", Inventory),
            EventKind::VirtualStockReserved => {
                ("VirtualStockReservedEvent", Domain, Info, "stock-reserved", Inventory)
            }
            EventKind::InsufficientStock => {
                ("InsufficientStockEvent", Domain, Warn, "stock-insufficient", Inventory)
            }
            EventKind::ProductNotFound => {
                ("ProductNotFoundEvent", Domain, Warn, "product-not-found", Inventory)
            }
            EventKind::ReservationRefused => {
                ("ReservationRefusedEvent", Domain, Warn, "reservation-refused", Inventory)
            }
            EventKind::ReservationConfirmed => {
                ("ReservationConfirmedEvent", Domain, Info, "reservation-confirmed", Inventory)
            }
            EventKind::ReservationReleased => {
                ("ReservationReleasedEvent", Domain, Warn, "reservation-released", Inventory)
            }
            EventKind::ReservationExpired => {
                ("ReservationExpiredEvent", Domain, Warn, "reservation-expired", Inventory)
            }
            EventKind::ReservationLost => {
                ("ReservationLostEvent", Domain, Error, "reservation-lost", Inventory)
            }
            EventKind::OrderRepeated => ("OrderRepeatedEvent", Domain, Info, "order-repeated", Inventory),
            EventKind::PaymentProcessed => {
                ("PaymentProcessedEvent", Domain, Info, "payment-processed", Payment)
            }
            EventKind::PaymentFailed => ("PaymentFailedEvent", Domain, Warn, "payment-failed", Payment),
            EventKind::PaymentRefunded => ("PaymentRefundedEvent", Domain, Warn, "payment-refunded", Payment),
            EventKind::NotificationSent => {
                ("NotificationSentEvent", Integration, Info, "notification-sent", Notification)
            }
            EventKind::NotificationFailed => {
                ("NotificationFailedEvent", Integration, Error, "notification-failed", Notification)
            }
        };
        Self { name, event_type, level, operation, owner }
    }

    /// The topic that carries it.
    pub const fn topic(&self) -> Topic {
        self.owner.output()
    }
}

/// What a record is about, which is also its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An order: `correlationId` and key.
    Order(kbnt_domain::OrderId),
    /// A user of user management.
    User(kbnt_domain::UserId),
    /// A product's stock level.
    Product(kbnt_domain::ProductId),
    /// The partition itself.
    Partition,
    /// What an audited record was about, as its key said; of one that nobody understands, where it lies.
    Audited(String),
}

impl Subject {
    /// What `event` is about.
    pub fn of(event: &RecordedEvent) -> Self {
        match event {
            RecordedEvent::Business(event) => Self::of_business(event),
            RecordedEvent::WriterElected(_) => Self::Partition,
            RecordedEvent::AuditLogCreated(e) => Self::Audited(e.subject.clone()),
            RecordedEvent::DeadLetterStored(e) => Self::Audited(place(&e.location)),
            RecordedEvent::DeadLetterResolved(e) => Self::Audited(place(&e.location)),
        }
    }

    fn of_business(event: &Event) -> Self {
        match event {
            Event::PlaceOrder(e) => Self::Order(e.order),
            Event::OrderCancelRequested(e) => Self::Order(e.order),
            Event::OrderCreated(e) => Self::Order(e.order),
            Event::OrderCancelled(e) => Self::Order(e.order),
            Event::UserRegistered(e) => Self::User(e.user.clone()),
            Event::UserStatusChanged(e) => Self::User(e.user.clone()),
            Event::UserValidated(e) => Self::Order(e.order),
            Event::UserRejected(e) => Self::Order(e.order),
            Event::StockDeclared(e) => Self::Product(e.product.clone()),
            Event::LowStock(e) => Self::Product(e.product.clone()),
            Event::VirtualStockReserved(e) => Self::Order(e.order),
            Event::InsufficientStock(e) => Self::Order(e.order),
            Event::ProductNotFound(e) => Self::Order(e.order),
            Event::ReservationRefused(e) => Self::Order(e.order),
            Event::ReservationConfirmed(e) => Self::Order(e.order),
            Event::ReservationReleased(e) => Self::Order(e.order),
            Event::ReservationExpired(e) => Self::Order(e.order),
            Event::ReservationLost(e) => Self::Order(e.order),
            Event::OrderRepeated(e) => Self::Order(e.order),
            Event::PaymentProcessed(e) => Self::Order(e.order),
            Event::PaymentFailed(e) => Self::Order(e.order),
            Event::PaymentRefunded(e) => Self::Order(e.order),
            Event::NotificationSent(e) => Self::Order(e.order),
            Event::NotificationFailed(e) => Self::Order(e.order),
        }
    }

    /// The record's key; `None` for a record that is about its partition.
    pub fn key(&self) -> Option<String> {
        match self {
            Self::Order(order) => Some(order.to_string()),
            Self::User(user) => Some(user.to_string()),
            Self::Product(product) => Some(product.to_string()),
            Self::Audited(subject) => Some(subject.clone()),
            Self::Partition => None,
        }
    }
}

/// Where a record lies, as a person says it.
fn place((topic, partition, offset): &Location) -> String {
    format!("{topic}/{partition}@{offset}")
}
