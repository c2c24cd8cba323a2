//! What the machines of a group have in common: state by partition, memory of ended orders, inputs that wait.

mod holds;
mod inputs;
mod memory;
mod present;

pub use holds::Holds;
pub use inputs::Inputs;
pub use memory::{Limits, Memory};
pub use present::Present;

use kbnt_domain::OrderId;

use crate::message::{Message, Subject};

/// The order that a message is about.
pub fn order_of(message: &Message) -> Option<OrderId> {
    match Subject::of(&message.event) {
        Subject::Order(order) => Some(order),
        _ => None,
    }
}
