//! One task per object whose service is up: it long-polls a summary and wakes the reconciler on a change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::task::AbortHandle;

use super::client::{CallError, ServiceClient};

/// The longest that a service delays an answer.
const WAIT: Duration = Duration::from_secs(20);
/// At most one answer is processed in this time, however fast the summary changes.
const PAUSE: Duration = Duration::from_secs(1);
/// Failures in a row after which the service counts as lost: a rolling update may well drop one connection.
const PATIENCE: u32 = 3;

/// A summary that has a version.
pub trait Summary: DeserializeOwned + PartialEq + Send + Sync + 'static {
    /// Changes whenever anything else in the summary changes.
    fn version(&self) -> &str;

    /// If the summary is a page, the query for the part that belongs to the resource.
    fn cut(&self) -> Option<String> {
        None
    }
}

impl Summary for super::StockSummary {
    fn version(&self) -> &str {
        &self.version
    }

    fn cut(&self) -> Option<String> {
        self.next_cursor.as_ref().map(|_| format!("source={}", super::SOURCE))
    }
}

impl Summary for super::OrderSummary {
    fn version(&self) -> &str {
        &self.version
    }
}

/// What an observer has seen.
#[derive(Debug, Default)]
pub enum Observed<T> {
    /// No answer yet.
    #[default]
    Nothing,
    /// The last answer.
    Seen(Arc<T>),
    /// The service no longer answers, and why.
    Lost(CallError),
}

impl<T> Clone for Observed<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Seen(seen) => Self::Seen(Arc::clone(seen)),
            Self::Lost(error) => Self::Lost(error.clone()),
        }
    }
}

struct Task<T> {
    url: String,
    seen: Arc<Mutex<Observed<T>>>,
    abort: AbortHandle,
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// The observers for one kind of objects, by UID.
pub struct Observers<T> {
    tasks: Mutex<HashMap<String, Task<T>>>,
}

impl<T> Default for Observers<T> {
    fn default() -> Self {
        Self { tasks: Mutex::default() }
    }
}

impl<T: Summary> Observers<T> {
    /// The last observation at this URL for the object with this UID. Starts the observer if there is none;
    /// `wake` is called after each change.
    pub fn observe(&self, uid: &str, url: &str, wake: impl Fn() + Send + Sync + 'static) -> Observed<T> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = tasks.get(uid).filter(|task| task.url == url) {
            return task.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        }
        let seen = Arc::new(Mutex::new(Observed::Nothing));
        let poll = poll(url.to_owned(), Arc::clone(&seen), wake);
        let task = Task { url: url.to_owned(), seen, abort: tokio::spawn(poll).abort_handle() };
        tasks.insert(uid.to_owned(), task);
        Observed::Nothing
    }

    /// Stops the observers of all other objects.
    pub fn retain(&self, exists: impl Fn(&str) -> bool) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| exists(uid));
    }
}

async fn poll<T: Summary>(url: String, seen: Arc<Mutex<Observed<T>>>, wake: impl Fn() + Send + Sync) {
    let (mut client, mut version, mut failures) = (ServiceClient::default(), String::new(), 0u32);
    // The query to use if the summary is a page.
    let mut ours: Option<String> = None;
    loop {
        let wait = WAIT.as_secs();
        let target = match (version.as_str(), &ours) {
            ("", None) => url.clone(),
            ("", Some(ours)) => format!("{url}?{ours}"),
            (version, None) => format!("{url}?since={version}&wait={wait}s"),
            (version, Some(ours)) => format!("{url}?since={version}&wait={wait}s&{ours}"),
        };
        match client.get::<T>(&target, WAIT + Duration::from_secs(10)).await {
            Ok(summary) if ours.is_none() && summary.cut().is_some() => ours = summary.cut(),
            Ok(summary) => {
                failures = 0;
                version = summary.version().to_owned();
                set(&seen, Observed::Seen(Arc::new(summary)), &wake);
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                version.clear();
                if failures >= PATIENCE {
                    set(&seen, Observed::Lost(error), &wake);
                }
                tokio::time::sleep(Duration::from_secs(1 << failures.min(4))).await;
            }
        }
    }
}

fn set<T: Summary>(seen: &Mutex<Observed<T>>, now: Observed<T>, wake: impl Fn()) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let changed = match (&*seen, &now) {
        (Observed::Seen(before), Observed::Seen(after)) => before != after,
        (Observed::Lost(before), Observed::Lost(after)) => before.to_string() != after.to_string(),
        _ => true,
    };
    *seen = now;
    drop(seen);
    if changed {
        wake();
    }
}
