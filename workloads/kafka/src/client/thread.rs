//! Named threads, and the flag that stops them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kbnt_application::ports::LogError;

/// Asks a thread to stop; the thread checks it from time to time. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Starts a thread with this name.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), LogError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread
        .map(drop)
        .map_err(|error| LogError::Unavailable(format!("cannot start the thread {name}: {error}")))
}
