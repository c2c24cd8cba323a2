//! The stock ledger, through its public face.

mod books;
mod levels;
mod properties;
mod reservations;
mod shop;
mod world;
