//! The audit machine: one link of a hash chain for every record of the five topics.

mod canon;
mod machine;
#[cfg(test)]
mod tests;

pub use canon::content_hash;
pub use machine::AuditMachine;
