//! The services as deterministic state machines, and their ports.
