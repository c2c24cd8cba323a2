//! The limits of a server.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Concurrent connections; more wait in the kernel's queue, unless an idle one can be closed.
    pub connections: usize,
    /// How long a client may take to send a request's head, from its first byte (for the first head, from the
    /// start of the connection).
    pub headers: Duration,
    /// How long a connection may stay without a request.
    pub idle: Duration,
    /// How long a client may take nothing of a response that is ready for it.
    pub write: Duration,
    /// How long requests in progress may take once the server is stopped.
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

/// The assumed number of open descriptors if it is unknown.
const OPEN_USUALLY: usize = 32;

/// Descriptors that stay free for files and outgoing connections.
const FILES: usize = 16;

impl Limits {
    /// The same, with no more connections than this process has spare descriptors, `others` of which belong
    /// to its other servers. A quarter of the rest, and at least `FILES`, stay free for files and outgoing
    /// connections. First raises the process's limit as far as the system allows.
    #[must_use]
    pub fn within_descriptors(self, others: usize) -> Self {
        let spare = descriptors().saturating_sub(open()).saturating_sub(others);
        let most = spare.saturating_sub(FILES.max(spare / 4));
        Self { connections: self.connections.min(most).max(1), ..self }
    }
}

/// The limit of descriptors of this process.
fn descriptors() -> usize {
    let allowed = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: allowed.maximum, maximum: allowed.maximum };
    let now = if setrlimit(Resource::Nofile, wanted).is_ok() { allowed.maximum } else { allowed.current };
    // An unlimited number appears as `None`.
    now.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX)
}

/// The number of open descriptors.
fn open() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(OPEN_USUALLY, Iterator::count)
}
