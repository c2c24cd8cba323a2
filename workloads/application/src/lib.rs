//! The six services as deterministic state machines, and the ports through which a runtime drives them.
//!
//! A machine owns no clock, no socket and no randomness: it steps from its state, an input and the time that it is
//! told to new records and effects. The same machines run on Kafka, on the embedded log and in the simulator.

pub mod audit;
pub mod clock;
pub mod cut;
pub mod driver;
pub mod event;
pub mod fence;
pub mod history;
pub mod intact;
pub mod inventory;
pub mod machine;
pub mod message;
pub mod notification;
pub mod order;
pub mod partition_state;
pub mod payment;
pub mod ports;
pub mod projection;
pub mod projections;
#[cfg(test)]
mod testkit;
pub mod user;

pub use event::RecordedEvent;
pub use machine::{
    Append, Auditor, Delivered, Effect, EffectOutcome, Follows, Halt, Imaged, Machine, NotificationOutcome,
    NotificationRequest, Outbox, PaymentOutcome, PaymentRequest, Position, Route, SoleWriter,
};
pub use message::{Message, Service, Topic, Trace};
pub use projection::Projection;
