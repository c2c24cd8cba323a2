//! A part of a Kafka cluster, a history of orders, a clock, an outside world, and a runner that can be stopped.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test program uses its own part of this")]

pub mod cluster;
pub mod history;
pub mod outside;
