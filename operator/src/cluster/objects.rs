//! Writes objects, and only where that changes something.
//!
//! An object that was found to be as wanted is remembered by a fingerprint of its metadata, so that a later
//! reconcile needs neither a read nor a write. After a restart each object is read once and compared.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tracing::warn;

use super::drift;
use crate::error::Error;

/// Field manager of everything that the operator applies.
pub const MANAGER: &str = "kbnt-operator";
/// Annotation with a digest of what was applied, which tells a change of the wish from drift.
const DIGEST: &str = "kbnt.dev/applied-digest";

/// An object as it should be.
#[derive(Clone, Debug)]
pub struct Wanted {
    resource: ApiResource,
    namespace: String,
    name: String,
    digest: String,
    object: Value,
}

impl Wanted {
    /// A namespaced object with its name and namespace in the metadata.
    pub fn new<K: Resource + Serialize>(object: &K, resource: ApiResource) -> Result<Self, Error> {
        let mut value = serde_json::to_value(object)?;
        let digest = short_digest(&value.to_string());
        value["apiVersion"] = resource.api_version.clone().into();
        value["kind"] = resource.kind.clone().into();
        value["metadata"]["annotations"][DIGEST] = digest.clone().into();
        Ok(Self {
            namespace: object.meta().namespace.clone().unwrap_or_default(),
            name: object.meta().name.clone().unwrap_or_default(),
            resource,
            digest,
            object: value,
        })
    }

    /// A namespaced object of a type that is known at compile time.
    pub fn of<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Result<Self, Error> {
        Self::new(object, ApiResource::erase::<K>(&()))
    }

    /// Kind, namespace and name, for people.
    pub fn label(&self) -> String {
        format!("{} {}/{}", self.resource.kind, self.namespace, self.name)
    }

    fn key(&self) -> Key {
        (self.resource.kind.clone(), self.namespace.clone(), self.name.clone())
    }
}

/// Kind, namespace and name.
type Key = (String, String, String);

/// An object as it was when it was as wanted.
#[derive(Debug, Eq, PartialEq)]
struct Seen {
    wanted: String,
    fingerprint: u64,
}

impl Seen {
    fn of(wanted: &Wanted, meta: &ObjectMeta) -> Self {
        Self { wanted: wanted.digest.clone(), fingerprint: fingerprint(meta) }
    }
}

/// Writes objects, and only where that changes something.
pub struct Objects {
    client: Client,
    /// By the UID of their owner.
    seen: Mutex<HashMap<String, HashMap<Key, Seen>>>,
    /// Held between finding that a name is free and taking it, so that two resources cannot both take it.
    taking: tokio::sync::Mutex<()>,
}

impl Objects {
    /// Writes through this client.
    pub fn new(client: Client) -> Self {
        Self { client, seen: Mutex::default(), taking: tokio::sync::Mutex::default() }
    }

    /// Makes the cluster have `wanted`, for the owner with this UID. `known` is what a watch shows of the object, and
    /// `holder` says whose a live object is, if not that owner's.
    pub async fn ensure(
        &self,
        owner: &str,
        wanted: &Wanted,
        known: Option<&ObjectMeta>,
        holder: impl Fn(&ObjectMeta) -> Option<String>,
    ) -> Result<(), Error> {
        if let Some(meta) = known
            && self.is_seen(owner, wanted, meta)
        {
            return Ok(());
        }
        let api = self.api(wanted);
        let _taking = match known {
            Some(_) => None,
            None => Some(self.taking.lock().await),
        };
        let live = api.get_opt(&wanted.name).await.map_err(Error::api(format!("read {}", wanted.label())))?;
        if let Some(live) = &live {
            if let Some(holder) = holder(&live.metadata) {
                return Err(Error::Held { object: wanted.label(), holder });
            }
            if is_as_wanted(wanted, live) {
                self.remember(owner, wanted, &live.metadata);
                return Ok(());
            }
        }
        let mut made = api
            .patch(&wanted.name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&wanted.object))
            .await
            .map_err(Error::api(format!("apply {}", wanted.label())))?;
        if !is_as_wanted(wanted, &made) {
            // What others added to a list is theirs, and stays when this is applied. A merge replaces lists whole.
            let how = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
            made = api
                .patch(&wanted.name, &how, &Patch::Merge(&wanted.object))
                .await
                .map_err(Error::api(format!("correct {}", wanted.label())))?;
            if !is_as_wanted(wanted, &made) {
                warn!(object = wanted.label(), "something in the cluster keeps changing this object");
            }
        }
        self.remember(owner, wanted, &made.metadata);
        Ok(())
    }

    /// Forgets what belongs to owners that are gone.
    pub fn retain(&self, exists: impl Fn(&str) -> bool) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).retain(|owner, _| exists(owner));
    }

    fn api(&self, wanted: &Wanted) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &wanted.namespace, &wanted.resource)
    }

    fn is_seen(&self, owner: &str, wanted: &Wanted, meta: &ObjectMeta) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(owner).and_then(|objects| objects.get(&wanted.key())) == Some(&Seen::of(wanted, meta))
    }

    fn remember(&self, owner: &str, wanted: &Wanted, meta: &ObjectMeta) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry(owner.to_owned()).or_default().insert(wanted.key(), Seen::of(wanted, meta));
    }
}

fn is_as_wanted(wanted: &Wanted, live: &DynamicObject) -> bool {
    let same_wish = live.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DIGEST))
        == Some(&wanted.digest);
    same_wish && serde_json::to_value(live).is_ok_and(|live| drift::holds(&wanted.object, &live))
}

/// Differs when anything but the status differs. Kinds without a generation have no status that changes.
fn fingerprint(meta: &ObjectMeta) -> u64 {
    let version = match meta.generation {
        Some(generation) => generation.to_string(),
        None => meta.resource_version.clone().unwrap_or_default(),
    };
    let owners = meta.owner_references.iter().flatten().map(|owner| &owner.uid).collect::<Vec<_>>();
    hash(&(&meta.uid, version, &meta.labels, &meta.annotations, owners, meta.deletion_timestamp.is_some()))
}

/// The first 64 bits of the SHA-256 of a text, the same in every release.
pub fn short_digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
