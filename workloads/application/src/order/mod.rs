//! The order machine: concludes each order once the facts suffice.

mod commands;
mod machine;
#[cfg(test)]
mod tests;

pub use commands::{place_order, request_cancel};
pub use machine::OrderMachine;
