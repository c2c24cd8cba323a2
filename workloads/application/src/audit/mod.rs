//! The audit machine: one link of a hash chain for every record of the five topics. A record that nobody understands is
//! kept in the trail besides, as a dead letter.

mod canon;
mod coverage;
mod image;
mod machine;
#[cfg(test)]
mod tests;

pub use canon::{content_hash, vouched_hash};
pub use image::{AuditImage, Linked, Unsound};
pub use machine::{AuditMachine, DEAD_LETTER, dead_letter};
