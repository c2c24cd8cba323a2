//! Why the log cannot be written now.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kbnt_application::ports::LogError;

/// After so long without a write, no write shows whether there is room.
const IDLE: Duration = Duration::from_secs(2);

/// The present state. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Trouble(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Why the last write failed; `None` since one succeeded.
    why: Option<String>,
    /// When that was found out.
    since: Instant,
}

impl Trouble {
    pub(super) fn none() -> Self {
        Self(Arc::new(Mutex::new(State { why: None, since: Instant::now() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing can be written.
    pub(super) fn why(&self) -> Option<String> {
        self.state().why.clone()
    }

    /// Whether the last write is so long ago that its result is outdated.
    pub(super) fn is_idle(&self) -> bool {
        self.state().since.elapsed() >= IDLE
    }

    /// Records why nothing can be written, and logs the beginning and the end of that state.
    pub(super) fn set(&self, error: Option<&LogError>) {
        let why = match error {
            // This concerns the records, not the disk.
            None | Some(LogError::TooLarge(_)) => None,
            Some(error) => Some(error.to_string()),
        };
        let state = State { why: why.clone(), since: Instant::now() };
        let before = std::mem::replace(&mut *self.state(), state);
        match (before.why, why) {
            (None, Some(error)) => {
                tracing::error!(operation = "log-not-writable", error, "nothing is acknowledged");
            }
            (Some(_), None) => tracing::info!(operation = "log-writable", "the log can be written again"),
            _ => {}
        }
    }
}

/// Fails unless the disk of `directory` has room for this many more bytes.
pub(super) fn room(directory: &Path, bytes: u64) -> io::Result<()> {
    let disk = rustix::fs::statvfs(directory)?;
    // Some blocks may be reserved for the superuser.
    let blocks = if rustix::process::geteuid().is_root() { disk.f_bfree } else { disk.f_bavail };
    let free = blocks.saturating_mul(disk.f_frsize);
    if free >= bytes {
        return Ok(());
    }
    let name = directory.display();
    Err(io::Error::new(
        io::ErrorKind::StorageFull,
        format!("the disk of {name} is full: {free} bytes are free"),
    ))
}
