//! The user machine: who is registered, and whether the user of an order may order.

mod answered;
mod machine;
#[cfg(test)]
mod tests;

pub use machine::{Change, UserConfig, UserImage, UserMachine};
