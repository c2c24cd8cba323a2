//! Wakes readers when there are new records in their topics.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use kbnt_application::Topic;
use tokio::sync::Notify;

/// A set of topics.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Topics(u8);

impl Topics {
    pub(super) fn add(&mut self, topic: Topic) {
        self.0 |= 1 << topic as u8;
    }

    const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl FromIterator<Topic> for Topics {
    fn from_iter<I: IntoIterator<Item = Topic>>(topics: I) -> Self {
        let mut set = Self::default();
        topics.into_iter().for_each(|topic| set.add(topic));
        set
    }
}

/// The readers that wait for records.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    waiters: Mutex<Vec<(Topics, Weak<Notify>)>>,
}

impl Waiters {
    /// Is notified when there are new records in any of `topics`; it remembers one notification.
    pub(super) fn register(&self, topics: Topics) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        waiters.retain(|(_, notify)| notify.strong_count() > 0);
        waiters.push((topics, Arc::downgrade(&notify)));
        notify
    }

    /// There are new records in `topics`.
    pub(super) fn notify(&self, topics: Topics) {
        let waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        let concerned = waiters.iter().filter(|(wanted, _)| wanted.meets(topics));
        concerned.filter_map(|(_, notify)| notify.upgrade()).for_each(|notify| notify.notify_one());
    }
}
