//! The notification machine: tells each customer once how the order ended.

mod machine;
#[cfg(test)]
mod tests;

pub use machine::NotificationMachine;
