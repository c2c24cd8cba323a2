//! Tells a thread to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A word that a thread looks at from time to time. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn is_told(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
