//! Writes a status where it differs, at a bounded rate, with one event for each change of a condition.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kbnt_crds::{Condition, OrderWorkflow, OrderWorkflowStatus, VirtualStock, VirtualStockStatus};
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::core::object::HasStatus;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::warn;

use crate::context::Context;
use crate::error::Error;
use crate::kube::MANAGER;
use crate::status_throttle::Verdict;

/// A status with conditions.
pub trait Conditional: Clone + Default + Serialize {
    /// The conditions.
    fn conditions(&mut self) -> &mut Vec<Condition>;
}

impl Conditional for VirtualStockStatus {
    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }
}

impl Conditional for OrderWorkflowStatus {
    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
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

/// What is said in an event besides the conditions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Announcement {
    /// Whether it is a warning.
    pub bad: bool,
    /// One word.
    pub reason: &'static str,
    /// For people.
    pub text: String,
}

/// Writes `status` where it differs from what the cluster has in more than times, and then makes its announcements. If it was
/// written a moment ago, the answer is when to come back.
pub async fn write<K: Reported>(
    context: &Context,
    object: &K,
    mut status: K::Status,
    announcements: &[Announcement],
) -> Result<Option<Duration>, Error> {
    let mut live = object.status().cloned().unwrap_or_default();
    let (uid, text, live_text) = (object.uid().unwrap_or_default(), timeless(&status)?, timeless(&live)?);
    match context.status_throttle.ask(&uid, &text, &live_text, Instant::now()) {
        Verdict::Unchanged => return Ok(None),
        Verdict::Later(delay) => return Ok(Some(delay)),
        Verdict::Write => {}
    }
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let api: Api<K> = Api::namespaced(context.client.clone(), &namespace);
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        // Without the UID, a status could be written on another object of the same name.
        "metadata": {"name": name, "namespace": namespace, "uid": uid},
        "status": status,
    });
    match api.patch_status(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&patch)).await {
        Ok(_) => {}
        // It is gone, and another one of this name will have its own reconcile.
        Err(kube::Error::Api(answer)) if answer.code == 404 => return Ok(None),
        Err(error) => {
            return Err(Error::api(format!("write the status of {} {namespace}/{name}", K::kind(&())))(
                error,
            ));
        }
    }
    context.status_throttle.wrote(&uid, &text, Instant::now());
    context.events.changed(object, live.conditions(), status.conditions()).await;
    for Announcement { bad, reason, text } in announcements {
        warn!(kind = %K::kind(&()), namespace, name, operation = reason, text);
        context.events.publish(object, *bad, reason, text).await;
    }
    Ok(None)
}

/// The status as text, without the times in it.
fn timeless<S: Conditional>(status: &S) -> Result<String, Error> {
    let mut status = status.clone();
    for condition in status.conditions() {
        condition.last_transition_time = Time(Timestamp::UNIX_EPOCH);
    }
    Ok(serde_json::to_string(&status)?)
}
