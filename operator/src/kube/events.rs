//! Events on the resources: one for each change of a condition.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use kbnt_crds::Condition;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use tracing::warn;

use super::MANAGER;

/// The most bytes of a note that the API accepts.
const LONGEST: usize = 1024;
/// Texts whose recorders are kept, to count repetitions.
const REMEMBERED: usize = 64;

/// Writes events on the resources.
#[derive(Clone)]
pub struct Events {
    client: Client,
    reporter: Reporter,
    /// The recorders by what they record. A recorder treats two events with the same reason as one and keeps
    /// the first note, so each note has its own recorder.
    recorders: Arc<Mutex<HashMap<u64, Recorder>>>,
}

impl Events {
    /// Writes through this client on behalf of this operator process.
    pub fn new(client: Client, instance: &str) -> Self {
        let reporter = Reporter { controller: MANAGER.into(), instance: Some(instance.to_owned()) };
        Self { client, reporter, recorders: Arc::default() }
    }

    /// The recorder of this note about an object.
    fn recorder(&self, object: &ObjectReference, reason: &str, text: &str) -> Recorder {
        let mut hasher = DefaultHasher::new();
        (&object.uid, &object.namespace, &object.name, reason, text).hash(&mut hasher);
        let mut recorders = self.recorders.lock().unwrap_or_else(PoisonError::into_inner);
        let key = hasher.finish();
        if recorders.len() >= REMEMBERED && !recorders.contains_key(&key) {
            recorders.clear();
        }
        let fresh = || Recorder::new(self.client.clone(), self.reporter.clone());
        recorders.entry(key).or_insert_with(fresh).clone()
    }

    /// Publishes the conditions whose status or reason has changed.
    pub async fn changed<K>(&self, object: &K, before: &[Condition], after: &[Condition])
    where
        K: Resource<DynamicType = ()>,
    {
        for condition in notable(before, after) {
            let note = format!("{} is {}: {}", condition.type_, condition.status, condition.message);
            self.publish(object, is_bad(condition), &condition.reason, &note).await;
        }
    }

    /// Publishes one event. If it cannot be written, that is logged, and the caller goes on.
    pub async fn publish<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        bad: bool,
        reason: &str,
        note: &str,
    ) {
        let text = shortened(note);
        let reference = object.object_ref(&());
        let recorder = self.recorder(&reference, reason, &text);
        let event = Event {
            type_: if bad { EventType::Warning } else { EventType::Normal },
            reason: reason.to_owned(),
            note: Some(text),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = recorder.publish(&event, &reference).await {
            warn!(%error, reason, "an event could not be written");
        }
    }
}

/// Cuts a note to what the API accepts.
fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST)].to_owned()
}

/// The conditions that are worth an event. Ready implies the conditions that it depends on.
fn notable<'a>(before: &[Condition], after: &'a [Condition]) -> Vec<&'a Condition> {
    let old = |new: &Condition| before.iter().find(|old| old.type_ == new.type_);
    let mut notable: Vec<_> = after.iter().filter(|new| is_notable(old(new), new)).collect();
    if notable.iter().any(|new| new.type_ == "Ready" && new.status == "True") {
        // A condition that is false although the resource is ready gets an event of its own.
        notable.retain(|new| new.status != "True" || matches!(new.type_.as_str(), "Ready" | "LowStock"));
    }
    notable
}

/// A new status or reason is worth an event. Not worth one are an unknown status, a step on the way to a
/// condition that was not true before, and stock that stays sufficient: the conditions show these.
fn is_notable(old: Option<&Condition>, new: &Condition) -> bool {
    let same = old.is_some_and(|old| old.status == new.status && old.reason == new.reason);
    let was_so = old.is_some_and(|old| old.status == "True");
    let as_ever = new.type_ == "LowStock" && new.status == "False";
    !same && new.status != "Unknown" && (was_so || !on_the_way(new) && !as_ever)
}

/// LowStock is bad when it is true, every other condition when it is false. Progress is not bad.
fn is_bad(condition: &Condition) -> bool {
    !on_the_way(condition) && (condition.type_ == "LowStock") == (condition.status == "True")
}

