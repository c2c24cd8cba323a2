//! The stock ledger, through its public face.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod books;
mod clocks;
mod folding;
mod images;
mod levels;
mod outside;
mod properties;
mod reservations;
mod shop;
mod world;
