//! Tracks the activity of one connection, and its deadlines.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::limits::Limits;

/// A client that takes fewer bytes of a response within the write timeout counts as one that takes nothing.
const TAKEN_LEAST: u64 = 4096;

/// How long a client may take nothing before its connection may be closed for a new one.
pub(super) const STALLED: Duration = Duration::from_secs(1);

/// How a connection must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Gracefully: there was no request for too long.
    Close,
    /// At once: the client does not finish a head or does not take its response, or a new connection needs
    /// the place.
    Cut,
}

/// The activity of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    limits: Limits,
    state: Mutex<State>,
    changed: Notify,
    tell_idle: OnceLock<Arc<Notify>>,
    lingers: AtomicBool,
}

#[derive(Debug)]
struct State {
    /// Requests whose responses are not complete.
    in_flight: usize,
    /// When the last of them ended.
    idle_since: Instant,
    /// When the first byte after that arrived; for a new connection, when it began.
    head_since: Option<Instant>,
    /// Responses of which a part was handed over while no further part was requested, by request.
    handed: BTreeMap<u64, Instant>,
    /// When the socket stopped taking bytes, and the bytes that it has taken since.
    blocked: Option<(Instant, u64)>,
    requests: u64,
    evicted: bool,
}

impl Activity {
    pub(super) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        let state = State {
            in_flight: 0,
            idle_since: now,
            head_since: Some(now),
            handed: BTreeMap::new(),
            blocked: None,
            requests: 0,
            evicted: false,
        };
        Self {
            limits,
            state: Mutex::new(state),
            changed: Notify::new(),
            tell_idle: OnceLock::new(),
            lingers: AtomicBool::new(false),
        }
    }

    /// The client may still be sending bytes that are not read.
    pub(super) fn linger(&self) {
        self.lingers.store(true, Ordering::Release);
    }

    /// Whether it may.
    pub(super) fn lingers(&self) -> bool {
        self.lingers.load(Ordering::Acquire)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection has a place and begins now, however long it waited for that. `whom` is notified when it
    /// becomes idle.
    pub(super) fn begin_serving(&self, whom: &Arc<Notify>) {
        let mut state = self.state();
        state.idle_since = Instant::now();
        state.head_since = Some(state.idle_since);
        drop(state);
        // The place sets this once.
        let _ = self.tell_idle.set(Arc::clone(whom));
    }

    /// A request has arrived.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        let mut state = self.state();
        state.in_flight += 1;
        state.requests += 1;
        let (number, first) = (state.requests, state.in_flight == 1);
        drop(state);
        if first {
            self.changed.notify_one();
        }
        InFlight { activity: Arc::clone(self), number }
    }

    /// Bytes have arrived.
    pub(super) fn received(&self) {
        let mut state = self.state();
        if state.in_flight == 0 && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
            drop(state);
            self.changed.notify_one();
        }
    }

    /// The socket took this many bytes, and would take more.
    pub(super) fn wrote(&self, bytes: usize) {
        let mut state = self.state();
        if let Some((_, taken)) = &mut state.blocked {
            *taken += bytes as u64;
            if *taken >= TAKEN_LEAST {
                state.blocked = None;
                // The client continues: the time that it needs for this does not count as idle.
                state.idle_since = Instant::now();
            }
        }
    }

    /// The socket takes nothing at the moment.
    pub(super) fn blocked(&self) {
        let mut state = self.state();
        if state.blocked.is_none() {
            state.blocked = Some((Instant::now(), 0));
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Everything that was to be written is on its way.
    pub(super) fn flushed(&self) {
        self.state().blocked = None;
    }

    /// Since when there is no request and nothing to write; `None` while there is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.in_flight == 0 && state.blocked.is_none() && !state.evicted).then_some(state.idle_since)
    }

    /// Since when the client takes nothing of what is ready for it; `None` while it does.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        let state = self.state();
        if state.evicted {
            return None;
        }
        let blocked = state.blocked.map(|(since, _)| since);
        state.handed.values().copied().chain(blocked).min()
    }

    /// Closes the connection for a new one.
    pub(super) fn evict(&self) {
        self.state().evicted = true;
        self.changed.notify_one();
    }

    /// Returns once the connection must end.
    pub(super) async fn overdue(&self) -> Overdue {
        loop {
            let (why, when) = self.state().due(&self.limits);
            if when <= Instant::now() {
                return why;
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(when) => {}
            }
        }
    }
}

impl State {
    /// The next deadline, and how the connection ends then.
    fn due(&self, limits: &Limits) -> (Overdue, Instant) {
        let patience = if self.evicted { limits.write.min(STALLED) } else { limits.write };
        let write = |since: Instant| (Overdue::Cut, since + patience);
        let idle = (self.in_flight == 0 && self.blocked.is_none()).then(|| match self.head_since {
            _ if self.evicted => (Overdue::Cut, self.idle_since),
            Some(since) => (Overdue::Cut, since + limits.headers),
            None => (Overdue::Close, self.idle_since + limits.idle),
        });
        let handed = self.handed.values().min().copied().map(write);
        let blocked = self.blocked.map(|(since, _)| write(since));
        let due = [idle, handed, blocked].into_iter().flatten().min_by_key(|(_, when)| *when);
        // A handler is at work: it has its own limits, and reports the end of its request.
        due.unwrap_or_else(|| (Overdue::Cut, Instant::now() + limits.write))
    }
}

/// A request whose response is not complete.
#[derive(Debug)]
pub(super) struct InFlight {
    activity: Arc<Activity>,
    number: u64,
}

impl InFlight {
    /// A part of the response is handed over.
    pub(super) fn handed(&self) {
        self.activity.state().handed.insert(self.number, Instant::now());
    }

    /// The next part is requested: the previous one has been taken.
    pub(super) fn asked(&self) {
        self.activity.state().handed.remove(&self.number);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.handed.remove(&self.number);
        state.in_flight -= 1;
        let idle = state.in_flight == 0;
        if idle {
            state.idle_since = Instant::now();
            state.head_since = None;
        }
        drop(state);
        if idle {
            self.activity.changed.notify_one();
            if let Some(whom) = self.activity.tell_idle.get() {
                whom.notify_waiters();
            }
        }
    }
}
