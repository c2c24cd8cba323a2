//! Writes a status only if it differs, at a bounded rate, with one event for each change of a condition.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kbnt_crds::common::TopicState;
use kbnt_crds::{Condition, OrderWorkflow, OrderWorkflowStatus, VirtualStock, VirtualStockStatus};
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::core::object::HasStatus;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::warn;

use crate::error::Error;
use crate::kube::{Events, MANAGER};
use crate::status_throttle::{StatusThrottle, Verdict};

/// A status with conditions.
pub trait Conditional: Clone + Default + Serialize + Send + Sync {
    /// The conditions.
    fn conditions(&mut self) -> &mut Vec<Condition>;
    /// The conditions and the recorded topics.
    fn known(&self) -> (&[Condition], &[TopicState]);
}

impl Conditional for VirtualStockStatus {
    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }

    fn known(&self) -> (&[Condition], &[TopicState]) {
        (&self.conditions, &self.topics)
    }
}

impl Conditional for OrderWorkflowStatus {
    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }

    fn known(&self) -> (&[Condition], &[TopicState]) {
        (&self.conditions, &self.topics)
    }
}

/// A VirtualStock or an OrderWorkflow.
pub trait Reported:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + HasStatus<Status: Conditional>
    + Clone
    + std::fmt::Debug
    + DeserializeOwned
{
}

impl Reported for VirtualStock {}
impl Reported for OrderWorkflow {}

/// An event besides those about conditions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Announcement {
    /// Whether it is a warning.
    pub bad: bool,
    /// Reason, in CamelCase.
    pub reason: &'static str,
    /// Note for people.
    pub text: String,
}

/// Writes statuses.
pub struct StatusWriter {
    client: Client,
    events: Events,
    throttle: StatusThrottle,
}

impl StatusWriter {
    /// Writes through this client, and publishes through `events`.
    pub fn new(client: Client, events: Events) -> Self {
        Self { client, events, throttle: StatusThrottle::default() }
    }

    /// Writes `status` if it differs from the cluster's in more than times, then makes its announcements. If
    /// the last write was a moment ago, returns when to come back instead.
    pub async fn write<K: Reported>(
        &self,
        object: &K,
        mut status: K::Status,
        announcements: &[Announcement],
    ) -> Result<Option<Duration>, Error> {
        let mut live = object.status().cloned().unwrap_or_default();
        let (uid, text, live_text) = (object.uid().unwrap_or_default(), timeless(&status)?, timeless(&live)?);
        match self.throttle.ask(&uid, &text, &live_text, Instant::now()) {
            Verdict::Unchanged => return Ok(None),
            Verdict::Later(delay) => return Ok(Some(delay)),
            Verdict::Write => {}
        }
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let api: Api<K> = Api::namespaced(self.client.clone(), &namespace);
        let patch = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            // Without the UID, the status could be written to another object of the same name.
            "metadata": {"name": name, "namespace": namespace, "uid": uid},
            "status": status,
        });
        match api.patch_status(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&patch)).await {
            Ok(_) => {}
            // The object is gone, and a new one of this name gets its own reconcile.
            Err(kube::Error::Api(answer)) if answer.code == 404 => return Ok(None),
            Err(error) => {
                let action = format!("write the status of {} {namespace}/{name}", K::kind(&()));
                return Err(Error::api(action)(error));
            }
        }
        self.throttle.wrote(&uid, &text, Instant::now());
        self.events.changed(object, live.conditions(), status.conditions()).await;
        for Announcement { bad, reason, text } in announcements {
            warn!(kind = %K::kind(&()), namespace, name, operation = reason, text);
            self.events.publish(object, *bad, reason, text).await;
        }
        Ok(None)
    }
}

/// The status as text, without its times.
fn timeless<S: Conditional>(status: &S) -> Result<String, Error> {
    let mut status = status.clone();
    for condition in status.conditions() {
        condition.last_transition_time = Time(Timestamp::UNIX_EPOCH);
    }
    Ok(serde_json::to_string(&status)?)
}
