//! Which payload belongs to which event name.

use kbnt_application::message::Service;
use kbnt_application::{RecordedEvent, Topic};
use kbnt_domain::Event;
use serde::de::IgnoredAny;
use serde::{Deserialize as _, Deserializer, Serialize, Serializer};

use super::{audit, inventory, notification, order, payment, user};

/// The only version of every event that there is so far.
pub(super) const VERSION: u32 = 1;

/// An event's payload, ready to be written.
pub(super) struct Outgoing<'a>(pub(super) &'a RecordedEvent);

macro_rules! payloads {
    (
        business { $($variant:ident, $name:literal, $owner:ident => $def:path;)+ }
        log { $($log_variant:ident, $log_name:literal, $log_owner:ident => $log_def:path;)+ }
    ) => {
        impl Serialize for Outgoing<'_> {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                match self.0 {
                    $(RecordedEvent::Business(Event::$variant(event)) => <$def>::serialize(event, to),)+
                    $(RecordedEvent::$log_variant(event) => <$log_def>::serialize(event, to),)+
                }
            }
        }

        /// Reads the payload of the event of this name; `None` where there is no such name on `topic`.
        pub(super) fn read<'de, D: Deserializer<'de>>(
            topic: Topic,
            name: &str,
            from: D,
        ) -> Result<Option<RecordedEvent>, D::Error> {
            match name {
                $($name if topic == Service::$owner.output() => {
                    <$def>::deserialize(from).map(|event| Some(RecordedEvent::Business(Event::$variant(event))))
                })+
                $($log_name if topic == Service::$log_owner.output() => {
                    <$log_def>::deserialize(from).map(|event| Some(RecordedEvent::$log_variant(event)))
                })+
                _ => IgnoredAny::deserialize(from).map(|_| None),
            }
        }
    };
}

payloads! {
    business {
        PlaceOrder, "PlaceOrderCommand", Order => order::PlaceOrderDef;
        OrderCancelRequested, "OrderCancelRequestedCommand", Order => order::OrderCancelRequestedDef;
        OrderCreated, "OrderCreatedEvent", Order => order::OrderCreatedDef;
        OrderCancelled, "OrderCancelledEvent", Order => order::OrderCancelledDef;
        UserRegistered, "UserRegisteredEvent", User => user::UserRegisteredDef;
        UserStatusChanged, "UserStatusChangedEvent", User => user::UserStatusChangedDef;
        UserValidated, "UserValidatedEvent", User => user::UserValidatedDef;
        UserRejected, "UserRejectedEvent", User => user::UserRejectedDef;
        StockDeclared, "StockDeclaredEvent", Inventory => inventory::StockDeclaredDef;
        LowStock, "LowStockEvent", Inventory => inventory::LowStockDef;
        VirtualStockReserved, "VirtualStockReservedEvent", Inventory => inventory::VirtualStockReservedDef;
        InsufficientStock, "InsufficientStockEvent", Inventory => inventory::InsufficientStockDef;
        ProductNotFound, "ProductNotFoundEvent", Inventory => inventory::ProductNotFoundDef;
        ReservationRefused, "ReservationRefusedEvent", Inventory => inventory::ReservationRefusedDef;
        ReservationConfirmed, "ReservationConfirmedEvent", Inventory => inventory::ReservationConfirmedDef;
        ReservationReleased, "ReservationReleasedEvent", Inventory => inventory::ReservationReleasedDef;
        ReservationExpired, "ReservationExpiredEvent", Inventory => inventory::ReservationExpiredDef;
        ReservationLost, "ReservationLostEvent", Inventory => inventory::ReservationLostDef;
        OrderRepeated, "OrderRepeatedEvent", Inventory => inventory::OrderRepeatedDef;
        PaymentProcessed, "PaymentProcessedEvent", Payment => payment::PaymentProcessedDef;
        PaymentFailed, "PaymentFailedEvent", Payment => payment::PaymentFailedDef;
        PaymentRefunded, "PaymentRefundedEvent", Payment => payment::PaymentRefundedDef;
        NotificationSent, "NotificationSentEvent", Notification => notification::NotificationSentDef;
        NotificationFailed, "NotificationFailedEvent", Notification => notification::NotificationFailedDef;
    }
    log {
        WriterElected, "WriterElected", Inventory => inventory::WriterElectedDef;
        AuditLogCreated, "AuditLogCreated", Audit => audit::AuditLogCreatedDef;
        DeadLetterStored, "DeadLetterStored", Audit => audit::DeadLetterStoredDef;
        DeadLetterResolved, "DeadLetterResolved", Audit => audit::DeadLetterResolvedDef;
    }
}
