//! What the log on Kafka and `kbnt topics ensure` promise, on a real broker: `KBNT_TEST_BOOTSTRAP` says where one is.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod dead_letters;
mod intact;
mod log;
mod members;
mod odd;
mod program;
