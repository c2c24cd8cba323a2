//! What a server grants.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a server grants.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; more of them wait in the kernel's queue, unless an idle one can make place.
    pub connections: usize,
    /// How long a client may take to send a request's head, from its first byte (the first head: from the connection) on.
    pub headers: Duration,
    /// How long a connection may stay without a request.
    pub idle: Duration,
    /// How long a client may take nothing of an answer that is ready for it.
    pub write: Duration,
    /// How long requests under way may take once the server is told to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            headers: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            write: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}

/// Descriptors that are taken to be open where nobody can tell.
const OPEN_USUALLY: usize = 32;

/// Descriptors that stay free for files and outgoing connections.
const FILES: usize = 16;

impl Limits {
    /// The same, with no more connections than this process has descriptors to spare, `others` of which are for other servers of
    /// it: a quarter of the rest, and at least `FILES`, stay free for files and for what the process itself connects to. It
    /// first asks the system for as many as it may have.
    #[must_use]
    pub fn within_descriptors(self, others: usize) -> Self {
        let spare = descriptors().saturating_sub(open()).saturating_sub(others);
        let most = spare.saturating_sub(FILES.max(spare / 4));
        Self { connections: self.connections.min(most).max(1), ..self }
    }
}

/// How many descriptors this process may have.
fn descriptors() -> usize {
    let allowed = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: allowed.maximum, maximum: allowed.maximum };
    let now = if setrlimit(Resource::Nofile, wanted).is_ok() { allowed.maximum } else { allowed.current };
    // No limit at all is told as none.
    now.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX)
}

/// How many it has.
fn open() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(OPEN_USUALLY, Iterator::count)
}
