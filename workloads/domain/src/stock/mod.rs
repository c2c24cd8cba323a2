//! Virtual stock: real, reserved, and available, which is real less reserved.

mod declaration;
mod view;

pub use declaration::{Declaration, DeclareError, UNITS_MOST};
pub use view::{Held, ProductLevel, ReservationFilter, ReservationState, ReservationView, Totals};
