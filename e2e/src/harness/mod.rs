//! The harness of the suites: the cluster through `kubectl`, the services through HTTP, Kafka through its own
//! Java client.
//!
//! Nothing here uses the product's code: the suites see what a user sees.

mod http;
mod kafka;
mod kubectl;
mod shop;
mod volumes;
mod wait;

pub use http::{Answer, Http};
pub use kafka::{Consumed, Kafka};
pub use kubectl::{Kubectl, Outcome};
pub use shop::Shop;
pub use volumes::Volumes;
pub use wait::{Failure, until};
