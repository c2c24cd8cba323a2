//! One task for each object whose service is up: it long-polls a summary and wakes the reconciler on a change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::task::AbortHandle;

use super::client::{CallError, ServiceClient};

/// The longest that a service holds an answer back.
const WAIT: Duration = Duration::from_secs(20);
/// At most one answer is taken in this time, however fast the summary changes.
const PAUSE: Duration = Duration::from_secs(1);
/// Failures in a row until the service counts as lost: a rolling update may well drop one connection.
const PATIENCE: u32 = 3;

/// A summary that has a version.
pub trait Summary: DeserializeOwned + PartialEq + Send + Sync + 'static {
    /// Differs when anything else does.
    fn version(&self) -> &str;

    /// Where not all of it is shown, the query that shows what is ours of it.
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
    /// Nothing yet.
    #[default]
    Nothing,
    /// This, last.
    Seen(Arc<T>),
    /// The service does not answer any more, and why.
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

/// The observers of one kind of objects, by their UID.
pub struct Observers<T> {
    tasks: Mutex<HashMap<String, Task<T>>>,
}

impl<T> Default for Observers<T> {
    fn default() -> Self {
        Self { tasks: Mutex::default() }
    }
}

impl<T: Summary> Observers<T> {
    /// What is seen at this URL for the object with this UID. Starts its observer where there is none; `wake` is
    /// called after each change.
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

    /// Ends the observers of all objects but these.
    pub fn retain(&self, exists: impl Fn(&str) -> bool) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| exists(uid));
    }
}

async fn poll<T: Summary>(url: String, seen: Arc<Mutex<Observed<T>>>, wake: impl Fn() + Send + Sync) {
    let (mut client, mut version, mut failures) = (ServiceClient::default(), String::new(), 0u32);
    // What to ask for where not all of it is shown.
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