fn on_the_way(condition: &Condition) -> bool {
    condition.reason.starts_with("Waiting") || condition.reason == "Progressing"
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::{Context, Poll};

    use futures::future::BoxFuture;
    use http::{Request, Response};
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use kube::client::Body;
    use serde_json::Value;
    use tower::Service;

    use super::*;

    /// An API server that accepts every object and remembers its method and note.
    #[derive(Clone, Default)]
    struct Server(Arc<Mutex<Vec<(String, String)>>>);

    impl Service<Request<Body>> for Server {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            let taken = Arc::clone(&self.0);
            Box::pin(async move {
                let (method, body) = (request.method().to_string(), request.into_body());
                let body = body.collect_bytes().await.unwrap();
                let event: Value = serde_json::from_slice(&body).unwrap();
                let note = event["note"].as_str().unwrap_or_default().to_owned();
                taken.lock().unwrap().push((method, note));
                Ok(Response::new(Body::from(body)))
            })
        }
    }

    #[tokio::test]
    async fn two_events_with_one_reason_both_keep_their_notes() {
        let server = Server::default();
        let events = Events::new(Client::new(server.clone(), "shop"), "operator-1");
        let sample = include_str!("../../../manifests/samples/virtualstock.yaml");
        let mut stock: kbnt_crds::VirtualStock = serde_yaml::from_str(sample).unwrap();
        stock.metadata.uid = Some("u1".into());
        for note in ["first", "second", "first"] {
            events.publish(&stock, true, "PutBack", note).await;
        }
        let taken = server.0.lock().unwrap().clone();
        let made: Vec<_> =
            taken.iter().filter(|(method, _)| method == "POST").map(|(_, note)| note.as_str()).collect();
        assert_eq!(made, ["first", "second"], "{taken:?}");
        // A repetition is counted, and is not another event.
        assert_eq!(taken.len(), 3, "{taken:?}");
    }

    fn condition(status: &str, reason: &str) -> Condition {
        of_type("TopicsReady", status, reason)
    }

    fn of_type(type_: &str, status: &str, reason: &str) -> Condition {
        Condition {
            type_: type_.into(),
            status: status.into(),
            reason: reason.into(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn steps_on_the_way_are_no_news_and_steps_back_are() {
        let (ready, waiting) = (condition("True", "TopicsReady"), condition("False", "WaitingForTopics"));
        let (failed, unknown) = (condition("False", "TopicFailed"), condition("Unknown", "WaitingForStock"));
        for (old, new, expected) in [
            (None, &ready, true),
            (Some(&waiting), &ready, true),
            (None, &waiting, false),
            (Some(&failed), &waiting, false),
            (Some(&ready), &waiting, true),
            (Some(&waiting), &failed, true),
            (Some(&failed), &failed, false),
            (None, &unknown, false),
        ] {
            assert_eq!(is_notable(old, new), expected, "{old:?} {new:?}");
        }
    }

    #[test]
    fn what_comes_true_with_ready_is_told_by_it_and_low_stock_is_not() {
        let published = |before: &[Condition], after: &[Condition]| {
            notable(before, after)
                .into_iter()
                .map(|changed| format!("{} {}", changed.type_, changed.status))
                .collect::<Vec<_>>()
        };
        let waiting = [
            of_type("TopicsReady", "False", "WaitingForTopics"),
            of_type("Ready", "False", "WaitingForTopics"),
        ];
        let enough = of_type("LowStock", "False", "EnoughStock");
        let low = of_type("LowStock", "True", "BelowThreshold");
        let (topics, ready) = (condition("True", "TopicsReady"), of_type("Ready", "True", "Ready"));
        let on_the_way = of_type("Ready", "False", "Progressing");
        assert_eq!(published(&waiting, &[topics.clone(), on_the_way]), ["TopicsReady True"]);
        assert_eq!(published(&waiting, &[topics.clone(), enough.clone(), ready.clone()]), ["Ready True"]);
        assert_eq!(
            published(&waiting, &[topics.clone(), low.clone(), ready.clone()]),
            ["LowStock True", "Ready True"]
        );
        let refused = of_type("StockDeclared", "False", "ProductRefused");
        assert_eq!(published(&waiting, &[refused, ready.clone()]), ["StockDeclared False", "Ready True"]);
        assert_eq!(published(&[low], &[enough]), ["LowStock False"]);
        let failed = [condition("False", "TopicFailed"), of_type("Ready", "False", "TopicFailed")];
        assert_eq!(published(&[topics, ready], &failed), ["TopicsReady False", "Ready False"]);
    }
}
