//! Payment gateways and webhooks over HTTP, with a server that misbehaves in every possible way.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc
)]

mod gateway;
mod server;
mod webhook;

use std::time::Duration;

use kbnt_adapters::outbound::{BreakerConfig, OutboundConfig};
use kbnt_domain::{Currency, Money, OrderId, UserId};

/// Short time limits, and a circuit that stays closed.
pub fn hasty() -> OutboundConfig {
    OutboundConfig {
        timeout: Duration::from_millis(300),
        connect_timeout: Duration::from_millis(300),
        tries: 3,
        pause: Duration::from_millis(5),
        breaker: BreakerConfig { failures: 1000, pause: Duration::from_millis(300) },
    }
}

pub fn user() -> UserId {
    "USER-1".parse().unwrap()
}

pub fn order(key: &str) -> OrderId {
    OrderId::derive(&user(), key)
}

pub fn amount() -> Money {
    Money::parse("599.99", Currency::BRL).unwrap()
}
