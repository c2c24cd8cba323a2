//! The payment machine: charges, asks, refunds; one outcome per order.

mod machine;
mod partition;
#[cfg(test)]
mod tests;

pub use machine::PaymentMachine;
