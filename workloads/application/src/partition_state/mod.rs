//! What the machines of a group have in common: state by partition, memory of ended orders, inputs that wait.

mod holds;
mod inputs;
mod memory;
mod present;

pub use holds::Holds;
pub use inputs::Inputs;
pub use memory::{Limits, Memory};
pub use present::Present;
