//! Deterministic simulation of the whole saga.
