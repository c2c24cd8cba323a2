//! Runs a reconciler over a queue of objects: counts, logs, and retries at the right time.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::BoxFuture;
use kube::runtime::controller::{Action, Config, Error as ControllerError, ReconcileRequest, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{debug, info, warn};

use crate::error::Error;
use crate::metrics::Metrics;
use crate::queue::{Key, Queue};
use crate::retry::Class;

/// Reconciles of each kind that run at the same time.
const AT_ONCE: u16 = 16;

/// The outcome of a reconcile.
#[derive(Debug, Default)]
pub struct Outcome {
    failure: Option<Error>,
    again_after: Option<Duration>,
}

impl Outcome {
    /// The outcome of a step with this result.
    pub fn of(result: Result<(), Error>) -> Self {
        Self { failure: result.err(), again_after: None }
    }

    /// Asks for another reconcile after this time, unless an earlier one is due.
    #[must_use]
    pub fn again_after(mut self, delay: Option<Duration>) -> Self {
        self.again_after = [self.again_after, delay].into_iter().flatten().min();
        self
    }

    /// Adds the result of writing the status, which may ask for another reconcile. The first failure counts.
    #[must_use]
    pub fn and(mut self, written: Result<Option<Duration>, Error>) -> Self {
        match written {
            Ok(again_after) => self.again_after = again_after,
            Err(error) => self.failure = self.failure.or(Some(error)),
        }
        self
    }
}

/// How many times in a row each object has failed.
#[derive(Default)]
struct Failures {
    counts: Mutex<HashMap<Key, u32>>,
}

impl Failures {
    /// When to reconcile this object again after this outcome, unless something else triggers it earlier.
    fn next(&self, key: Key, outcome: &Outcome) -> Action {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let delay = match &outcome.failure {
            None => {
                counts.remove(&key);
                outcome.again_after
            }
            Some(error) => {
                let count = counts.entry(key).or_default();
                let delay = error.class().delay(*count);
                *count = count.saturating_add(1);
                Some(outcome.again_after.map_or(delay, |again| again.min(delay)))
            }
        };
        delay.map_or_else(Action::await_change, Action::requeue)
    }
}

/// Runs `reconcile` over the objects in the queue until `shutdown`, and then waits for the reconciles that
/// still run.
pub async fn run<K, C>(
    store: Store<K>,
    queue: Arc<Queue>,
    receiver: UnboundedReceiver<Key>,
    (context, metrics): (Arc<C>, Metrics),
    reconcile: for<'a> fn(&'a K, &'a C) -> BoxFuture<'a, Outcome>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    K::DynamicType: Hash + Eq,
    C: Send + Sync + 'static,
{
    let failures = Arc::new(Failures::default());
    let kind = K::kind(&()).into_owned();
    let (gone, present) = (Arc::clone(&queue), store.clone());
    let requests = tokio_stream(receiver)
        .map(|(namespace, name)| {
            Ok::<_, Infallible>(ReconcileRequest::from(ObjectRef::<K>::new(&name).within(&namespace)))
        })
        .take_until(Box::pin(shutdown));
    let reconciler = {
        let (kind, newest) = (kind.clone(), store.clone());
        move |object: Arc<K>, context: Arc<C>| {
            let (failures, queue, kind) = (Arc::clone(&failures), Arc::clone(&queue), kind.clone());
            let (metrics, newest) = (metrics.clone(), newest.clone());
            Box::pin(async move {
                let key = (object.namespace().unwrap_or_default(), object.name_any());
                queue.taken(&key.0, &key.1);
                // A change before this moment wakes no other reconcile, so an object that was looked up
                // earlier may be stale.
                let object = newest.get(&ObjectRef::new(&key.1).within(&key.0)).unwrap_or(object);
                let start = Instant::now();
                let outcome = reconcile(&object, &context).await;
                report(&metrics, &kind, &key, &outcome, start.elapsed());
                Ok::<_, Infallible>(failures.next(key, &outcome))
            })
        }
    };
    applier(
        reconciler,
        |_: Arc<K>, error: &Infallible, _| match *error {},
        context,
        store,
        Box::pin(requests),
        Config::default().concurrency(AT_ONCE),
    )
    .for_each(|result| {
        match result {
            Ok(_) => {}
            // The object was deleted while it waited. One of the same name must be able to queue again, even
            // if it exists already.
            Err(ControllerError::ObjectNotFound(object)) => {
                let (namespace, name) = (object.namespace.as_deref().unwrap_or_default(), &object.name);
                gone.taken(namespace, name);
                if present.get(&ObjectRef::new(name).within(namespace)).is_some() {
                    gone.push(namespace, name);
                }
            }
            Err(error) => warn!(kind, %error, "the reconciler stumbled"),
        }
        std::future::ready(())
    })
    .await;
}

fn tokio_stream(receiver: UnboundedReceiver<Key>) -> impl futures::Stream<Item = Key> + Send {
    futures::stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|key| (key, receiver)))
}

