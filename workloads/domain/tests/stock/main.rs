//! The stock ledger, through its public face.

mod levels;
mod reservations;
mod shop;
