//! What must not be forgotten while somebody reads it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places from which on somebody reads.
#[derive(Debug, Default)]
pub(super) struct Pins(Mutex<Vec<u64>>);

impl Pins {
    fn places(&self) -> MutexGuard<'_, Vec<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first place that somebody reads.
    pub(super) fn first(&self) -> u64 {
        self.places().iter().copied().min().unwrap_or(u64::MAX)
    }

    /// Adds one.
    pub(super) fn add(self: &Arc<Self>, first: u64) -> Pin {
        self.places().push(first);
        Pin { pins: Arc::clone(self), first }
    }
}

/// As long as it is there, nothing that lies at or behind its place is dropped because it is forgotten.
#[derive(Debug)]
#[must_use]
pub struct Pin {
    pins: Arc<Pins>,
    first: u64,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut places = self.pins.places();
        if let Some(mine) = places.iter().position(|first| *first == self.first) {
            places.swap_remove(mine);
        }
    }
}
