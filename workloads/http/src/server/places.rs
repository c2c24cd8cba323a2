//! A bounded number of connections. For a new one, the one that has been idle longest is closed, or, if none
//! is idle, the one that has taken nothing of its response for longest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, STALLED};
use super::service::Peer;

/// How long a connection may be idle before it may be closed: a new client's request is on its way.
const GRACE: Duration = Duration::from_millis(100);

/// The places of a server.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    /// A client with more connections than this loses one before others do.
    each: usize,
    taken: Mutex<Taken>,
    /// Notified when a connection becomes idle.
    idle: Arc<Notify>,
    closed: CancellationToken,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by: HashMap<u64, (Peer, Arc<Activity>)>,
}

/// The result of an eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evicted {
    One,
    /// No connection has been idle or stalled for long enough before this instant.
    NobodyBefore(Instant),
    /// All connections are busy.
    Nobody,
}

/// The place of one connection, freed on drop.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most)),
            each: most.div_ceil(2),
            taken: Mutex::default(),
            idle: Arc::default(),
            closed: CancellationToken::new(),
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for `peer`, as soon as one is free or can be freed.
    pub(super) async fn take(self: &Arc<Self>, peer: Peer, activity: &Arc<Activity>) -> Place {
        let permit = loop {
            let became_idle = self.idle.notified();
            let mut became_idle = std::pin::pin!(became_idle);
            became_idle.as_mut().enable();
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                break permit;
            }
            let evicted = self.evict();
            let later = async {
                match evicted {
                    // The evicted connection's place is free in a moment, unless a request has just arrived.
                    Evicted::One => tokio::time::sleep(GRACE).await,
                    Evicted::NobodyBefore(when) => sleep_until(when).await,
                    // A stalled connection does not notify anybody, so it is also checked after a while.
                    Evicted::Nobody => tokio::select! {
                        () = became_idle => {}
                        () = tokio::time::sleep(STALLED) => {}
                    },
                }
            };
            tokio::select! {
                biased;
                Ok(permit) = Arc::clone(&self.free).acquire_owned() => break permit,
                () = later => {}
            }
        };
        activity.begin_serving(&self.idle);
        let mut taken = self.taken();
        taken.next += 1;
        let number = taken.next;
        taken.by.insert(number, (peer, Arc::clone(activity)));
        Place { places: Arc::clone(self), number, _permit: permit }
    }

    /// Evicts the connection that has been idle longest, or else the one whose client has taken nothing for
    /// longest. Connections of a client with more than half of all places go before those of others.
    pub(super) fn evict(&self) -> Evicted {
        let taken = self.taken();
        let mut has: HashMap<Peer, usize> = HashMap::new();
        for (peer, _) in taken.by.values() {
            *has.entry(*peer).or_default() += 1;
        }
        let free_from = |activity: &Activity| {
            let idle = activity.idle_since().map(|since| (false, since + GRACE));
            idle.or_else(|| activity.stalled_since().map(|since| (true, since + STALLED)))
        };
        let now = Instant::now();
        let candidates = taken.by.values().filter_map(|(peer, activity)| {
            let (stalled, when) = free_from(activity)?;
            let modest = has.get(peer).is_none_or(|has| *has <= self.each);
            Some(((when > now, stalled, modest, when), activity))
        });
        match candidates.min_by_key(|(order, _)| *order) {
            None => Evicted::Nobody,
            Some(((true, _, _, when), _)) => Evicted::NobodyBefore(when),
            Some((_, activity)) => {
                activity.evict();
                Evicted::One
            }
        }
    }

    /// Ends all remaining connections.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }
}

impl Place {
    /// Returns when the server's patience is over.
    pub(super) async fn lost(&self) {
        self.places.closed.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().by.remove(&self.number);
    }
}
