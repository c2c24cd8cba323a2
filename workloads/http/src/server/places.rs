//! Who is connected: a bounded number, of whom the one that has been idle longest makes place for somebody new, and with none
//! idle the one that has taken nothing of its answer for longest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, STALLED};
use super::service::Peer;

/// How long a connection may be idle before it makes place: a client that has just come has a request on its way.
const GRACE: Duration = Duration::from_millis(100);

/// The places of a server.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    /// Whoever has more than these makes place before others do.
    each: usize,
    taken: Mutex<Taken>,
    /// Told when a connection has become idle.
    idle: Arc<Notify>,
    closed: CancellationToken,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by: HashMap<u64, (Peer, Arc<Activity>)>,
}

/// Whether somebody makes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evicted {
    One,
    /// Nobody is idle, or takes nothing, for long enough before this instant.
    NobodyBefore(Instant),
    /// Everybody is at work.
    Nobody,
}

/// A place of one connection; dropped, it is free again.
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

    /// A place for `peer`, as soon as there is one or somebody can be asked for his.
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
                    // His place is free in a moment, unless a request has just come.
                    Evicted::One => tokio::time::sleep(GRACE).await,
                    Evicted::NobodyBefore(when) => sleep_until(when).await,
                    // Or nobody takes what is written to him, which is not told.
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
        activity.seated(&self.idle);
        let mut taken = self.taken();
        taken.next += 1;
        let number = taken.next;
        taken.by.insert(number, (peer, Arc::clone(activity)));
        Place { places: Arc::clone(self), number, _permit: permit }
    }

    /// Asks the connection to go that has been idle longest, or else the one whose client has taken nothing for longest; of a
    /// client with more than half of all places before those of others.
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

    /// Ends all that are left.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }
}

impl Place {
    /// Returns when the server has no more patience.
    pub(super) async fn lost(&self) {
        self.places.closed.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().by.remove(&self.number);
    }
}
