//! The finalizer that keeps a resource until its topics and users in another namespace are deleted.
//!
//! Only a resource that has users, or whose topics are to be deleted, gets it, and only if these lie where no
//! owner reference reaches. So by default no resource is stuck when the operator is gone.

use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::error::Error;
use crate::kube::MANAGER;
use crate::status::Reported;

/// Name of the finalizer.
pub const FINALIZER: &str = "kbnt.dev/topics";

/// Whether the resource has the finalizer.
pub fn is_set<K: Reported>(object: &K) -> bool {
    object.finalizers().iter().any(|name| name == FINALIZER)
}

/// Adds or removes the finalizer.
pub async fn set<K: Reported>(client: &Client, object: &K, wanted: bool) -> Result<(), Error> {
    if is_set(object) == wanted {
        return Ok(());
    }
    let mut finalizers: Vec<_> =
        object.finalizers().iter().filter(|name| *name != FINALIZER).cloned().collect();
    if wanted {
        finalizers.push(FINALIZER.into());
    }
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    // With the resource version, a finalizer that somebody else added in the meantime is not lost.
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": object.resource_version()}});
    match api
        .patch(
            &name,
            &PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() },
            &Patch::Merge(&patch),
        )
        .await
    {
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        other => other
            .map(drop)
            .map_err(Error::api(format!("set the finalizer of {} {namespace}/{name}", K::kind(&())))),
    }
}