fn report(metrics: &Metrics, kind: &str, (namespace, name): &Key, outcome: &Outcome, took: Duration) {
    let label = match &outcome.failure {
        None => "ok",
        Some(error) => error.class().label(),
    };
    metrics.reconciled(kind, label, took.as_secs_f64());
    match &outcome.failure {
        None => debug!(kind, namespace, name, ms = took.as_millis(), "reconciled"),
        Some(error) if error.class() == Class::Waiting => info!(kind, namespace, name, %error, "waits"),
        Some(error) => warn!(kind, namespace, name, %error, class = label, "could not reconcile"),
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, poll};
    use kbnt_crds::VirtualStock;
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;

    use super::*;

    fn failed(error: Error) -> Outcome {
        Outcome::of(Err(error))
    }

    fn transient() -> Error {
        Error::api("try")(kube::Error::LinesCodecMaxLineLengthExceeded)
    }

    #[test]
    fn each_object_has_its_own_growing_delay_that_success_resets() {
        let failures = Failures::default();
        let key = |name: &str| ("shop".to_owned(), name.to_owned());
        let seconds = |n| Action::requeue(Duration::from_secs(n));
        let delays: Vec<_> = (0..8).map(|_| failures.next(key("a"), &failed(transient()))).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60].map(seconds));
        assert_eq!(failures.next(key("b"), &failed(transient())), seconds(1));
        assert_eq!(failures.next(key("a"), &Outcome::default()), Action::await_change());
        assert_eq!(failures.next(key("a"), &failed(transient())), seconds(1));
        assert_eq!(failures.next(key("c"), &failed(Error::Invalid("no".into()))), seconds(300));
    }

    #[test]
    fn a_status_that_has_to_wait_comes_back_in_time_also_after_a_failure() {
        let failures = Failures::default();
        let soon = Duration::from_millis(1500);
        let outcome = failed(Error::NoKafkaTopics).and(Ok(Some(soon)));
        assert_eq!(failures.next(("a".into(), "b".into()), &outcome), Action::requeue(soon));
    }

    /// Generations that were reconciled.
    type Seen = Mutex<Vec<i64>>;

    fn look<'a>(stock: &'a VirtualStock, seen: &'a Seen) -> BoxFuture<'a, Outcome> {
        seen.lock().unwrap().extend(stock.metadata.generation);
        std::future::ready(Outcome::default()).boxed()
    }

    #[tokio::test]
    async fn news_at_any_moment_are_reconciled() {
        let metrics = Metrics::new().unwrap();
        let (queue, receiver) = Queue::new("VirtualStock", metrics.clone());
        let (store, mut writer) = reflector::store();
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        let sample: VirtualStock =
            serde_yaml::from_str(include_str!("../../manifests/samples/virtualstock.yaml")).unwrap();
        let mut put = |generation| {
            let mut stock = sample.clone();
            stock.metadata.generation = Some(generation);
            writer.apply_watcher_event(&Event::Apply(stock));
            queue.push("shop", "main");
        };
        let seen = Arc::new(Seen::default());
        let running = run(
            store,
            Arc::clone(&queue),
            receiver,
            (Arc::clone(&seen), metrics),
            look,
            std::future::pending(),
        );
        let mut running = std::pin::pin!(running);
        for polls in 0..8 {
            put(2 * polls);
            for _ in 0..polls {
                assert!(poll!(&mut running).is_pending());
                // A queued object is reconciled in the next millisecond.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            put(2 * polls + 1);
            let reconciled = async {
                while seen.lock().unwrap().last() != Some(&(2 * polls + 1)) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::select! {
                () = &mut running => unreachable!(),
                () = tokio::time::sleep(Duration::from_secs(5)) => panic!("lost after {polls} polls"),
                () = reconciled => {}
            }
        }
    }
}
