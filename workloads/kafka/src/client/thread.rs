//! Threads of this crate, and how they are stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kbnt_application::ports::LogError;

/// A word that a thread looks at from time to time. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_told(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A thread of this name.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), LogError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map(drop).map_err(|error| LogError::Unavailable(format!("no thread for {name}: {error}")))
}
