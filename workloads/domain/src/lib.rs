//! The rules of virtual stock: what is reserved, confirmed, released and expired, who may order, what a
//! payment may do and what makes an audit chain sound.
//!
//! Nothing here knows of time sources, storage, networks or wire formats: every function is a pure step from a
//! state and an input to a new state and events.

pub mod audit;
mod digest;
pub mod event;
pub mod ids;
pub mod money;
pub mod order;
pub mod payment;
pub mod quantity;
pub mod reason;
pub mod stock;
pub mod time;
pub mod user;

pub use event::Event;
pub use ids::{EventId, OrderId, ProductId, ReservationId, SourceId, TransactionId, UserId};
pub use kbnt_rules as rules;
pub use money::{Currency, Money, MoneyError};
pub use quantity::Quantity;
pub use reason::Reason;
pub use time::{Span, Timestamp};
