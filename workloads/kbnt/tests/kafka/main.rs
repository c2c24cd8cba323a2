//! Contracts of the log on Kafka and of `kbnt topics ensure`, on a real broker: the one of
//! `KBNT_TEST_BOOTSTRAP`.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod backup;
mod dead_letters;
mod intact;
mod log;
mod members;
mod odd;
mod program;
mod verify;
