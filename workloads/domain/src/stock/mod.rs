//! Virtual stock: real, reserved, and available, which is real less reserved.
//!
//! The [`Ledger`] takes one decision after another, each at a time that it is given, and emits the events that follow.
//! It is exact about time (whatever is due at the time of a decision expires before it), idempotent by order, and careful
//! with the log: what it takes away counts at once, but what it frees may be promised only after the record that
//! frees it is safe ([`Ledger::settle`]). So whatever part of the unsafe records a crash takes away, what is left is never
//! more than was there.

mod archive;
mod clock;
mod closed_orders;
mod copies;
mod credit;
mod decision;
mod declaration;
mod fold;
pub mod image;
mod index;
mod ledger;
mod payment;
mod prefetch;
mod product;
mod repeat;
mod reservations;
mod reserve;
mod show;
mod verify;
mod view;

pub use credit::CreditId;
pub use decision::{EmittedEvent, Outcome, Request, StockTerms};
pub use declaration::{Declaration, DeclareError, SOURCES_MOST, UNITS_MOST};
pub use ledger::Ledger;
pub use verify::Violation;
pub use view::{
    Held, LevelPage, Portion, ProductLevel, ReservationFilter, ReservationPage, ReservationPlace,
    ReservationState, ReservationView, StockFilter, Totals,
};
