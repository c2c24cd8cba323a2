//! The inventory machine on a log: elections, crashes, zombies, and what must hold through all of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod archive;
#[path = "../../../domain/tests/stock/books.rs"]
mod books;
mod fencing;
mod lab;
mod properties;
mod steps;
