//! Who is connected: a bounded number, of whom the one that has been idle longest makes place for somebody new.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::activity::Activity;

/// The places of a server.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Mutex<Taken>,
    /// Told when a connection has become idle.
    idle: Arc<Notify>,
    closed: CancellationToken,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by: HashMap<u64, Arc<Activity>>,
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
            taken: Mutex::default(),
            idle: Arc::default(),
            closed: CancellationToken::new(),
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, as soon as there is one or somebody idle can be asked for his.
    pub(super) async fn take(self: &Arc<Self>, activity: &Arc<Activity>) -> Place {
        let permit = loop {
            let became_idle = self.idle.notified();
            let mut became_idle = std::pin::pin!(became_idle);
            became_idle.as_mut().enable();
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                break permit;
            }
            let asked = self.evict();
            tokio::select! {
                biased;
                Ok(permit) = Arc::clone(&self.free).acquire_owned() => break permit,
                () = became_idle, if !asked => {}
            }
        };
        activity.tell_idle_to(&self.idle);
        let mut taken = self.taken();
        taken.next += 1;
        let number = taken.next;
        taken.by.insert(number, Arc::clone(activity));
        Place { places: Arc::clone(self), number, _permit: permit }
    }

    /// Asks the connection to go that has been idle longest; whether there is one.
    pub(super) fn evict(&self) -> bool {
        let taken = self.taken();
        let idle = taken.by.values().filter_map(|activity| Some((activity.idle_since()?, activity)));
        let longest = idle.min_by_key(|(since, _)| *since);
        longest.inspect(|(_, activity)| activity.evict()).is_some()
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
