//! Events on the resources: one for each change of a condition.

use kbnt_crds::Condition;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use tracing::warn;

use super::MANAGER;

/// Writes events on the resources.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// Writes through this client, in the name of this operator process.
    pub fn new(client: Client, instance: &str) -> Self {
        let reporter = Reporter { controller: MANAGER.into(), instance: Some(instance.to_owned()) };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Tells which conditions have another status or reason than before.
    pub async fn changed<K>(&self, object: &K, before: &[Condition], after: &[Condition])
    where
        K: Resource<DynamicType = ()>,
    {
        for condition in after {
            let same = before.iter().any(|old| {
                old.type_ == condition.type_
                    && old.status == condition.status
                    && old.reason == condition.reason
            });
            // What cannot be told yet is no news.
            if same || condition.status == "Unknown" {
                continue;
            }
            let note = format!("{} is {}: {}", condition.type_, condition.status, condition.message);
            self.publish(object, is_bad(condition), &condition.reason, &note).await;
        }
    }

    /// Tells one thing. An event that cannot be written is logged, and holds nothing up.
    pub async fn publish<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        bad: bool,
        reason: &str,
        note: &str,
    ) {
        let event = Event {
            type_: if bad { EventType::Warning } else { EventType::Normal },
            reason: reason.to_owned(),
            // The API takes 1024 bytes.
            note: Some(note.chars().take(250).collect()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            warn!(%error, reason, "an event could not be written");
        }
    }
}

/// To be low on stock is bad news, to be anything else good; to be on the way is no bad news.
fn is_bad(condition: &Condition) -> bool {
    let on_the_way = condition.reason.starts_with("Waiting") || condition.reason == "Progressing";
    !on_the_way && (condition.type_ == "LowStock") == (condition.status == "True")
}
