//! What all clients of the cluster share: configuration, credentials, health and renewal.

pub(crate) mod config;
pub(crate) mod connection_health;
pub(crate) mod error;
pub(crate) mod metadata;
pub(crate) mod renewable;
pub(crate) mod security;
pub(crate) mod supervisor;
pub(crate) mod thread;

use std::time::Duration;

use kbnt_application::Topic;

/// How long a question to a broker may take.
pub(crate) const ASK: Duration = Duration::from_secs(5);

/// A partition.
pub(crate) type Place = (Topic, u32);

/// A partition as the client counts. No topic has so many that its type would not do.
pub(crate) fn number(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
